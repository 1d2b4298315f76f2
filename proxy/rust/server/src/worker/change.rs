//! What changes under a worker: new snapshots, a writer that is one no more, the drain.

use std::sync::Arc;

use dbproxy_driver::{Driver, Duration};
use dbproxy_engine::{CloseReason, Engine, KillReason, Link, Outcome, Session, Steps};

use crate::slab::Key;
use crate::snapshot::{Snapshot, TargetId};

use super::state::{BackendPlace, ClientPlace, Timer};
use super::Worker;

/// How long a cut backend may take to say how its request ended.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(1);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Swaps in a new desired state. Sessions see it at their next check-out; links to a writer of
    /// before are cut at once.
    pub(super) fn take_over(&mut self, snapshot: Arc<Snapshot>) {
        let before = self.snapshot.replace(snapshot.clone());
        let sequence = snapshot.sequence;
        if let Some(before) = before {
            self.hide_waiters(&before);
            if snapshot.term > before.term {
                self.shared.unlearn_all();
                if let Some(writer) = before.writer {
                    self.cut_target(writer.target, snapshot.term);
                }
            }
            if !Arc::ptr_eq(&before.users, &snapshot.users) {
                self.good_password.clear();
            }
        }
        self.retire_departed(&snapshot);
        self.shed_idle();
        self.pauses.clear();
        self.lanes.forget_pauses();
        self.exhausted_until.clear();
        self.shared.worker_caught_up(self.index, sequence);
        self.depart_with_endpoints();
        self.seek_all();
        self.show_all_waiters();
    }

    /// Clients of endpoints that are gone leave at their transactions' ends.
    fn depart_with_endpoints(&mut self) {
        for key in self.clients.keys() {
            let name = self.clients.get(key).map(|c| c.listener.name.clone());
            let departing = name.is_some_and(|name| self.endpoint_gone(&name));
            if let Some(client) = self.clients.get_mut(key) {
                client.departing = departing;
            }
            self.leave_if_drained(key);
        }
    }

    /// Backends of targets that are gone: idle ones go now, lent ones at their release.
    fn retire_departed(&mut self, snapshot: &Snapshot) {
        for key in self.backends.keys() {
            let Some(backend) = self.backends.get_mut(key) else {
                continue;
            };
            if snapshot.target(backend.target.id).is_some() {
                continue;
            }
            match backend.place {
                BackendPlace::Idle | BackendPlace::Opening(_) => {
                    self.kill(key, KillReason::Outdated);
                }
                _ => backend.retired = true,
            }
        }
    }

    /// A lowered limit closes idle backends now; lent ones go when they are free.
    fn shed_idle(&mut self) {
        for key in self.backends.keys() {
            let backend = self.backends.get_mut(key);
            let idle = backend.filter(|backend| matches!(backend.place, BackendPlace::Idle));
            let permit = idle.and_then(|backend| backend.permit.as_mut());
            if permit.is_some_and(|permit| self.shared.sheds(permit)) {
                self.kill(key, KillReason::OverLimit);
            }
        }
    }

    fn cut_target(&mut self, target: TargetId, term: u64) {
        for key in self.backends.keys() {
            let Some(backend) = self.backends.get_mut(key) else {
                continue;
            };
            let old = backend.permit.as_ref().is_some_and(|p| p.term() < term);
            if backend.target.id != target || !old {
                continue;
            }
            backend.cut = true;
            if let Some(link) = backend.link.as_mut() {
                link.cut();
            }
            let running = backend.link.as_ref().is_some_and(|l| l.outstanding() > 0);
            match backend.place {
                BackendPlace::Closing | BackendPlace::Departing(_) => {}
                BackendPlace::Lent(_) if running => {
                    // The true outcome is better than a guess: cancel, and read on for a while.
                    self.start_cancel(key);
                    let deadline = self.driver.now().after(OUTCOME_TIMEOUT);
                    self.timers.set(deadline, Timer::Cut(key));
                }
                BackendPlace::Lent(_) => self.lose(key, KillReason::WriterLost),
                _ => self.kill(key, KillReason::WriterLost),
            }
        }
    }

    /// A session's backend is gone, or will be at once: the session says what its client is told.
    pub(super) fn tell_loss(&mut self, client_key: Key, key: Key) {
        let (Some(client), Some(backend)) =
            (self.clients.get_mut(client_key), self.backends.get_mut(key))
        else {
            return;
        };
        let (Some(session), Some(link)) = (client.session.as_mut(), backend.link.as_mut()) else {
            return;
        };
        let mut steps = Steps::new();
        let outcome = session.lost(link, &mut steps);
        self.part(Some(client_key), key);
        self.play(client_key, None, 0, steps);
        match outcome {
            Outcome::Stays => {}
            Outcome::Requeue => self.requeue(client_key),
            Outcome::Closes(reason) => self.close_client(client_key, reason, None),
        }
    }

    /// The pod goes: clients leave at their transactions' ends, idle ones now.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        for key in self.clients.keys() {
            let welcomed = self.clients.get(key).is_some_and(|c| c.session.is_some());
            let leaving = self
                .clients
                .get(key)
                .is_some_and(|c| c.place == ClientPlace::Leaving);
            if welcomed || leaving {
                self.leave_if_drained(key);
            } else {
                let why = Some(dbproxy_engine::Failure::Shutdown);
                self.close_client(key, CloseReason::Shutdown, why);
            }
        }
    }
}
