//! What a server may not ask of the proxy, and what whoever runs it can do about it.

use dbproxy_engine::BackendFailure;

use crate::failure::failed;

/// A way of logging in that an unverified server is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// The password itself.
    ClearText,
    /// A hash that can be tried out off line, of a user who logs in by SCRAM.
    Md5,
    /// Nothing at all.
    NoProof,
    /// More work than a worker may be kept from its clients for.
    Iterations(u32),
}

impl Refused {
    /// Final: the same server asks the same thing again.
    pub(crate) fn failure(self) -> BackendFailure {
        let message = match self {
            Self::ClearText => "the server asks for a clear-text password, which only a verified \
                one gets: let it ask by scram-sha-256 (pg_hba.conf), or verify it \
                (tls.mode VERIFY_CA)"
                .to_owned(),
            Self::Md5 => "the server asks for MD5, and the user logs in by SCRAM-SHA-256 unless \
                the server is verified: store the role's password by SCRAM (password_encryption), \
                verify the server (tls.mode VERIFY_CA), or set the user's \
                clientPasswordAuthType to POSTGRES_MD5"
                .to_owned(),
            Self::NoProof => "the server asks for no password, and nobody verified it: let it ask \
                by scram-sha-256 (pg_hba.conf), verify it (tls.mode VERIFY_CA), or say that it \
                needs no proof (tls.mode DISABLED)"
                .to_owned(),
            Self::Iterations(count) => format!(
                "the server asks for {count} SCRAM iterations, and the proxy does at most {}: set \
                 the role's password again with a lower scram_iterations",
                super::scram_client::MOST_ITERATIONS
            ),
        };
        failed("28000", message)
    }
}
