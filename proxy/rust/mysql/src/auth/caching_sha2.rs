//! `caching_sha2_password` ("Caching_sha2_password information" in MySQL's manual of its source).
//!
//! A proof is SHA256(password) XOR SHA256(SHA256(SHA256(password)) + scramble). Kept is the double hash, which
//! is what a server has in its cache; the proxy keeps it of all its users, so the fast path always answers.
//! A server that has it not, or not yet, asks for the password itself: inside TLS as it is, outside
//! encrypted by its RSA key.

use rand_core::{TryCryptoRng, TryRng};
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, PublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::xor;

/// The plugin's name.
pub const PLUGIN: &[u8] = b"caching_sha2_password";
/// The length of a scramble.
pub const SCRAMBLE: usize = 20;
/// The length of a proof, and of what is kept.
pub const LENGTH: usize = 32;

/// The server's answer to a proof that it could check, in AuthMoreData: an OK follows.
pub const FAST_PASSED: &[u8] = &[3];
/// Its answer to one that it could not: it asks for the password.
pub const FULL_WANTED: &[u8] = &[4];
/// What a client sends to be given the server's RSA key, in AuthMoreData.
pub const KEY_WANTED: &[u8] = &[2];

/// The bits of a key that the proxy encrypts by: less is no protection, more keeps a worker busy.
const KEY_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What is kept of a password.
pub fn stored(password: &[u8]) -> [u8; LENGTH] {
    hash(&[&hash(&[password])])
}

/// What proves a password; nothing of an empty one.
pub fn proof(password: &[u8], scramble: &[u8; SCRAMBLE]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = hash(&[password]);
    xor(&once, &hash(&[&hash(&[&once]), scramble])).to_vec()
}

/// Whether that proves the password of which `stored` was kept.
pub fn proves(proof: &[u8], scramble: &[u8; SCRAMBLE], stored: &[u8; LENGTH]) -> bool {
    let Ok(proof) = proof.try_into() else {
        return false;
    };
    let once = xor(proof, &hash(&[stored, scramble]));
    hash(&[&once]).ct_eq(stored).into()
}

/// The answer to [`FULL_WANTED`] inside TLS: whoever reads it has the password. Who gives it must have verified
/// the server, or not care. A NUL ends it, so one inside can't be sent.
pub fn in_clear(password: &[u8]) -> Option<Vec<u8>> {
    (!password.contains(&0)).then(|| [password, b"\0"].concat())
}

/// The answer to the server's RSA key, which is the text that it gave: the password and its NUL, hidden by the
/// scramble, encrypted with OAEP over SHA-1. `None` if that is no key of a fair length, or too short for such
/// a password. Who asks must have verified the server some other way, or not care: anybody can have a key.
pub fn encrypted(
    password: &[u8],
    scramble: &[u8; SCRAMBLE],
    pem: &[u8],
    random: &mut dyn FnMut(&mut [u8]),
) -> Option<Vec<u8>> {
    let key = PublicKey::from_public_key_pem(std::str::from_utf8(pem).ok()?).ok()?;
    KEY_BITS.contains(&(key.size() * 8)).then_some(())?;
    let mut hidden = in_clear(password)?;
    for (byte, key) in hidden.iter_mut().zip(scramble.iter().cycle()) {
        *byte ^= key;
    }
    key.encrypt(&mut Random(random), Oaep::<Sha1>::new(), &hidden)
        .ok()
}

fn hash(parts: &[&[u8]]) -> [u8; LENGTH] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// The randomness that this crate is given, as `rsa` takes it.
struct Random<'a>(&'a mut dyn FnMut(&mut [u8]));

impl Random<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }
}

impl TryRng for Random<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        (self.0)(out);
        Ok(())
    }
}

impl TryCryptoRng for Random<'_> {}
