//! What becomes of a backend that is free: who gets it, and how it is lent.

use dbproxy_driver::Driver;
use dbproxy_engine::{
    CloseReason, Engine, Failure, KillReason, Leg, Link, Payload, Release, Session, Step,
};

use crate::slab::Key;
use crate::snapshot::TargetId;

use super::places::BackendPlace;
use super::state::{Backend, ClientPlace};
use super::trade::Successor;
use super::{Todo, Worker};

impl<E: Engine, D: Driver> Worker<E, D> {
    /// A released backend becomes somebody's again, after what it needs.
    pub(super) fn reuse(&mut self, key: Key, release: Release) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if backend.cut {
            return self.kill(key, KillReason::WriterLost);
        }
        if backend.retired {
            return self.kill(key, KillReason::Outdated);
        }
        let most = self
            .snapshot
            .as_ref()
            .and_then(|s| s.limits.backend_lifetime);
        if backend.life.is_over(most, self.driver.now()) && self.retirements.take() {
            return self.kill(key, KillReason::Lifetime);
        }
        let settles = backend.cancels > 0;
        self.keep_apart(key);
        self.want_no_cancel(key);
        match release {
            Release::Reset => self.reset(key),
            Release::Clean if settles => {
                self.move_to(key, BackendPlace::Settling);
            }
            Release::Clean => {
                self.move_to(key, BackendPlace::Free);
                self.todo.push_back(Todo::Offer(key));
            }
            Release::Kill(reason) => self.kill(key, reason),
        }
    }

    /// What a session leaves in a server process for good, only its like may see: the backend goes to
    /// their lane.
    fn keep_apart(&mut self, key: Key) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let Some(traces) = backend.link.as_ref().map(Link::traces) else {
            return;
        };
        if let Some(lane) = self.lanes.with_traces(backend.lane, traces, false) {
            backend.lane = lane;
        }
    }

    /// Has a session's state discarded before anybody else gets the backend.
    fn reset(&mut self, key: Key) {
        self.move_to(key, BackendPlace::Resetting);
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let Some(link) = backend.link.as_mut() else {
            return;
        };
        let mut out = Vec::new();
        let init_query = self.snapshot.as_ref().and_then(|s| s.init_query.as_deref());
        link.reset(init_query, &mut out);
        backend.wire.push(&mut self.driver, &out);
        if backend.wire.flush(&mut self.driver).is_err() {
            self.kill(key, KillReason::ResetFailed);
        }
    }

    /// A free backend (in no list) goes to whoever should have it.
    pub(super) fn offer(&mut self, key: Key) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if !matches!(backend.place, BackendPlace::Free) {
            return;
        }
        let permit = backend.permit.as_mut();
        if permit.is_some_and(|permit| self.shared.sheds(permit)) {
            return self.kill(key, KillReason::OverLimit);
        }
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        // One backend for one waiter, however many come free before its worker has a turn.
        let signs = &backend.target.signs;
        let client = match self.successor(backend) {
            Successor::Other(worker, since) if signs.claim_oldest(worker, since) => {
                return self.depart(key, worker);
            }
            Successor::Place(worker, since, bar)
                if Self::claim_place(backend, worker, since, bar) =>
            {
                return self.kill(key, KillReason::Evicted);
            }
            Successor::Own(client) => Some(client),
            Successor::Other(..) | Successor::Place(..) | Successor::Nobody => {
                self.own_waiter(backend.lane, backend.target.id)
            }
        };
        match client {
            Some(client) => {
                self.dequeue(client);
                self.lend(key, client);
                self.todo.push_back(Todo::Pump(client));
            }
            None => self.shelve(key),
        }
    }

    /// Into the idle list of its lane.
    fn shelve(&mut self, key: Key) {
        if self.draining {
            return self.kill(key, KillReason::Shutdown);
        }
        self.move_to(key, BackendPlace::Idle);
    }

    /// Binds a free backend to a client, and lets its session prepare it.
    pub(super) fn lend(&mut self, key: Key, client_key: Key) {
        let now = self.driver.now();
        if self.clients.get(client_key).is_none() {
            return;
        }
        let target = self.backends.get(key).map(|backend| backend.target.id);
        if target.is_some_and(|target| self.misses(client_key, target)) {
            self.todo.push_back(Todo::Offer(key));
            let why = Some(Failure::EarLost);
            return self.close_client(client_key, CloseReason::EarLost, why);
        }
        if self.move_to(key, BackendPlace::Lent(client_key)).is_none() {
            return;
        }
        let (Some(backend), Some(client)) =
            (self.backends.get_mut(key), self.clients.get_mut(client_key))
        else {
            return;
        };
        backend.stats.borrows.add(1);
        client.place = ClientPlace::Holding(key);
        client.stats.borrow.observe(now.since(client.wanted_at));
        client.since = now;
        client.reader = Some(backend.target.id);
        let Some(link) = backend.link.as_mut() else {
            return;
        };
        match client.session.as_mut() {
            Some(session) => {
                // What it sends leaves in one write with the request that follows.
                let mut steps = std::mem::take(&mut self.steps);
                steps.clear();
                session.attach(link, &mut steps);
                let mut notes = Vec::new();
                for step in steps.drain(..) {
                    match step {
                        Step::Send(Leg::Server, Payload::Bytes(bytes)) => {
                            backend.wire.push(&mut self.driver, &bytes);
                        }
                        Step::Send(Leg::Client, Payload::Bytes(bytes)) => {
                            client.wire.push(&mut self.driver, &bytes);
                        }
                        Step::Note(note) => notes.push(note),
                        _ => {}
                    }
                }
                self.steps = steps;
                for note in notes {
                    self.take_note(note, Some(client_key), Some(key));
                }
            }
            None => {
                let params = link.template().clone();
                self.welcome(client_key, &params);
                let lent = |backend: &Backend<E>| matches!(backend.place, BackendPlace::Lent(_));
                // A client that can't be told anything was closed, and gave it back by that.
                if self.backends.get(key).is_some_and(lent) {
                    self.part(Some(client_key), key);
                    self.reuse(key, Release::Clean);
                }
                self.settle_client(client_key);
            }
        }
    }

    /// Unbinds a backend from its client; both are told apart from here on.
    pub(super) fn part(&mut self, client: Option<Key>, key: Key) {
        let place = self.backends.get(key).map(|backend| &backend.place);
        if matches!(place, Some(BackendPlace::Lent(_) | BackendPlace::Orphaned)) {
            self.move_to(key, BackendPlace::Free);
        }
        if let Some(client) = client.and_then(|key| self.clients.get_mut(key)) {
            if matches!(client.place, ClientPlace::Holding(_)) {
                client.place = ClientPlace::Idle;
                client.since = self.driver.now();
                let traces = client.session.as_ref().map(Session::traces);
                let lane = traces.and_then(|own| self.lanes.with_traces(client.lane, own, true));
                client.lane = lane.unwrap_or(client.lane);
            }
        }
    }

    /// The oldest waiter of a lane that may use that target.
    fn own_waiter(&self, lane: Key, target: TargetId) -> Option<Key> {
        let role = self.snapshot.as_ref()?.role_of(target)?;
        let head = self.lanes.all.get(lane)?.head(role)?;
        Some(head.client)
    }
}
