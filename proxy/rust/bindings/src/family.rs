//! What the bindings must know of a protocol family beside its machines: how Python's words become
//! its credentials.

use dbproxy_engine::Engine;
use dbproxy_postgres::{Credential, Postgres, UserMethod, Verifier};

/// One family.
pub trait Family: Engine {
    /// What is kept of a password; costly to make.
    type Verifier: Clone + Send;

    /// Makes it, of that user's password and the secret of all pods.
    fn verifier(user: &str, password: &str, secret: &[u8]) -> Self::Verifier;

    /// How a user's clients log in: by the method's name (`planner.py`), if there is such a one.
    fn credential(method: &str, verifiers: Vec<Self::Verifier>) -> Option<Self::Credential>;
}

impl Family for Postgres {
    type Verifier = Verifier;

    fn verifier(user: &str, password: &str, secret: &[u8]) -> Verifier {
        dbproxy_postgres::verifier(user, password, secret)
    }

    fn credential(method: &str, verifiers: Vec<Verifier>) -> Option<Credential> {
        let method = match method {
            "SCRAM_SHA_256" => UserMethod::ScramSha256,
            "MD5" => UserMethod::Md5,
            _ => return None,
        };
        Some(Credential {
            method,
            verifiers: verifiers.into(),
        })
    }
}
