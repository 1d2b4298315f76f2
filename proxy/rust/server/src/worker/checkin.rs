//! What becomes of a backend that is free: who gets it, and how it is lent.
//!
//! Order (dataplane.md, "Pool"): first come first served per key; another worker's waiter goes
//! first only if it is over 5 ms older, another key's only if it is over 100 ms older.

use std::sync::atomic::Ordering;

use dbproxy_driver::{Driver, Duration, Time};
use dbproxy_engine::{Engine, KillReason, Leg, Link, Payload, Release, Session, Step};

use crate::slab::Key;
use crate::snapshot::{Role, TargetId};

use super::pool::ROLES;
use super::state::{BackendPlace, ClientPlace};
use super::{Todo, Worker};

/// How much older another worker's waiter must be.
const OTHER_WORKER_LEAD: Duration = Duration::from_millis(5);
/// How much older another key's waiter must be: it costs a log-in.
const OTHER_KEY_LEAD: Duration = Duration::from_millis(100);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// A released backend becomes somebody's again, after what it needs.
    pub(super) fn reuse(&mut self, key: Key, release: Release) {
        let init_query = self.snapshot.as_ref().and_then(|s| s.init_query.clone());
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if backend.cut || backend.retired {
            let cut = backend.cut;
            return self.kill(
                key,
                if cut {
                    KillReason::WriterLost
                } else {
                    KillReason::Outdated
                },
            );
        }
        backend.since = self.driver.now();
        backend.cancel_wanted = false;
        match release {
            Release::Reset => {
                let Some(link) = backend.link.as_mut() else {
                    return;
                };
                let mut out = Vec::new();
                link.reset(init_query.as_deref(), &mut out);
                backend.place = BackendPlace::Resetting;
                backend.wire.push(&mut self.driver, &out);
                backend.wire.arm(&mut self.driver, true);
                if backend.wire.flush(&mut self.driver).is_err() {
                    self.kill(key, KillReason::ResetFailed);
                }
            }
            Release::Clean if backend.cancels > 0 => {
                backend.place = BackendPlace::Settling;
                backend.wire.arm(&mut self.driver, true);
            }
            Release::Clean => {
                backend.place = BackendPlace::Idle;
                backend.wire.arm(&mut self.driver, true);
                self.todo.push_back(Todo::Offer(key));
            }
            Release::Kill(reason) => self.kill(key, reason),
        }
    }

    /// A free backend (in no list yet) goes to whoever should have it.
    pub(super) fn offer(&mut self, key: Key) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if !matches!(backend.place, BackendPlace::Idle) {
            return;
        }
        let permit = backend.permit.as_mut();
        if permit.is_some_and(|permit| self.shared.sheds(permit)) {
            return self.kill(key, KillReason::OverLimit);
        }
        let (lane_key, target) = (backend.lane, backend.target.id);
        let own = self.oldest_of_lane(lane_key, target);
        let own_since = own.map(|(_, since)| since);
        if let Some((worker, since)) = self.shared.oldest_waiter(Some(self.index)) {
            let same =
                older(since, own_since, OTHER_WORKER_LEAD) && self.same_key_waits(worker, lane_key);
            let other = older(since, own_since, OTHER_KEY_LEAD) && self.waits_for(worker, target);
            // One backend for one waiter, however many come free before its worker has a turn.
            if (same || other) && self.shared.claim_waiter(worker, since) {
                if same {
                    return self.depart(key, worker);
                }
                return self.kill(key, KillReason::Evicted);
            }
        }
        let other = self.oldest_lane(|lane, role| lane != lane_key && self.may_serve(role, target));
        match own {
            Some(_) if other.is_some_and(|(_, _, s)| older(s, own_since, OTHER_KEY_LEAD)) => {
                self.kill(key, KillReason::Evicted);
            }
            Some((client, _)) => {
                self.dequeue(client);
                self.lend(key, client);
                self.todo.push_back(Todo::Pump(client));
            }
            None => self.shelve(key, other.map(|(lane, role, _)| (lane, role))),
        }
    }

    /// Nobody of its key waits: into the idle list. A waiter of another key may want its place.
    fn shelve(&mut self, key: Key, other: Option<(Key, Role)>) {
        let now = self.driver.now();
        if let Some(backend) = self.backends.get_mut(key) {
            backend.since = now;
            let (lane, target) = (backend.lane, backend.target.id);
            if let Some(lane) = self.lanes.all.get_mut(lane) {
                lane.idle_mut(target).push(key);
            }
            self.count_idle(1);
        }
        if let Some((lane, role)) = other {
            self.todo.push_back(Todo::Seek(lane, role));
        }
    }

    /// Takes a backend out of its lane's idle list, if it is there.
    pub(super) fn unlist(&mut self, key: Key) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        let (lane, target) = (backend.lane, backend.target.id);
        if let Some(lane) = self.lanes.all.get_mut(lane) {
            let idle = lane.idle_mut(target);
            if let Some(at) = idle.iter().position(|listed| *listed == key) {
                idle.remove(at);
                self.count_idle(-1);
            }
        }
    }

    /// Binds a free backend to a client, and lets its session prepare it.
    pub(super) fn lend(&mut self, key: Key, client_key: Key) {
        let now = self.driver.now();
        let (Some(backend), Some(client)) =
            (self.backends.get_mut(key), self.clients.get_mut(client_key))
        else {
            return;
        };
        backend.place = BackendPlace::Lent(client_key);
        backend.stats.borrowed.add(1);
        backend.stats.borrows.add(1);
        backend.target.load.fetch_add(1, Ordering::Relaxed);
        client.place = ClientPlace::Holding(key);
        client.stats.borrow.observe(now.since(client.since));
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
                let params = link.params().clone();
                self.welcome(client_key, &params);
                self.part(Some(client_key), key);
                self.reuse(key, Release::Clean);
                self.settle_client(client_key);
            }
        }
    }

    /// Unbinds a backend from its client; both are told apart from here on.
    pub(super) fn part(&mut self, client: Option<Key>, key: Key) {
        let now = self.driver.now();
        if let Some(backend) = self.backends.get_mut(key) {
            if matches!(
                backend.place,
                BackendPlace::Lent(_) | BackendPlace::Orphaned
            ) {
                backend.stats.borrowed.sub(1);
                backend.target.load.fetch_sub(1, Ordering::Relaxed);
            }
            backend.place = BackendPlace::Idle;
        }
        if let Some(client) = client.and_then(|key| self.clients.get_mut(key)) {
            if matches!(client.place, ClientPlace::Holding(_)) {
                client.place = ClientPlace::Idle;
                client.since = now;
            }
        }
    }

    /// The oldest waiter of a lane that may use that target.
    fn oldest_of_lane(&self, lane: Key, target: TargetId) -> Option<(Key, Time)> {
        let lane = self.lanes.all.get(lane)?;
        ROLES
            .into_iter()
            .filter(|role| !lane.waiting(*role).is_empty() && self.may_serve(*role, target))
            .filter_map(|role| self.head(lane, role))
            .min_by_key(|(_, since)| *since)
    }

    pub(super) fn may_serve(&self, role: Role, target: TargetId) -> bool {
        self.snapshot
            .as_ref()
            .is_some_and(|s| s.serves(role, target))
    }
}

/// Whether `since` lies more than `lead` before `own` (always, if there is no own).
fn older(since: Time, own: Option<Time>, lead: Duration) -> bool {
    own.is_none_or(|own| since.after(lead) < own)
}
