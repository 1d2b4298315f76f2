//! What a client is to make its proof for, and whether it has.

use crate::auth::{caching_sha2, ed25519, native};
use crate::credential::{Scramble, UserMethod, Verifier};
use crate::message::greeting::SCRAMBLE;

/// What one proof is asked for.
#[derive(Clone, Copy)]
pub(super) struct Challenge {
    pub(super) method: UserMethod,
    pub(super) scramble: Scramble,
}

/// What prints it keeps what it is to itself, as what a proof is made for is half of that.
impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.method.fmt(f)
    }
}

impl Challenge {
    /// The same for a proof by another method.
    pub(super) fn by(self, method: UserMethod) -> Self {
        Self { method, ..self }
    }

    /// As a greeting has it: both plugins that one may name have scrambles of that length.
    pub(super) fn short(&self) -> [u8; SCRAMBLE] {
        let short = self.scramble.0.first_chunk();
        short.copied().unwrap_or([0; SCRAMBLE])
    }

    /// As a request to switch has it.
    pub(super) fn data(&self) -> Vec<u8> {
        match self.method {
            UserMethod::CachingSha2 | UserMethod::Native => [&self.short()[..], b"\0"].concat(),
            UserMethod::Ed25519 => self.scramble.0.to_vec(),
        }
    }

    /// Whether what stands in a response is a proof by `method` for this, right or wrong: those of two of
    /// them are made for the same scramble, whichever was named.
    pub(super) fn is_answered(&self, method: UserMethod, proof: &[u8]) -> bool {
        match method {
            UserMethod::CachingSha2 => proof.len() == caching_sha2::LENGTH,
            UserMethod::Native => proof.len() == native::LENGTH,
            UserMethod::Ed25519 => false,
        }
    }

    /// The one of these passwords that this proves. All are tried, so that time tells nothing.
    pub(super) fn met_by<'a>(
        &self,
        proof: &[u8],
        verifiers: &'a [Verifier],
    ) -> Option<&'a Verifier> {
        let short = self.short();
        let mut proven = None;
        for kept in verifiers {
            let right = match self.method {
                UserMethod::CachingSha2 => caching_sha2::proves(proof, &short, &kept.caching_sha2),
                UserMethod::Native => native::proves(proof, &short, &kept.native),
                UserMethod::Ed25519 => ed25519::proves(proof, &self.scramble.0, &kept.ed25519),
            };
            if right & kept.opens {
                proven = Some(kept);
            }
        }
        proven
    }
}
