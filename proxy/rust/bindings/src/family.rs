//! What the bindings must know of a protocol family beside its machines: how Python's words become
//! its credentials.

use dbproxy_engine::Engine;
use dbproxy_mysql::MySql;
use dbproxy_postgres::Postgres;

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
    type Verifier = dbproxy_postgres::Verifier;

    fn verifier(user: &str, password: &str, secret: &[u8]) -> Self::Verifier {
        dbproxy_postgres::verifier(user, password, secret)
    }

    fn credential(method: &str, verifiers: Vec<Self::Verifier>) -> Option<Self::Credential> {
        let method = match method {
            "SCRAM_SHA_256" => dbproxy_postgres::UserMethod::ScramSha256,
            "MD5" => dbproxy_postgres::UserMethod::Md5,
            _ => return None,
        };
        Some(dbproxy_postgres::Credential {
            method,
            verifiers: verifiers.into(),
        })
    }
}

impl Family for MySql {
    type Verifier = dbproxy_mysql::Verifier;

    fn verifier(_: &str, password: &str, _: &[u8]) -> Self::Verifier {
        dbproxy_mysql::Verifier::new(password)
    }

    fn credential(method: &str, verifiers: Vec<Self::Verifier>) -> Option<Self::Credential> {
        let method = match method {
            "CACHING_SHA2_PASSWORD" => dbproxy_mysql::UserMethod::CachingSha2,
            "MYSQL_NATIVE_PASSWORD" => dbproxy_mysql::UserMethod::Native,
            "CLIENT_ED25519" => dbproxy_mysql::UserMethod::Ed25519,
            _ => return None,
        };
        Some(dbproxy_mysql::Credential {
            method,
            verifiers: verifiers.into(),
        })
    }
}
