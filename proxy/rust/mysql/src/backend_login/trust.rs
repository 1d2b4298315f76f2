//! What a server may ask of the proxy for a log-in, and what whoever runs it can do about a refusal.
//!
//! No plugin proves anything of a server: whoever is connected to may say OK to whatever it is sent. So what
//! counts is what an answer gives away to somebody who only says that he is the server. To one that nobody
//! verified nothing is given that gives away more than what the user's clients give to a server of theirs.

use dbproxy_engine::{BackendFailure, BackendFault};

use crate::credential::UserMethod;

/// What an answer gives away, the least last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Gives {
    /// The password, to whoever reads the connection.
    ClearText,
    /// The password, to who asks: `caching_sha2_password` where the server hasn't cached it, inside TLS or
    /// encrypted by a key that anybody may have made.
    Password,
    /// A hash by which passwords can be tried out off line.
    Hash,
    /// A signature: trying out costs much more.
    Signature,
}

impl Gives {
    /// What a proof by that method gives away.
    pub(super) fn by(method: UserMethod) -> Self {
        match method {
            UserMethod::CachingSha2 | UserMethod::Native => Self::Hash,
            UserMethod::Ed25519 => Self::Signature,
        }
    }

    /// Whether an unverified server may have it of a user whose clients log in so. Those who do by
    /// `caching_sha2_password` give any server of theirs the password when it asks.
    fn is_fair(self, method: UserMethod) -> bool {
        match method {
            UserMethod::CachingSha2 => self >= Self::Password,
            UserMethod::Native => self >= Self::Hash,
            UserMethod::Ed25519 => self >= Self::Signature,
        }
    }

    /// Whether this may be given away.
    pub(super) fn allowed(self, method: UserMethod, verified: bool) -> Result<(), BackendFailure> {
        if verified || self.is_fair(method) {
            return Ok(());
        }
        let asked = match self {
            Self::ClearText => {
                return Err(refused(
                    "the server asks for a clear-text password, which only a verified one gets: \
                     verify it (tls.mode VERIFY_CA)",
                ))
            }
            Self::Password => "the password itself (caching_sha2_password's full authentication)",
            Self::Hash | Self::Signature => "a hash of the password",
        };
        Err(refused(format!(
            "the server asks for {asked}, which is more than the user's clients give away: verify \
             the server (tls.mode VERIFY_CA), or let the user log in by the same plugin there \
             and here (clientPasswordAuthType)"
        )))
    }
}

/// Final: the same server asks the same thing again.
pub(super) fn refused(message: impl Into<String>) -> BackendFailure {
    BackendFailure::found(BackendFault::NotLetIn, message)
}
