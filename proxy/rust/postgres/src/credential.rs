//! What is kept of users to check their clients' proofs, and what a log-in leaves to its session.

use std::sync::Arc;

/// How a client proves its password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserMethod {
    /// SCRAM-SHA-256 (RFC 5802, RFC 7677).
    ScramSha256,
    /// PostgreSQL's MD5.
    Md5,
}

/// What is kept of one password to check a client's proof without making keys each time.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// The SCRAM salt, the same in all pods.
    pub salt: Vec<u8>,
    /// PBKDF2's iterations.
    pub iterations: u32,
    /// SCRAM's StoredKey.
    pub stored_key: [u8; 32],
    /// SCRAM's ServerKey.
    pub server_key: [u8; 32],
    /// `md5` + hex(md5(password + user)), as PostgreSQL stores it.
    pub md5: String,
}

/// One user's.
#[derive(Clone)]
pub struct Credential {
    /// How its clients log in.
    pub method: UserMethod,
    /// One for each of its passwords, in their order.
    pub verifiers: Arc<[Verifier]>,
}

/// What prints it prints nothing of its keys.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.method.fmt(f)
    }
}

/// What a log-in leaves to its session.
#[derive(Clone, Default, Debug)]
pub struct Handover {
    /// What the client calls itself, in bytes as it came, if it said; set on backends at check-out.
    pub application_name: Option<Arc<[u8]>>,
    /// Its protocol has room for a long cancel key (3.2).
    pub long_cancel_key: bool,
}

/// This protocol's.
pub type User = dbproxy_engine::User<Credential>;
/// This protocol's.
pub type Users = dbproxy_engine::Users<Credential>;
/// This protocol's.
pub type LoginEnv<'a> = dbproxy_engine::LoginEnv<'a, Credential>;
/// This protocol's.
pub type LoginProgress = dbproxy_engine::LoginProgress<Handover>;
/// This protocol's.
pub type BackendAsk = dbproxy_engine::BackendAsk<Credential>;
