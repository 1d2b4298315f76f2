//! Who may log in, and who did.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Password;

/// One database user; `C` is what its clients' proofs are checked by ([`crate::Engine::Credential`]).
#[derive(Clone)]
pub struct User<C> {
    /// Its name.
    pub name: Arc<str>,
    /// Clear passwords, newest first: what backends log in with.
    pub passwords: Vec<Password>,
    /// How its clients log in, and what is kept to check that.
    pub credential: C,
}

/// All users of one snapshot.
#[derive(Clone)]
pub struct Users<C> {
    /// By their names.
    pub by_name: HashMap<Arc<str>, Arc<User<C>>>,
    /// A secret of all pods, from which is made what an unknown user is challenged with.
    pub fleet_secret: Vec<u8>,
}

impl<C> Default for Users<C> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            fleet_secret: Vec::new(),
        }
    }
}

/// Who a client is after its log-in: with the target, this is the key of the pool.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// The database user.
    pub user: Arc<str>,
    /// The database.
    pub database: Arc<str>,
    /// What else backends log in with, sorted by name: in PostgreSQL startup settings (parameters,
    /// `options` too); `application_name` is not among them.
    pub settings: Arc<[(Box<str>, Box<str>)]>,
    /// What its session has left in a server process for good: a connection that has more of it is not
    /// for this client.
    pub traces: Traces,
}

/// What lasts as long as a server process, by name, sorted: in PostgreSQL the custom settings that
/// once were set.
pub type Traces = Arc<[Arc<str>]>;
