//! Check-out: a free backend at once, or a place in the queue and a search for one.

use std::sync::Arc;

use dbproxy_driver::{Driver, Duration, Time};
use dbproxy_engine::{Engine, Failure, Identity, KillReason};

use crate::slab::Key;
use crate::snapshot::{Role, Target, TargetId};

use crate::book::Denied;
use crate::caps::Shares;
use crate::shared::Lack;

use super::lanes::{Lane, Queued};
use super::places::BackendPlace;
use super::state::ClientPlace;
use super::trade::aged;
use super::{Todo, Worker};

/// How long a target without room is taken to have none, unless told otherwise.
const SATURATED: Duration = Duration::from_millis(20);
/// Log-ins under way at once, per worker.
const MAX_LOGINS: u32 = 16;

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Gives an idle client a backend, or queues it. Says whether it has one now.
    pub(super) fn check_out(&mut self, key: Key) -> bool {
        let now = self.driver.now();
        let Some(client) = self.clients.get_mut(key) else {
            return false;
        };
        (client.since, client.wanted_at) = (now, now);
        let (lane, role, sticky) = (client.lane, client.role(), client.reader);
        let snapshot = self.snapshot.as_ref();
        if role == Role::ReadOnly && snapshot.is_some_and(|s| s.readers().next().is_none()) {
            self.refuse(key, Failure::NoReader);
            return false;
        }
        let overtakes = self
            .lanes
            .all
            .get(lane)
            .is_some_and(|l| l.head(role).is_some());
        let idle = if overtakes {
            None
        } else {
            self.take_idle(lane, role, sticky)
        };
        let Some(backend) = idle else {
            self.enqueue(key);
            return false;
        };
        self.lend(backend, key);
        if role == Role::ReadOnly {
            self.spread(lane, backend);
        }
        self.clients.get(key).is_some_and(|c| c.session.is_some())
    }

    fn enqueue(&mut self, key: Key) {
        let snapshot = self.snapshot.as_ref();
        if snapshot.is_some_and(|s| s.limits.borrow_timeout.is_zero()) {
            return self.refuse(key, Failure::BorrowTimeout);
        }
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.place = ClientPlace::Waiting;
        client.stats.waiting.add(1);
        let (lane, role, since) = (client.lane, client.role(), client.wanted_at);
        self.learn_shares(lane, role);
        self.lanes.queue(lane, role, Queued { client: key, since });
        self.show_waiters(role);
        self.todo.push_back(Todo::Seek(lane, role));
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
        let (lane, role) = (client.lane, client.role());
        self.lanes.unqueue(lane, role, key);
        self.show_waiters(role);
    }

    /// Back into its queue, with the age it had: nothing of its request was sent.
    pub(super) fn requeue(&mut self, key: Key) {
        let idle = |client: &super::Client<E>| client.place == ClientPlace::Idle;
        if self.clients.get(key).is_some_and(idle) {
            self.enqueue(key);
        }
    }

    /// Takes an idle backend of a lane that a session of that role may use: one on the reader that
    /// it knows, or else on the one with the least to do.
    fn take_idle(&mut self, lane: Key, role: Role, sticky: Option<TargetId>) -> Option<Key> {
        let snapshot = self.snapshot.as_ref()?;
        let lane = self.lanes.all.get(lane)?;
        let stocked = snapshot
            .serving(role)
            .filter(|target| lane.has_idle(target.id));
        let best = match role {
            // There is but one.
            Role::ReadWrite => stocked.last(),
            Role::ReadOnly => {
                stocked.min_by_key(|target| (Some(target.id) != sticky, target.signs.load()))
            }
        }?;
        let key = lane.last_idle(best.id)?;
        self.move_to(key, BackendPlace::Free).map(|_| key)
    }

    /// Looks for a backend for the waiters of a lane: an idle one, a permit to open one, or
    /// somebody's place.
    pub(super) fn seek(&mut self, lane_key: Key, role: Role) {
        if self
            .lanes
            .all
            .get(lane_key)
            .is_none_or(|lane| lane.head(role).is_none())
        {
            return;
        }
        if let Some(idle) = self.take_idle(lane_key, role, None) {
            return self.todo.push_back(Todo::Offer(idle));
        }
        let lane = self.lanes.all.get(lane_key);
        let Some(needy) = lane.and_then(|lane| lane.needy(role)) else {
            return;
        };
        if self.logins_in_flight >= MAX_LOGINS {
            return;
        }
        let now = self.driver.now();
        while let Some(target) = self.least_loaded(lane_key, role, now) {
            match self.open_on(lane_key, role, &target) {
                // More waiters may want more than one.
                Ok(()) => return self.todo.push_back(Todo::Seek(lane_key, role)),
                Err(Denied::Full) => {}
                // Another worker was quicker.
                Err(Denied::Capped) => return self.show_waiters(role),
            }
        }
        let lacks = self.lacks(lane_key, role, now);
        self.keep_room(lane_key, &lacks, needy.since, now);
        if let Some(identity) = self.lanes.all.get(lane_key).map(|l| l.identity.clone()) {
            self.evict(&identity, &lacks, needy.since);
        }
    }

    /// Takes a permit and begins a connection.
    pub(super) fn open_on(
        &mut self,
        lane: Key,
        role: Role,
        target: &Arc<Target>,
    ) -> Result<(), Denied> {
        let now = self.driver.now();
        let term = self.snapshot.as_ref().map_or(0, |s| s.term);
        let identity = &self.lanes.all.get(lane).ok_or(Denied::Full)?.identity;
        match self.shared.take_permit(target.id, identity, term, now) {
            Ok(permit) => {
                self.open_backend(lane, role, target, permit);
                self.show_waiters(role);
                Ok(())
            }
            Err(denied) => {
                if denied == Denied::Full {
                    // The book is not asked again for each new waiter, but when room is told of.
                    self.exhausted_until.insert(target.id, now.after(SATURATED));
                }
                Err(denied)
            }
        }
    }

    /// The targets that log-ins of a lane may be tried on now.
    pub(super) fn open_to(
        &self,
        lane: Key,
        role: Role,
        now: Time,
    ) -> impl Iterator<Item = TargetId> + '_ {
        let lane = self.lanes.all.get(lane);
        let serving = self.snapshot.iter().flat_map(move |s| s.serving(role));
        let open = move |id: &TargetId| lane.is_some_and(|lane| self.may_open(lane, *id, now));
        serving.map(|target| target.id).filter(open)
    }

    /// Whether a log-in of a lane may be tried on a target now.
    pub(super) fn may_open(&self, lane: &Lane, target: TargetId, now: Time) -> bool {
        !self.pauses.holds(target, now) && !lane.pauses.holds(target, now)
    }

    /// Of the targets that may have room for a lane, the one with the least to do.
    fn least_loaded(&self, lane: Key, role: Role, now: Time) -> Option<Arc<Target>> {
        let snapshot = self.snapshot.as_ref()?;
        let exhausted = |id: &TargetId| self.exhausted_until.get(id).is_some_and(|at| *at > now);
        let own = self.lanes.all.get(lane)?;
        let open = self.open_to(lane, role, now);
        let open = open.filter(|id| !exhausted(id) && own.bar(*id, now).is_none());
        let targets = open.filter_map(|id| snapshot.target(id));
        targets.min_by_key(|target| target.signs.load()).cloned()
    }

    /// After a reader lent an idle backend: another one that has less to do, and nothing for this
    /// lane yet, gets a connection of its own, or the first would serve alone for ever.
    fn spread(&mut self, lane_key: Key, lent: Key) {
        let now = self.driver.now();
        let Some(load) = self.backends.get(lent).map(|b| b.target.signs.load()) else {
            return;
        };
        let role = Role::ReadOnly;
        let Some(other) = self.least_loaded(lane_key, role, now) else {
            return;
        };
        let lane = self.lanes.all.get(lane_key);
        let lacks = lane.is_some_and(|lane| lane.opening(role) == 0 && !lane.has_idle(other.id));
        let busy = self.logins_in_flight >= MAX_LOGINS;
        if busy || !lacks || other.signs.load() + 1 >= load {
            return;
        }
        // Where it can't have one now, the first serves on.
        self.open_on(lane_key, role, &other).ok();
    }

    /// Closes this worker's longest idle backend whose room is what a waiter of another key lacks.
    /// That costs log-ins: either has waited for a while, or nobody is served sooner.
    pub(super) fn evict(&mut self, identity: &Identity, lacks: &[Lack], needy_since: Time) -> bool {
        let now = self.driver.now();
        let snapshot = self.snapshot.as_ref();
        let stocked = lacks.iter().any(|(id, _)| {
            let target = snapshot.and_then(|s| s.target(*id));
            let idle = target.and_then(|target| target.signs.idle(self.index));
            idle.is_some_and(|idle| idle.get() > 0)
        });
        if !stocked {
            return false;
        }
        let idle = self.backends.iter().filter(|(_, backend)| {
            matches!(backend.place, BackendPlace::Idle)
                && lacks
                    .iter()
                    .any(|lack| self.would_help(backend, identity, lack))
        });
        let victim = idle.min_by_key(|(_, backend)| backend.since);
        let Some((key, since)) = victim.map(|(key, backend)| (key, backend.since)) else {
            return false;
        };
        if !aged(needy_since, now) && !aged(since, now) {
            return false;
        }
        self.kill(key, KillReason::Evicted);
        true
    }

    /// The budget of a target and these shares of it have room: whoever needs a connection longest
    /// may open one.
    pub(super) fn permit_free(&mut self, target: TargetId, shares: &Shares) {
        self.exhausted_until.remove(&target);
        let role = self.snapshot.as_ref().and_then(|s| s.role_of(target));
        let Some(role) = role else {
            return;
        };
        match self.needy_for(target, role, None) {
            // What the oldest leaves may be just what another lacked.
            Some(_) if self.has_caps() => self.seek_of(role),
            Some((lane, _)) => self.todo.push_back(Todo::Seek(lane, role)),
            None => {
                // Who was seen to wait here does so no more: somebody else's turn.
                self.show_waiters(role);
                self.shared.offer_permit(target, shares);
            }
        }
    }

    /// Looks again for every lane that has waiters.
    pub(super) fn seek_all(&mut self) {
        Role::BOTH.iter().for_each(|role| self.seek_of(*role));
    }

    fn seek_of(&mut self, role: Role) {
        let lanes = self.lanes.by_age(role);
        self.todo
            .extend(lanes.map(|(lane, _)| Todo::Seek(lane, role)));
    }
}
