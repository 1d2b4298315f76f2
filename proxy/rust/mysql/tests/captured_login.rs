//! Bytes with which PyMySQL and MariaDB 10.11.19 began, what is read of them, and that the same is written.
//! What neither of them says is put together by the pages that the modules name.

mod common;

use common::{body, hex, written};
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::*;

/// MariaDB's greeting, with its header.
const GREETING: &str =
    "640000000a352e352e352d31302e31312e31392d4d6172696144422d302b6465623132753100\
    0400000068633726596d3b7c00feff080200ff81150000000000001d000000212c5a5f4f4c6e66377d327d00\
    6d7973716c5f6e61746976655f70617373776f726400";
/// PyMySQL's response.
const RESPONSE: &str = "8b0000010da2ba00ffffff002d0000000000000000000000000000000000000000000000\
    6e61740014deb3ed6b00c5f695cde1add11b487e946ac8631373686f7000\
    6d7973716c5f6e61746976655f70617373776f726400360c5f636c69656e745f6e616d650770796d7973716c\
    0f5f636c69656e745f76657273696f6e05312e322e34045f706964053132393339";

#[test]
fn mariadb_greets() {
    let bytes = body(GREETING, 0);
    let greeting = greeting::parse(&bytes).unwrap();
    assert_eq!(greeting.version, b"5.5.5-10.11.19-MariaDB-0+deb12u1");
    assert_eq!(greeting.thread_id, 4);
    assert_eq!(&greeting.scramble, b"hc7&Ym;|!,Z_OLnf7}2}");
    assert_eq!(greeting.plugin, b"mysql_native_password");
    assert_eq!(greeting.collation, 8);
    assert_eq!(greeting.status, status::AUTOCOMMIT);
    let capabilities = greeting.capabilities;
    assert!(capabilities.has(MARIADB_PROGRESS.with(MARIADB_BULK).with(DEPRECATE_EOF)));
    assert!(!capabilities.has(LONG_PASSWORD) && capabilities.has(SSL));
    assert!(!capabilities.has(MARIADB_RESERVED) && !capabilities.has(QUERY_ATTRIBUTES));
    assert_eq!(written(|out| greeting.write(out)), bytes);
}

/// The same as of a server before 5.5.7, without the name of a plugin.
#[test]
fn an_old_server_names_no_plugin() {
    let bytes = body(GREETING, 0);
    let mut old = greeting::parse(&bytes).unwrap();
    old.capabilities = old.capabilities.without(PLUGIN_AUTH);
    old.plugin = b"";
    let wire = written(|out| old.write(out));
    assert_eq!(wire.len(), bytes.len() - "mysql_native_password\0".len());
    assert_eq!(greeting::parse(&wire), Some(old));
}

/// Of another version, of the authentication before 4.1, or cut.
#[test]
fn what_is_no_greeting_is_refused() {
    let bytes = body(GREETING, 0);
    assert_eq!(greeting::parse(&[&[9], &bytes[1..]].concat()), None);
    let mut old = bytes.clone();
    // The high byte of the lower capabilities: SECURE_CONNECTION goes.
    old[48] &= 0x7f;
    assert_eq!(greeting::parse(&old), None);
    assert_eq!(greeting::parse(&bytes[..70]), None);
}

#[test]
fn pymysql_responds() {
    let bytes = body(RESPONSE, 1);
    let response = handshake_response::parse(&bytes).unwrap();
    assert_eq!(response.user, b"nat");
    assert_eq!(response.database, Some(&b"shop"[..]));
    assert_eq!(response.plugin, Some(&b"mysql_native_password"[..]));
    assert_eq!(
        response.proof,
        hex("deb3ed6b00c5f695cde1add11b487e946ac86313")
    );
    assert_eq!(response.opening.longest_packet, 0xff_ffff);
    assert_eq!(response.opening.collation, 45);
    assert!(response.opening.capabilities.has(SESSION_TRACK));
    let attributes: Vec<_> = response.attributes.unwrap().iter().collect();
    assert_eq!(
        attributes,
        [
            (&b"_client_name"[..], &b"pymysql"[..]),
            (b"_client_version", b"1.2.4"),
            (b"_pid", b"12939")
        ]
    );
    assert_eq!(written(|out| response.write(out)), bytes);
    assert_eq!(ssl_request::parse(&bytes), None);
}

/// Attributes that run over are refused; a plugin's name without its NUL, and more bytes behind, are not.
#[test]
fn a_response_is_read_as_far_as_servers_read_it() {
    let bytes = body(RESPONSE, 1);
    assert_eq!(handshake_response::parse(&bytes[..bytes.len() - 1]), None);
    let whole = handshake_response::parse(&bytes).unwrap();
    let bare = handshake_response::HandshakeResponse {
        attributes: None,
        ..whole
    };
    let mut short = written(|out| bare.write(out));
    assert_eq!(short.pop(), Some(0));
    let read = handshake_response::parse(&short).unwrap();
    assert_eq!(read.plugin, whole.plugin);
}

/// A proof whose length one byte can't say.
#[test]
fn a_proof_that_does_not_fit_is_left_out() {
    let bytes = body(RESPONSE, 1);
    let mut whole = handshake_response::parse(&bytes).unwrap();
    let capabilities = whole.opening.capabilities;
    whole.opening.capabilities = capabilities.without(PLUGIN_AUTH_LENENC);
    for (length, there) in [(255, 255), (256, 0)] {
        let proof = vec![7; length];
        let long = handshake_response::HandshakeResponse {
            proof: &proof,
            ..whole
        };
        let wire = written(|out| long.write(out));
        let read = handshake_response::parse(&wire).unwrap();
        assert_eq!((read.proof.len(), read.database), (there, whole.database));
    }
}

#[test]
fn an_ssl_request_is_the_front_of_a_response() {
    let mut bytes = body(RESPONSE, 1);
    bytes.truncate(32);
    assert_eq!(ssl_request::parse(&bytes), None);
    bytes[1] |= 0x08;
    let opening = ssl_request::parse(&bytes).unwrap();
    assert_eq!(written(|out| ssl_request::write(&opening, out)), bytes);
    bytes.push(0);
    assert_eq!(ssl_request::parse(&bytes), None);
}

#[test]
fn mariadb_switches_to_ed25519() {
    let bytes = body(
        "30000002fe636c69656e745f656432353531390018b542c35fb4cc9faa11f377a8e32162c6c22751ad48a6ba\
         0b4d3d1023894344",
        2,
    );
    let switch = auth_switch::parse(&bytes).unwrap();
    assert_eq!(switch.plugin, b"client_ed25519");
    assert_eq!(switch.data.len(), 32);
    assert_eq!(written(|out| switch.write(out)), bytes);
    assert_eq!(
        auth_switch::parse(b"\xfe").unwrap().plugin,
        b"mysql_old_password"
    );
    assert_eq!(auth_switch::parse(b"\xfename"), None);
}

#[test]
fn a_plugin_says_more() {
    assert_eq!(auth_more_data::parse(b"\x01\x04"), Some(&b"\x04"[..]));
    assert_eq!(auth_more_data::parse(b"\0\x04"), None);
    assert_eq!(
        written(|out| auth_more_data::write(b"\x04", out)),
        b"\x01\x04"
    );
}
