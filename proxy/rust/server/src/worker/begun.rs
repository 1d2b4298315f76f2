//! Requests that clients began to send: as long as they hold no backend, their end is waited for.

use dbproxy_driver::{Driver, Duration};
use dbproxy_engine::Engine;

use crate::slab::Key;

use super::relay::REQUEST_LIMIT;
use super::state::{ClientPlace, Timer};
use super::Worker;

/// A request of which whole messages are there waits so long for its end before they go on without it:
/// a client may want to see their answers first. A sender that is just slow holds no backend meanwhile.
const PATIENCE: Duration = Duration::from_millis(50);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Lets a client's session look at what it sent, as far as that goes.
    pub(super) fn pump_client(&mut self, key: Key) {
        self.pump_client_from(key, REQUEST_LIMIT);
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let waits = client.place == ClientPlace::Idle && !client.wire.input().is_empty();
        if !waits {
            client.begun = None;
        } else if client.begun.is_none() {
            client.begun = Some(self.driver.now());
            self.await_its_end(key);
        }
    }

    /// Sets the client's timer, of which it has one at a time: most requests end long before it rings.
    fn await_its_end(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if let Some(at) = client.begun.filter(|_| !client.begun_rings) {
            client.begun_rings = true;
            self.timers.set(at.after(PATIENCE), Timer::Begun(key));
        }
    }

    /// A client began a request a while ago. If it hasn't ended it since, what is there goes on.
    pub(super) fn begun_for_long(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.begun_rings = false;
        let now = self.driver.now();
        match client.begun {
            Some(at) if at.after(PATIENCE) <= now => {
                // What comes from now on is waited for anew.
                client.begun = None;
                if client.place == ClientPlace::Idle {
                    self.pump_client_from(key, 0);
                }
            }
            Some(_) => self.await_its_end(key),
            None => {}
        }
    }
}
