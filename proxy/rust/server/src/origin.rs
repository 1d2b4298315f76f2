//! What a connection to a database was opened for, and whether a later snapshot still wants it so.
//!
//! Each backend carries its [`Origin`], also from worker to worker. Used by the worker's `opening`
//! (which makes it), `cancels` (which go the same way), `change` and `trade` (which ask).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::snapshot::{Snapshot, Target, TargetId};
use crate::tls::{BackendTls, Tls, TlsFault, TlsMode};

/// What a connection was opened for.
#[derive(Clone)]
pub struct Origin {
    /// The address it is connected to, where its cancels go too.
    pub address: SocketAddr,
    server_name: Arc<str>,
    tls: Arc<BackendTls>,
    init_query: Option<Arc<str>>,
    defaults: Arc<str>,
}

impl Origin {
    /// Of a connection that is opened now to an address of a target.
    pub fn new<C>(snapshot: &Snapshot<C>, target: &Target, address: SocketAddr) -> Self {
        Self {
            address,
            server_name: target.server_name.clone(),
            tls: snapshot.backend_tls.clone(),
            init_query: snapshot.init_query.clone(),
            defaults: target.defaults.clone(),
        }
    }

    /// How far TLS goes on the way there.
    pub fn tls_mode(&self) -> TlsMode {
        self.tls.mode
    }

    /// The client's side of a handshake with that server.
    pub fn start_tls(&self) -> Result<Tls, TlsFault> {
        Tls::connect(&self.tls, &self.server_name)
    }

    /// What is run on each connection before clients get it.
    pub fn init_query(&self) -> Option<Arc<str>> {
        self.init_query.clone()
    }

    /// Whether its session began with other defaults than one that begins now, as far as is known.
    fn began_otherwise(&self, now: &Target) -> bool {
        let known = !self.defaults.is_empty() && !now.defaults.is_empty();
        known && self.defaults != now.defaults
    }

    /// Whether a connection that is opened now, to that target for that user, would be like this
    /// one. (Not by which password it came in: a new one changes nothing for who is in.)
    pub fn fits<C>(&self, snapshot: &Snapshot<C>, target: TargetId, user: &str) -> bool {
        let Some(now) = snapshot.target(target) else {
            return false;
        };
        let checks_name = self.tls.mode == TlsMode::VerifyIdentity;
        snapshot.is_at(target, self.address)
            && self.tls.demands_the_same(&snapshot.backend_tls)
            && (!checks_name || self.server_name == now.server_name)
            && self.init_query == snapshot.init_query
            && !self.began_otherwise(now)
            && snapshot.users.by_name.contains_key(user)
    }
}
