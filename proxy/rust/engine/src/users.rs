//! Who may log in, and who did.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Password;

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

/// One database user.
#[derive(Clone)]
pub struct User {
    /// The role's name.
    pub name: Arc<str>,
    /// How its clients log in.
    pub method: UserMethod,
    /// Clear passwords, newest first: what backends log in with.
    pub passwords: Vec<Password>,
    /// A verifier for each of `passwords`, in that order.
    pub verifiers: Vec<Verifier>,
}

/// All users of one snapshot.
#[derive(Clone, Default)]
pub struct Users {
    /// By role name.
    pub by_name: HashMap<Arc<str>, Arc<User>>,
    /// A secret of all pods, from which an unknown user's salt is made.
    pub fleet_secret: Vec<u8>,
}

/// Who a client is after its log-in: with the target, this is the key of the pool.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// The database user.
    pub user: Arc<str>,
    /// The database.
    pub database: Arc<str>,
    /// Startup settings (parameters, `options` too) that backends log in with, sorted by name;
    /// `application_name` is not among them.
    pub settings: Arc<[(Box<str>, Box<str>)]>,
    /// What its session has left in a server process for good: a connection that has more of it is not
    /// for this client. Nothing right after the log-in.
    pub traces: Traces,
}

/// What lasts as long as a server process, by name, sorted: in PostgreSQL the custom settings that
/// once were set.
pub type Traces = Arc<[Arc<str>]>;
