//! Who gets which backend: check-out, queues, check-in, and the trade with other workers.
//!
//! Order (dataplane.md, "Pool"): first come first served per key; another worker's waiter goes
//! first only if it is over 5 ms older, another key's only if it is over 100 ms older.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use dbproxy_driver::{Driver, Duration, Time};
use dbproxy_engine::{Engine, Failure, KillReason, Leg, Link, Payload, Release, Session, Step};

use crate::shared::{Letter, Loan, Plea, NOBODY};
use crate::slab::Key;
use crate::snapshot::{Role, Target, TargetId};

use super::state::{Backend, BackendPlace, ClientPlace, Lane, Owner};
use super::{Todo, Worker};

/// How much older another worker's waiter must be.
const OTHER_WORKER_LEAD: Duration = Duration::from_millis(5);
/// How much older another key's waiter must be: it costs a log-in.
const OTHER_KEY_LEAD: Duration = Duration::from_millis(100);
/// How long a target without room is taken to have none, unless told otherwise.
const SATURATED: Duration = Duration::from_millis(20);
/// Log-ins under way at once, per worker.
const MAX_LOGINS: u32 = 16;

const ROLES: [Role; 2] = [Role::ReadWrite, Role::ReadOnly];

/// Where a request may go now.
enum Way {
    To(Arc<Target>),
    /// Nowhere yet; something may change that.
    Wait,
    /// The endpoint has no reader at all.
    NoReader,
}

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Gives an idle client a backend, or queues it. Says whether it has one now.
    pub(super) fn check_out(&mut self, key: Key) -> bool {
        let now = self.driver.now();
        let Some(client) = self.clients.get_mut(key) else {
            return false;
        };
        client.since = now;
        let (lane_key, role, sticky) = (client.lane, client.role(), client.reader);
        match self.way(role, sticky) {
            Way::NoReader => {
                self.refuse(key, Failure::NoReader);
                return false;
            }
            Way::To(target) => {
                let lane = self.lanes.all.get_mut(lane_key);
                let idle = lane.filter(|lane| lane.waiting(role).is_empty());
                if let Some(backend) = idle.and_then(|lane| lane.idle_mut(target.id).pop()) {
                    self.count_idle(-1);
                    self.lend(backend, key);
                    return self.clients.get(key).is_some_and(|c| c.session.is_some());
                }
            }
            Way::Wait => {}
        }
        self.enqueue(key, lane_key, role);
        false
    }

    fn enqueue(&mut self, key: Key, lane_key: Key, role: Role) {
        let impatient = self
            .snapshot
            .as_ref()
            .is_some_and(|s| s.borrow_timeout.is_zero());
        if impatient {
            return self.refuse(key, Failure::BorrowTimeout);
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.place = ClientPlace::Waiting;
            client.stats.waiting.add(1);
        }
        self.lanes.queue(lane_key, role, key, false);
        self.publish_waiters();
        self.todo.push_back(Todo::Seek(lane_key, role));
    }

    /// Takes a client out of its queue; it is idle then.
    pub(super) fn dequeue(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.place != ClientPlace::Waiting {
            return;
        }
        client.place = ClientPlace::Idle;
        client.stats.waiting.sub(1);
        self.lanes.unqueue(client.lane, client.listener.role, key);
        self.publish_waiters();
    }

    fn way(&self, role: Role, sticky: Option<TargetId>) -> Way {
        let Some(snapshot) = &self.snapshot else {
            return Way::Wait;
        };
        if role == Role::ReadWrite {
            return snapshot
                .open_writer()
                .map_or(Way::Wait, |t| Way::To(t.clone()));
        }
        let mut readers = snapshot.readers().peekable();
        if readers.peek().is_none() {
            return Way::NoReader;
        }
        let available = readers.filter(|target| target.available);
        let best = available.min_by_key(|target| {
            let preferred = Some(target.id) == sticky;
            (!preferred, target.load.load(Ordering::Relaxed))
        });
        best.map_or(Way::Wait, |target| Way::To(target.clone()))
    }

    /// Looks for a backend for the waiters of a lane: a permit to open one, or somebody's idle one.
    pub(super) fn seek(&mut self, lane_key: Key, role: Role) {
        let Some(lane) = self.lanes.all.get_mut(lane_key) else {
            return;
        };
        let waiting = u32::try_from(lane.waiting(role).len()).unwrap_or(u32::MAX);
        if waiting <= *lane.opening_mut(role) || self.logins_in_flight >= MAX_LOGINS {
            return;
        }
        let identity = lane.identity.clone();
        let Way::To(target) = self.way(role, None) else {
            return;
        };
        let lane = self.lanes.all.get_mut(lane_key);
        if let Some(idle) = lane.and_then(|lane| lane.idle_mut(target.id).pop()) {
            self.count_idle(-1);
            return self.todo.push_back(Todo::Offer(idle));
        }
        let now = self.driver.now();
        let retry_at = self.retry_at.get(&target.id).map(|(at, _)| *at);
        let exhausted_until = self.exhausted_until.get(&target.id).copied();
        if retry_at.max(exhausted_until).is_some_and(|at| at > now) {
            return;
        }
        let term = self.snapshot.as_ref().map_or(0, |s| s.term);
        if let Some(permit) = self.shared.take_permit(target.id, term) {
            self.open_backend(lane_key, role, &target, permit);
            // More waiters may want more than one.
            self.todo.push_back(Todo::Seek(lane_key, role));
        } else if !self.evict_idle(target.id) {
            // Saturated: the book is not asked again for each new waiter, but when room is told of.
            self.exhausted_until.insert(target.id, now.after(SATURATED));
            self.plead(identity, target.id);
        }
    }

    /// Closes this worker's longest idle backend of a target, to make room for another key.
    fn evict_idle(&mut self, target: TargetId) -> bool {
        let idle = self.backends.iter().filter(|(_, backend)| {
            matches!(backend.place, BackendPlace::Idle) && backend.target.id == target
        });
        let Some((key, _)) = idle.min_by_key(|(_, backend)| backend.since) else {
            return false;
        };
        self.kill(key, KillReason::Evicted);
        true
    }

    fn plead(&self, identity: dbproxy_engine::Identity, target: TargetId) {
        let plea = Plea {
            worker: self.index,
            identity,
            target,
        };
        for (worker, signs) in self.shared.signs.iter().enumerate() {
            if worker != self.index && signs.idle.get() > 0 {
                if let Some(mailbox) = self.shared.workers.get(worker) {
                    mailbox.post(Letter::Plea(plea.clone()));
                }
            }
        }
    }

    /// Another worker has a waiter and no backend: gives it an idle one, or makes room.
    pub(super) fn answer_plea(&mut self, plea: &Plea) {
        let same = self.backends.iter().find(|(_, backend)| {
            let lane = self.lanes.all.get(backend.lane);
            matches!(backend.place, BackendPlace::Idle)
                && backend.target.id == plea.target
                && lane.is_some_and(|lane| lane.identity == plea.identity)
        });
        match same.map(|(key, _)| key) {
            Some(key) => self.depart(key, plea.worker),
            None => {
                self.evict_idle(plea.target);
            }
        }
    }

    fn depart(&mut self, key: Key, worker: usize) {
        self.unlist(key);
        if let Some(backend) = self.backends.get_mut(key) {
            backend.place = BackendPlace::Departing(worker);
            backend.wire.arm(&mut self.driver, false);
            self.driver.detach(backend.wire.token);
        }
    }

    /// A detached backend goes to the worker that asked for it.
    pub(super) fn send_loan(&mut self, key: Key, socket: D::Socket) {
        let Some(backend) = self.backends.remove(key) else {
            return;
        };
        let lane = self.lanes.all.get(backend.lane);
        let identity = lane.map(|lane| lane.identity.clone());
        self.lanes.leave(backend.lane);
        let Backend {
            wire,
            place: BackendPlace::Departing(worker),
            link: Some(link),
            permit: Some(permit),
            stats,
            counted_tls,
            ..
        } = backend
        else {
            return;
        };
        stats.connections.sub(1);
        if counted_tls {
            stats.connections_tls.sub(1);
        }
        let (Some(identity), Some(mailbox)) = (identity, self.shared.workers.get(worker)) else {
            return self.shared.return_permit(permit, false);
        };
        mailbox.post(Letter::Loan(Box::new(Loan {
            socket,
            wire,
            link,
            identity,
            permit,
        })));
    }

    /// Takes in a backend that another worker sent.
    pub(super) fn take_loan(&mut self, loan: Loan<E, D::Socket>) {
        let Loan {
            socket,
            wire,
            link,
            identity,
            permit,
        } = loan;
        let token = self.driver.attach(socket);
        let snapshot = self.snapshot.clone();
        let target = snapshot
            .as_ref()
            .and_then(|s| s.target(permit.target))
            .cloned();
        let (Some(target), Some(snapshot)) = (target, snapshot) else {
            self.driver.close(token);
            return self.shared.return_permit(permit, false);
        };
        let outdated = permit.term() < snapshot.term;
        let stats = self.target_stats(&target.name);
        stats.connections.add(1);
        let mut wire = wire.moved_to(token);
        wire.arm(&mut self.driver, true);
        let counted_tls = wire.is_tls();
        if counted_tls {
            stats.connections_tls.add(1);
        }
        let address = target.addresses.first().copied();
        let key = self.backends.insert(Backend {
            wire,
            place: BackendPlace::Idle,
            link: Some(link),
            lane: self.lanes.join(&identity),
            target,
            stats,
            permit: Some(permit),
            address: address.unwrap_or_else(|| ([0, 0, 0, 0], 0).into()),
            since: self.driver.now(),
            cancels: 0,
            cancel_wanted: false,
            cut: false,
            retired: false,
            counted_tls,
        });
        self.own(token, Owner::Backend(key));
        if outdated {
            return self.kill(key, KillReason::WriterLost);
        }
        self.todo.push_back(Todo::Offer(key));
    }

    /// The budget of a target has room: the oldest waiter may open a connection.
    pub(super) fn permit_free(&mut self, target: TargetId) {
        self.exhausted_until.remove(&target);
        match self.oldest_lane(|_, _| true) {
            Some((lane, role, _)) => self.todo.push_back(Todo::Seek(lane, role)),
            None => self.publish_waiters(),
        }
    }

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
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        if !matches!(backend.place, BackendPlace::Idle) {
            return;
        }
        let (lane_key, target) = (backend.lane, backend.target.id);
        let own = self.oldest_of_lane(lane_key, target);
        let own_since = own.map(|(_, since)| since);
        if let Some((worker, since)) = self.shared.oldest_waiter(Some(self.index)) {
            if older(since, own_since, OTHER_WORKER_LEAD) && self.same_key_waits(worker, lane_key) {
                return self.depart(key, worker);
            }
            if older(since, own_since, OTHER_KEY_LEAD) && self.waits_for(worker, target) {
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
    fn lend(&mut self, key: Key, client_key: Key) {
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

    fn may_serve(&self, role: Role, target: TargetId) -> bool {
        self.snapshot
            .as_ref()
            .is_some_and(|s| s.serves(role, target))
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

    fn head(&self, lane: &Lane, role: Role) -> Option<(Key, Time)> {
        let key = *lane.waiting(role).front()?;
        Some((key, self.clients.get(key)?.since))
    }

    /// The lane whose oldest waiter waits longest, among those that `wanted` accepts.
    fn oldest_lane(&self, wanted: impl Fn(Key, Role) -> bool) -> Option<(Key, Role, Time)> {
        let heads = self.lanes.all.iter().flat_map(|(key, lane)| {
            let roles = ROLES
                .into_iter()
                .filter(|role| !lane.waiting(*role).is_empty());
            roles.filter_map(move |role| Some((key, role, self.head(lane, role)?.1)))
        });
        heads
            .filter(|(key, role, _)| wanted(*key, *role))
            .min_by_key(|(_, _, since)| *since)
    }

    /// Lets the other workers see this worker's oldest waiter.
    pub(super) fn publish_waiters(&self) {
        let Some(signs) = self.shared.signs.get(self.index) else {
            return;
        };
        let oldest = self.oldest_lane(|_, _| true);
        let since = oldest.map_or(NOBODY, |(_, _, since)| since.0);
        if let Some((lane, role, _)) = oldest {
            let lane_hash = self.lanes.all.get(lane).map_or(0, |l| hash_of(&l.identity));
            signs.waiting_key.store(lane_hash, Ordering::Relaxed);
            let target = match self.way(role, None) {
                Way::To(target) => u32::from(target.id.0),
                Way::Wait | Way::NoReader => u32::MAX,
            };
            signs.waiting_target.store(target, Ordering::Relaxed);
        }
        signs.waiting_since.store(since, Ordering::Relaxed);
    }

    fn same_key_waits(&self, worker: usize, lane: Key) -> bool {
        let lane = self.lanes.all.get(lane).map(|lane| hash_of(&lane.identity));
        let signs = self.shared.signs.get(worker);
        signs.map(|signs| signs.waiting_key.load(Ordering::Relaxed)) == lane
    }

    fn waits_for(&self, worker: usize, target: TargetId) -> bool {
        let signs = self.shared.signs.get(worker);
        let wanted = signs.map(|signs| signs.waiting_target.load(Ordering::Relaxed));
        wanted == Some(u32::from(target.0))
    }

    fn count_idle(&self, by: i32) {
        if let Some(signs) = self.shared.signs.get(self.index) {
            signs.idle.change(by);
        }
    }

    /// Whether somebody waits in a client's lane (its backend is wanted).
    pub(super) fn wanted_by_others(&self, lane: Key) -> bool {
        let lane = self.lanes.all.get(lane);
        lane.is_some_and(|lane| ROLES.iter().any(|role| !lane.waiting(*role).is_empty()))
            || self.oldest_lane(|_, _| true).is_some()
    }

    /// Looks again for every lane that has waiters.
    pub(super) fn seek_all(&mut self) {
        for (key, lane) in self.lanes.all.iter() {
            for role in ROLES {
                if !lane.waiting(role).is_empty() {
                    self.todo.push_back(Todo::Seek(key, role));
                }
            }
        }
    }
}

/// Whether `since` lies more than `lead` before `own` (always, if there is no own).
fn older(since: Time, own: Option<Time>, lead: Duration) -> bool {
    own.is_none_or(|own| since.after(lead) < own)
}

fn hash_of(identity: &dbproxy_engine::Identity) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    hasher.finish()
}
