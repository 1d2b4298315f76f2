//! `mysql_native_password` ("Native Authentication" in MySQL's manual of its source).
//!
//! A proof is SHA1(password) XOR SHA1(scramble + SHA1(SHA1(password))). Kept is the double hash, which is
//! also what a server keeps.

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::xor;

/// The plugin's name.
pub const PLUGIN: &[u8] = b"mysql_native_password";
/// The length of a proof, and of what is kept.
pub const LENGTH: usize = 20;

/// What is kept of a password.
pub fn stored(password: &[u8]) -> [u8; LENGTH] {
    hash(&[&hash(&[password])])
}

/// What proves a password; nothing of an empty one.
pub fn proof(password: &[u8], scramble: &[u8; LENGTH]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = hash(&[password]);
    xor(&once, &hash(&[scramble, &hash(&[&once])])).to_vec()
}

/// Whether that proves the password of which `stored` was kept.
pub fn proves(proof: &[u8], scramble: &[u8; LENGTH], stored: &[u8; LENGTH]) -> bool {
    let Ok(proof) = proof.try_into() else {
        return false;
    };
    let once = xor(proof, &hash(&[scramble, stored]));
    hash(&[&once]).ct_eq(stored).into()
}

fn hash(parts: &[&[u8]]) -> [u8; LENGTH] {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}
