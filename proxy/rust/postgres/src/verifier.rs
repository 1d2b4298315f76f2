//! Makes the [`Verifier`] of a credential: once per snapshot, never per log-in.

use std::sync::Arc;

use crate::auth::{md5, scram};
use crate::credential::{User, UserMethod, Users, Verifier};

/// RFC 7677's least, and PostgreSQL's default.
const ITERATIONS: u32 = 4096;

/// What is kept of `password` to check a client's proof. The salt follows from the user and the
/// secret that all pods share, so every pod challenges alike, and so for every password of a user.
pub fn verifier(user: &str, password: &str, fleet_secret: &[u8]) -> Verifier {
    let salt = salt(user, fleet_secret);
    let salted = scram::salted_password(password, &salt, ITERATIONS);
    Verifier {
        salt,
        iterations: ITERATIONS,
        stored_key: scram::hash(&scram::client_key(&salted)),
        server_key: scram::server_key(&salted),
        md5: md5::stored(user, password),
    }
}

/// The verifier of a user that doesn't exist: the same salt as if it did, and keys that no password
/// leads to.
pub(crate) fn mock(user: &str, fleet_secret: &[u8]) -> Verifier {
    Verifier {
        salt: salt(user, fleet_secret),
        iterations: ITERATIONS,
        stored_key: scram::hmac(fleet_secret, &[b"mock stored key\0", user.as_bytes()]),
        server_key: scram::hmac(fleet_secret, &[b"mock server key\0", user.as_bytes()]),
        md5: String::new(),
    }
}

/// A number below `most` that looks drawn, and is the same for a user in all pods.
fn draw(user: &str, fleet_secret: &[u8], most: u64) -> u64 {
    let hash = scram::hmac(fleet_secret, &[b"mock method\0", user.as_bytes()]);
    let (head, _) = hash.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*head) % most
}

fn salt(user: &str, fleet_secret: &[u8]) -> Vec<u8> {
    let mut salt = scram::hmac(fleet_secret, &[b"salt\0", user.as_bytes()]).to_vec();
    salt.truncate(16);
    salt
}

/// The method of a user who doesn't exist: as often one or the other as users do have it, and for
/// each name always the same. Whoever is asked need not exist, whatever he is asked for.
pub(crate) fn likely_method(user: &str, users: &Users) -> UserMethod {
    let md5 = |user: &&Arc<User>| user.credential.method == UserMethod::Md5;
    let all = users.by_name.len() as u64;
    let share = users.by_name.values().filter(md5).count() as u64;
    if draw(user, &users.fleet_secret, all.max(1)) < share {
        UserMethod::Md5
    } else {
        UserMethod::ScramSha256
    }
}
