//! What clients said to a proxy whose scramble is all sevens.

use dbproxy_engine::Admission;
use dbproxy_mysql::auth::native;
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::handshake_response::HandshakeResponse;
use dbproxy_mysql::message::ssl_request::{self, Opening};
use dbproxy_mysql::{Handover, LoginProgress};

use super::door::said;
use super::{packet, written};

/// What PyMySQL 1.2.4 says to a proxy of MySQL's.
pub const PYMYSQL: &str =
    "950000010da23a00ffffff002d000000000000000000000000000000000000000000000073\
    68610020e9eb3acd5defed4885997d2db606cdaff7806ab1e0cb5d3c7eca1abc794325e0617070006361636869\
    6e675f736861325f70617373776f726400350c5f636c69656e745f6e616d650770796d7973716c0f5f636c6965\
    6e745f76657273696f6e05312e322e34045f7069640435373134";
/// The same to one of MariaDB's, of a user who then has to sign.
pub const PYMYSQL_ED25519: &str =
    "8400000105a23a00ffffff002d00000000000000000000000000000000000000\
    0000000065640014509c14913e97c71c9186fd0c5486f045857875e16d7973716c5f6e61746976655f70617373\
    776f726400350c5f636c69656e745f6e616d650770796d7973716c0f5f636c69656e745f76657273696f6e0531\
    2e322e34045f7069640435373134";
pub const SIGNATURE: &str =
    "400000036543e1898338362053431dab7e93d3011be64f7fbc5ba38f3b8c16af3e2fff91\
    7599bcc3cad4680ca06c4ded32642adddb8f11820a8c7e51c7de75781eb5f106";
/// What mysql-connector-python 26.10.0 says, of a user who has another plugin.
pub const CONNECTOR: &str =
    "ea0000010da23b0800000040ff0000000000000000000000000000000000000000000000\
    6e6174002066f925049ce5aae880d2990c39280a74d9607dc9201e41264c3f74fbc25abcab0063616368696e67\
    5f736861325f70617373776f7264008d045f7069640435373134095f706c6174666f726d067838365f36340c5f\
    736f757263655f686f737402766d0c5f636c69656e745f6e616d65166d7973716c2d636f6e6e6563746f722d70\
    7974686f6e0f5f636c69656e745f6c6963656e73650747504c2d322e300f5f636c69656e745f76657273696f6e\
    0732362e31302e30035f6f730944656269616e2d3132";
pub const NATIVE: &str = "14000003f24ac03320a9be25ae6087a3002f94bd78ebe58b";
/// What MariaDB's own client of 10.11 says.
pub const MARIADB_CLIENT: &str =
    "d20000018ca2bf00000010002100000000000000000000000000000000000000000000006e61740014f24ac033\
    20a9be25ae6087a3002f94bd78ebe58b617070006d7973716c5f6e61746976655f70617373776f7264007e035f\
    6f73054c696e75780c5f636c69656e745f6e616d650a6c69626d617269616462045f70696404353733350f5f63\
    6c69656e745f76657273696f6e06332e332e3230095f706c6174666f726d067838365f36340c70726f6772616d\
    5f6e616d65056d7973716c0c5f7365727665725f686f7374093132372e302e302e31";
pub const SEVENS: [u8; 20] = [7; 20];
/// A response with a proof for a scramble of sevens.
pub fn response(user: &str, proof: &[u8], plugin: &[u8], capabilities: Capabilities) -> Vec<u8> {
    let response = HandshakeResponse {
        opening: Opening {
            capabilities: capabilities.with(SECURE_CONNECTION),
            longest_packet: 1 << 24,
            collation: 45,
        },
        user: user.as_bytes(),
        proof,
        database: None,
        plugin: Some(plugin),
        attributes: None,
        zstd_level: None,
    };
    written(|out| response.write(out))
}

pub fn native_response(user: &str, password: &str) -> Vec<u8> {
    let proof = native::proof(password.as_bytes(), &SEVENS);
    packet(1, &response(user, &proof, native::PLUGIN, SESSION_TRACK))
}

pub fn admitted(progress: LoginProgress) -> Admission<Handover> {
    match progress {
        LoginProgress::Admitted(admission) => admission,
        other => panic!("{other:?}"),
    }
}

pub fn ssl_request() -> Vec<u8> {
    let opening = Opening {
        capabilities: SECURE_CONNECTION.with(PLUGIN_AUTH),
        longest_packet: 0,
        collation: 33,
    };
    said(|out| ssl_request::write(&opening, out), 1)
}
