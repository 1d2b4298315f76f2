//! Proof of passwords, on both legs: `mysql_native_password`, `caching_sha2_password` and MariaDB's
//! `client_ed25519`.
//!
//! The log-in of a client checks a proof against what is kept of its password; that of a database makes one.
//! Nothing here sends: a proof is what stands in a packet of [`crate::message`].
//!
//! Of an empty password, what proves it is empty too, and clients send that whatever was asked: so it proves
//! nothing here. Who has an empty password can't log in to the proxy.

pub mod caching_sha2;
pub mod ed25519;
pub mod native;

/// Bytewise exclusive or.
pub(crate) fn xor<const N: usize>(left: &[u8; N], right: &[u8; N]) -> [u8; N] {
    let mut result = *left;
    for (byte, other) in result.iter_mut().zip(right) {
        *byte ^= other;
    }
    result
}
