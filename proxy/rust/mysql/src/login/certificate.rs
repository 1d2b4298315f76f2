//! What makes MariaDB's clients since 11.4 believe in a certificate that nobody whom they know has signed: in
//! the OK a server shows that it knows the password, by a hash of what it keeps of that, the scramble
//! and the certificate's fingerprint. Who passes on another's exchange has another certificate
//! ("Zero-Configuration SSL" in MariaDB's knowledge base).

use dbproxy_engine::TlsFacts;
use sha2::{Digest, Sha256};

use crate::credential::{UserMethod, Verifier};
use crate::message::greeting::SCRAMBLE;

/// The hash is SHA-256, written in hexadecimal digits.
const BY_SHA256: char = '\u{1}';
const FINGERPRINT: usize = 32;

/// The proof for who has proved the password of which that is kept. By `caching_sha2_password` there is none:
/// its clients may give the password itself to whoever asks.
pub(super) fn proof(
    kept: &Verifier,
    method: UserMethod,
    scramble: &[u8; SCRAMBLE],
    tls: Option<&TlsFacts>,
) -> Option<Box<str>> {
    let kept = match method {
        UserMethod::Native => &kept.native[..],
        UserMethod::Ed25519 => &kept.ed25519[..],
        UserMethod::CachingSha2 => return None,
    };
    // Of this length it is the SHA-256 of the certificate, which is its fingerprint too.
    let hash = tls?.end_point.as_deref()?;
    let fingerprint: &[u8; FINGERPRINT] = hash.try_into().ok()?;
    let digest = Sha256::new()
        .chain_update(kept)
        .chain_update(scramble)
        .chain_update(fingerprint)
        .finalize();
    let digits = digest.iter().map(|byte| format!("{byte:02x}"));
    let proof: String = [BY_SHA256.to_string()].into_iter().chain(digits).collect();
    Some(proof.into())
}
