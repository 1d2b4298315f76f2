//! The arithmetic of SCRAM-SHA-256 (RFC 5802, RFC 7677) and its attribute syntax, for both sides.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub(crate) type Key = [u8; 32];

/// Random bytes of a nonce, which base64 makes 24 characters of.
pub(crate) const NONCE: usize = 18;

/// HMAC-SHA-256 over the concatenation of `parts`.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    code(&keyed(key), parts)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so the other one is never taken.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

fn code(mac: &Hmac<Sha256>, parts: &[&[u8]]) -> Key {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

/// PBKDF2 over the prepared password: the costly step, which can be done in pieces.
pub(crate) struct SaltedPassword {
    mac: Hmac<Sha256>,
    last: Key,
    sum: Key,
    left: u32,
}

impl SaltedPassword {
    /// With the first of its iterations, of which there is always one.
    pub(crate) fn begin(password: &str, salt: &[u8], iterations: u32) -> Self {
        let prepared = prepare(password);
        let mac = keyed(prepared.as_bytes());
        // A SHA-256 value is PBKDF2's first block, and all of it.
        let first = code(&mac, &[salt, &1u32.to_be_bytes()]);
        Self {
            mac,
            last: first,
            sum: first,
            left: iterations.saturating_sub(1),
        }
    }

    /// Does `most` more iterations at most; answers the value once it is there.
    pub(crate) fn advance(&mut self, most: u32) -> Option<Key> {
        self.iterate(most.min(self.left));
        (self.left == 0).then_some(self.sum)
    }

    fn iterate(&mut self, times: u32) {
        for _ in 0..times {
            self.last = code(&self.mac, &[&self.last]);
            self.sum = xor(&self.sum, &self.last);
        }
        self.left -= times;
    }
}

/// The same at once.
pub(crate) fn salted_password(password: &str, salt: &[u8], iterations: u32) -> Key {
    let mut salted = SaltedPassword::begin(password, salt, iterations);
    salted.iterate(salted.left);
    salted.sum
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

#[cfg(test)]
mod tests {
    use super::*;

    // What OpenSSL makes of them.
    const KEYS: [(u32, &str); 4] = [
        (
            1,
            "12b96ebc302c96507536a1b289703fc39b589881a975a036894c6d41c5c6e14e",
        ),
        (
            2,
            "ba322535ea6395bcd9b06944b1fcc4ec96df53ff857ccbe37325ade75d8f8bb9",
        ),
        (
            4096,
            "15b752a5d5669f38225fd988fdc5be2f9a0670b595affb2bbaeb554701ebdf28",
        ),
        (
            4097,
            "696468a550aa2dab5e67e374e83db3070ab8867a7b4b3d973d0311a6363ba26a",
        ),
    ];

    fn hex(key: &Key) -> String {
        key.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_salted_password_is_the_same_in_pieces_of_any_size() {
        let (password, salt) = ("pencil", b"0123456789abcdef");
        for (iterations, key) in KEYS {
            assert_eq!(hex(&salted_password(password, salt, iterations)), key);
            for piece in [1, 100, 4096] {
                let mut salted = SaltedPassword::begin(password, salt, iterations);
                let pieces = (iterations - 1).div_ceil(piece).max(1);
                for _ in 1..pieces {
                    assert_eq!(salted.advance(piece), None);
                }
                assert_eq!(
                    salted.advance(piece).as_ref().map(hex).as_deref(),
                    Some(key)
                );
            }
        }
    }
}
