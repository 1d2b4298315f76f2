//! What new clients are told: the reports of a session that has set nothing, by role of the target and
//! pool key. Learnt from each backend's log-in, so that a client's own needs none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use dbproxy_engine::Identity;

use crate::mailbox::lock;
use crate::snapshot::Role;

/// So many are kept at most: clients choose startup settings, so their number is theirs.
const MOST: usize = 4096;

/// The reports that are known.
pub struct Templates<P> {
    known: Mutex<HashMap<(Role, Identity), Arc<P>>>,
}

impl<P> Default for Templates<P> {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
        }
    }
}

impl<P> Templates<P> {
    /// What a client of that key is told at its welcome, if it is known.
    pub fn get(&self, role: Role, identity: &Identity) -> Option<Arc<P>> {
        let key = (role, identity.clone());
        lock(&self.known).get(&key).cloned()
    }

    /// Remembers what a fresh backend reported.
    pub fn learn(&self, role: Role, identity: &Identity, params: &Arc<P>) {
        let mut known = lock(&self.known);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((role, bare(identity)), params.clone());
    }

    /// Forgets the reports for one key: the database refused it.
    pub fn unlearn(&self, identity: &Identity) {
        let key = bare(identity);
        lock(&self.known).retain(|(_, known), _| *known != key);
    }

    /// Forgets all reports: the writer is another server now.
    pub fn unlearn_all(&self) {
        lock(&self.known).clear();
    }
}

/// A new client's: no session of it has left anything yet.
fn bare(identity: &Identity) -> Identity {
    Identity {
        traces: [].into(),
        ..identity.clone()
    }
}
