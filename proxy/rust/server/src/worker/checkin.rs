//! What becomes of a backend that is free: who gets it, and how it is lent.

use dbproxy_driver::Driver;
use dbproxy_engine::{Engine, KillReason, Leg, Link, Payload, Release, Session, Step};

use crate::slab::Key;
use crate::snapshot::TargetId;

use super::state::{Backend, BackendPlace, ClientPlace};
use super::trade::Successor;
use super::{Todo, Worker};

impl<E: Engine, D: Driver> Worker<E, D> {
    /// A released backend becomes somebody's again, after what it needs.
    pub(super) fn reuse(&mut self, key: Key, release: Release) {
        let now = self.driver.now();
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
        self.want_no_cancel(key);
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        match release {
            Release::Reset => {
                let Some(link) = backend.link.as_mut() else {
                    return;
                };
                let mut out = Vec::new();
                let init_query = self.snapshot.as_ref().and_then(|s| s.init_query.as_deref());
                link.reset(init_query, &mut out);
                backend.enter(BackendPlace::Resetting, now);
                backend.wire.push(&mut self.driver, &out);
                backend.wire.arm(&mut self.driver, true);
                if backend.wire.flush(&mut self.driver).is_err() {
                    self.kill(key, KillReason::ResetFailed);
                }
            }
            Release::Clean if backend.cancels > 0 => {
                backend.enter(BackendPlace::Settling, now);
                backend.wire.arm(&mut self.driver, true);
            }
            Release::Clean => {
                backend.enter(BackendPlace::Free, now);
                backend.wire.arm(&mut self.driver, true);
                self.todo.push_back(Todo::Offer(key));
            }
            Release::Kill(reason) => self.kill(key, reason),
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
        let client = match self.successor(backend.lane, &backend.target) {
            Successor::Other(worker, since) if signs.claim_oldest(worker, since) => {
                return self.depart(key, worker);
            }
            Successor::Place(worker, since) if signs.claim_neediest(worker, since) => {
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
        let now = self.driver.now();
        let free = |backend: &&mut Backend<E>| matches!(backend.place, BackendPlace::Free);
        let Some(backend) = self.backends.get_mut(key).filter(free) else {
            return;
        };
        backend.enter(BackendPlace::Idle, now);
        if let Some(lane) = self.lanes.all.get_mut(backend.lane) {
            lane.idle_mut(backend.target.id).push(key);
        }
        if let Some(idle) = backend.target.signs.idle(self.index) {
            idle.rise();
        }
    }

    /// Binds a free backend to a client, and lets its session prepare it.
    pub(super) fn lend(&mut self, key: Key, client_key: Key) {
        let now = self.driver.now();
        let free = |backend: &&mut Backend<E>| matches!(backend.place, BackendPlace::Free);
        let (Some(backend), Some(client)) = (
            self.backends.get_mut(key).filter(free),
            self.clients.get_mut(client_key),
        ) else {
            return;
        };
        backend.enter(BackendPlace::Lent(client_key), now);
        backend.stats.borrowed.add(1);
        backend.stats.borrows.add(1);
        if let Some(load) = backend.target.signs.loaded(self.index) {
            load.rise();
        }
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
                let params = link.params().clone();
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
        let now = self.driver.now();
        if let Some(backend) = self.backends.get_mut(key) {
            let orphaned = matches!(backend.place, BackendPlace::Orphaned);
            backend.stats.orphaned.sub(u64::from(orphaned));
            if matches!(
                backend.place,
                BackendPlace::Lent(_) | BackendPlace::Orphaned
            ) {
                backend.stats.borrowed.sub(1);
                if let Some(load) = backend.target.signs.loaded(self.index) {
                    load.fall();
                }
                backend.enter(BackendPlace::Free, now);
            }
        }
        if let Some(client) = client.and_then(|key| self.clients.get_mut(key)) {
            if matches!(client.place, ClientPlace::Holding(_)) {
                client.place = ClientPlace::Idle;
                client.since = now;
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use dbproxy_driver::sim::{Network, SimDriver};
    use dbproxy_driver::Time;
    use dbproxy_engine::Identity;
    use dbproxy_postgres::Postgres;

    use super::*;
    use crate::notice::Notices;
    use crate::origin::Origin;
    use crate::shared::Shared;
    use crate::snapshot::Target;
    use crate::test_support::snapshot;
    use crate::wire::Wire;

    const ADDRESS: ([u8; 4], u16) = ([10, 0, 0, 2], 5432);

    fn worker() -> Worker<Postgres, SimDriver> {
        let network = Network::new(1);
        let (_, front) = network.host("front", [10, 0, 0, 1].into());
        let (_, driver) = network.host("worker", [10, 0, 0, 1].into());
        let notices = Notices::new(Arc::new(|| ()));
        let shared = Arc::new(Shared::new(front.waker(), vec![driver.waker()], notices));
        Worker::new(0, driver, shared, Box::new(|bytes| bytes.fill(0)))
    }

    fn target(worker: &Worker<Postgres, SimDriver>) -> Arc<Target> {
        let (id, signs) = worker.shared.target_id("db");
        Arc::new(Target {
            id,
            name: "db".into(),
            addresses: vec![SocketAddr::from(ADDRESS)],
            server_name: "db".into(),
            reader: false,
            available: true,
            max_connections: 1,
            max_idle: 1,
            signs,
        })
    }

    fn backend(worker: &mut Worker<Postgres, SimDriver>, target: Arc<Target>) -> Key {
        let identity = Identity {
            user: "app".into(),
            database: "shop".into(),
            settings: Vec::new().into(),
        };
        let stats = worker.target_stats(&target.name);
        let origin = Origin::new(&snapshot(), &target, ADDRESS.into());
        let backend = Backend {
            wire: Wire::new(worker.driver.connect(ADDRESS.into())),
            place: BackendPlace::Free,
            link: None,
            lane: worker.lanes.join(&identity),
            target,
            stats,
            permit: None,
            origin,
            since: Time::default(),
            due: None,
            discarded: 0,
            cancels: 0,
            cancel_wanted: false,
            cancel_askers: Vec::new(),
            cut: false,
            retired: false,
            counted_tls: false,
        };
        worker.backends.insert(backend)
    }

    #[test]
    fn a_backend_that_is_offered_twice_is_listed_once() {
        let mut worker = worker();
        let target = target(&worker);
        let key = backend(&mut worker, target.clone());
        worker.offer(key);
        worker.offer(key);
        let lane = worker.backends.get(key).map(|backend| backend.lane);
        let lane = lane.and_then(|lane| worker.lanes.all.get_mut(lane));
        let listed = lane.map(|lane| lane.idle_mut(target.id).clone());
        assert_eq!(listed, Some(vec![key]));
        let counted = target.signs.idle(0).map(|idle| idle.get());
        assert_eq!(counted, Some(1));
    }

    #[test]
    fn a_backend_that_closes_leaves_the_idle_list() {
        let mut worker = worker();
        let target = target(&worker);
        let key = backend(&mut worker, target.clone());
        worker.offer(key);
        worker.kill(key, KillReason::Idle);
        let lane = worker.backends.get(key).map(|backend| backend.lane);
        let lane = lane.and_then(|lane| worker.lanes.all.get_mut(lane));
        assert_eq!(lane.map(|lane| lane.has_idle(target.id)), Some(false));
        let counted = target.signs.idle(0).map(|idle| idle.get());
        assert_eq!(counted, Some(0));
    }
}
