//! The arithmetic of SCRAM-SHA-256 (RFC 5802, RFC 7677) and its attribute syntax, for both sides.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub(crate) type Key = [u8; 32];

/// HMAC-SHA-256 over the concatenation of `parts`.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    // HMAC takes keys of any length, so this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Key::default();
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

/// PBKDF2 over the prepared password: the costly step.
pub(crate) fn salted_password(password: &str, salt: &[u8], iterations: u32) -> Key {
    let mut key = Key::default();
    let prepared = prepare(password);
    pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), salt, iterations, &mut key);
    key
}

/// SASLprep; a password it refuses is used as it is, as PostgreSQL does on both sides.
fn prepare(password: &str) -> Cow<'_, str> {
    stringprep::saslprep(password).unwrap_or(Cow::Borrowed(password))
}

/// The key that a client proves to know.
pub(crate) fn client_key(salted: &Key) -> Key {
    hmac(salted, &[b"Client Key"])
}

/// The key with which the server proves itself.
pub(crate) fn server_key(salted: &Key) -> Key {
    hmac(salted, &[b"Server Key"])
}

/// Bytewise exclusive or.
pub(crate) fn xor(left: &Key, right: &Key) -> Key {
    let mut result = *left;
    for (byte, other) in result.iter_mut().zip(right) {
        *byte ^= other;
    }
    result
}

/// Takes `x=value` off the front of a comma-separated message.
pub(crate) fn attribute<'a>(rest: &mut &'a str, name: char) -> Option<&'a str> {
    let (field, tail) = rest.split_once(',').unwrap_or((rest, ""));
    let value = field.strip_prefix(name)?.strip_prefix('=')?;
    *rest = tail;
    Some(value)
}
