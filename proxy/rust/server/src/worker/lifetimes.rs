//! The end of long lives: clients go at a boundary, backends when nobody holds them, and of either
//! only a few at a time. `sweep` calls it; what is busy then is seen to when it comes to rest
//! (`leave_at_boundary`, `reuse`).

use dbproxy_driver::{Driver, Time};
use dbproxy_engine::{Engine, KillReason};

use crate::slab::Key;

use super::places::BackendPlace;
use super::state::{Backend, Client};
use super::Worker;

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Ends lives that have lasted for as long as they may, the longest first.
    pub(super) fn end_lives(&mut self, now: Time) {
        let Some(snapshot) = self.snapshot.clone() else {
            return;
        };
        self.farewells.renew(self.clients.iter().count());
        let most = snapshot.limits.client_lifetime;
        let over = |client: &Client<E>| !client.outlived && client.life.is_over(most, now);
        let clients = self.clients.iter().filter(|(_, client)| over(client));
        for key in eldest(clients.map(|(key, client)| (client.life.born(), key))) {
            if !self.farewells.take() {
                break;
            }
            if let Some(client) = self.clients.get_mut(key) {
                client.outlived = true;
            }
            self.leave_at_boundary(key);
        }
        self.retirements.renew(self.backends.iter().count());
        let most = snapshot.limits.backend_lifetime;
        let over = |backend: &Backend<E>| {
            matches!(backend.place, BackendPlace::Idle) && backend.life.is_over(most, now)
        };
        let backends = self.backends.iter().filter(|(_, backend)| over(backend));
        for key in eldest(backends.map(|(key, backend)| (backend.life.born(), key))) {
            if !self.retirements.take() {
                break;
            }
            self.kill(key, KillReason::Lifetime);
        }
    }
}

fn eldest(lives: impl Iterator<Item = (Time, Key)>) -> Vec<Key> {
    let mut lives: Vec<(Time, Key)> = lives.collect();
    lives.sort_unstable();
    lives.into_iter().map(|(_, key)| key).collect()
}
