//! What changes under a worker: new snapshots, a writer that is one no more, the drain.

use std::sync::Arc;

use dbproxy_driver::{Driver, Duration};
use dbproxy_engine::{CloseReason, Engine, KillReason, Link, Outcome, Session, Steps};

use crate::slab::Key;
use crate::snapshot::{Snapshot, TargetId};

use super::places::BackendPlace;
use super::state::ClientPlace;
use super::Worker;

/// How long a cut backend may take to say how its request ended.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(1);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Swaps in a new desired state. Sessions see it at their next check-out; links to a writer of
    /// before are cut at once (the rules are in `snapshot`).
    pub(super) fn take_over(&mut self, snapshot: Arc<Snapshot<E::Credential>>) {
        let before = self.snapshot.replace(snapshot.clone());
        let sequence = snapshot.sequence;
        // It fails for listeners only; a worker has none.
        E::Session::rule(&mut self.memory, snapshot.rules);
        self.driver.set_tcp(snapshot.limits.backend_tcp).ok();
        if let Some(before) = before {
            self.hide_waiters(&before);
            if snapshot.term > before.term {
                self.shared.templates.unlearn_all();
                self.leave_former_writer(before.writer.map(|w| w.target), &snapshot);
            }
            if snapshot.begins_otherwise(&before) {
                self.shared.templates.unlearn_all();
            }
            if !Arc::ptr_eq(&before.users, &snapshot.users) {
                self.good_password.clear();
            }
        }
        self.retire_outdated(&snapshot);
        self.shed_idle();
        self.shed_ears(&snapshot);
        self.pauses.clear();
        self.lanes.forget_pauses();
        self.exhausted_until.clear();
        self.shared.worker_caught_up(self.index, sequence);
        self.depart_with_endpoints();
        self.learn_all_shares();
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
            self.leave_at_boundary(key);
        }
    }

    /// Backends that were opened for what nobody wants any more: idle ones go now, lent ones at
    /// their release.
    fn retire_outdated(&mut self, snapshot: &Snapshot<E::Credential>) {
        for key in self.backends.keys() {
            let Some(backend) = self.backends.get_mut(key) else {
                continue;
            };
            let user = self.lanes.all.get(backend.lane).map(|l| &*l.identity.user);
            let origin = &backend.origin;
            if origin.fits(snapshot, backend.target.id, user.unwrap_or_default()) {
                continue;
            }
            match backend.place {
                BackendPlace::Idle
                | BackendPlace::Free
                | BackendPlace::Ear(_)
                | BackendPlace::Opening(_) => {
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

    /// A term ended: what is connected to its writer is cut, everything else goes on in the new one.
    fn leave_former_writer(
        &mut self,
        former: Option<TargetId>,
        snapshot: &Snapshot<E::Credential>,
    ) {
        for key in self.backends.keys() {
            let Some(backend) = self.backends.get_mut(key) else {
                continue;
            };
            let (target, address) = (backend.target.id, backend.origin.address);
            if Some(target) == former && !snapshot.writes_at(target, address) {
                self.cut(key);
                continue;
            }
            // What goes, goes in the term in which it was begun to be closed.
            let goes = matches!(
                backend.place,
                BackendPlace::Closing | BackendPlace::Departing(_)
            );
            match backend.permit.as_mut() {
                Some(permit) if !goes && !backend.cut => self.shared.renew(permit, snapshot.term),
                _ => {}
            }
        }
    }

    fn cut(&mut self, key: Key) {
        let deadline = self.driver.now().after(OUTCOME_TIMEOUT);
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
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
                self.allow_until(key, deadline);
            }
            BackendPlace::Lent(_) => self.lose(key, KillReason::WriterLost),
            _ => self.kill(key, KillReason::WriterLost),
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
        // What listens for it was at the same writer.
        client.hearing.deaf |= backend.cut && client.hearing.ear.is_some();
        self.part(Some(client_key), key);
        self.play(client_key, None, 0, steps);
        match outcome {
            Outcome::Stays => self.part_if_deaf(client_key),
            Outcome::Requeue => self.requeue(client_key),
            Outcome::Closes(reason) => self.close_client(client_key, reason, None),
        }
    }

    /// Nobody new comes to a pod that goes: what is idle is room for other pods.
    fn shed_all_idle(&mut self) {
        for key in self.backends.keys() {
            let place = self.backends.get(key).map(|backend| &backend.place);
            if matches!(place, Some(BackendPlace::Idle)) {
                self.kill(key, KillReason::Shutdown);
            }
        }
    }

    /// The pod goes: clients leave at their transactions' ends, idle ones now.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        self.shed_all_idle();
        for key in self.clients.keys() {
            let welcomed = self.clients.get(key).is_some_and(|c| c.session.is_some());
            let leaving = self
                .clients
                .get(key)
                .is_some_and(|c| c.place == ClientPlace::Leaving);
            if welcomed || leaving {
                self.leave_at_boundary(key);
            } else {
                let why = Some(dbproxy_engine::Failure::Shutdown);
                self.close_client(key, CloseReason::Shutdown, why);
            }
        }
    }
}
