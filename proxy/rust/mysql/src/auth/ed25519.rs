//! `client_ed25519` ("Authentication Plugin - ed25519" in MariaDB's knowledge base).
//!
//! The password is the secret of an Ed25519 key (RFC 8032), of any length where others have 32 bytes. A proof
//! is a signature of the scramble; kept is the public key, which is also what a server keeps.

use ed25519_dalek::hazmat::{raw_sign, ExpandedSecretKey};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha512};

/// The plugin's name.
pub const PLUGIN: &[u8] = b"client_ed25519";
/// The length of a scramble, and of what is kept.
pub const LENGTH: usize = 32;

/// What is kept of a password.
pub fn stored(password: &[u8]) -> [u8; LENGTH] {
    VerifyingKey::from(&key(password)).to_bytes()
}

/// What proves a password; nothing of an empty one.
pub fn proof(password: &[u8], scramble: &[u8; LENGTH]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let key = key(password);
    let public = VerifyingKey::from(&key);
    raw_sign::<Sha512>(&key, scramble, &public)
        .to_bytes()
        .to_vec()
}

/// Whether that proves the password of which `stored` was kept. Nothing in it is secret, so its time may
/// tell.
pub fn proves(proof: &[u8], scramble: &[u8; LENGTH], stored: &[u8; LENGTH]) -> bool {
    let (Ok(signature), Ok(public)) = (
        Signature::from_slice(proof),
        VerifyingKey::from_bytes(stored),
    ) else {
        return false;
    };
    public.verify_strict(scramble, &signature).is_ok()
}

fn key(password: &[u8]) -> ExpandedSecretKey {
    ExpandedSecretKey::from_bytes(&Sha512::digest(password).into())
}
