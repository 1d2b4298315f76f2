//! Check-out: a free backend at once, or a place in the queue and a search for one.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use dbproxy_driver::{Driver, Duration, Time};
use dbproxy_engine::{Engine, Failure, KillReason};

use crate::slab::Key;
use crate::snapshot::{Role, Target, TargetId};

use super::state::{BackendPlace, ClientPlace, Lane};
use super::{Todo, Worker};

/// How long a target without room is taken to have none, unless told otherwise.
const SATURATED: Duration = Duration::from_millis(20);
/// Log-ins under way at once, per worker.
const MAX_LOGINS: u32 = 16;

pub(super) const ROLES: [Role; 2] = [Role::ReadWrite, Role::ReadOnly];

/// Where a request may go now.
pub(super) enum Way {
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

    pub(super) fn way(&self, role: Role, sticky: Option<TargetId>) -> Way {
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
        }
    }

    /// Closes this worker's longest idle backend of a target, to make room for another key.
    pub(super) fn evict_idle(&mut self, target: TargetId) -> bool {
        let idle = self.backends.iter().filter(|(_, backend)| {
            matches!(backend.place, BackendPlace::Idle) && backend.target.id == target
        });
        let Some((key, _)) = idle.min_by_key(|(_, backend)| backend.since) else {
            return false;
        };
        self.kill(key, KillReason::Evicted);
        true
    }

    /// The budget of a target has room: the oldest waiter may open a connection.
    pub(super) fn permit_free(&mut self, target: TargetId) {
        self.exhausted_until.remove(&target);
        match self.oldest_lane(|_, _| true) {
            Some((lane, role, _)) => self.todo.push_back(Todo::Seek(lane, role)),
            None => self.publish_waiters(),
        }
    }

    pub(super) fn head(&self, lane: &Lane, role: Role) -> Option<(Key, Time)> {
        let key = *lane.waiting(role).front()?;
        Some((key, self.clients.get(key)?.since))
    }

    /// The lane whose oldest waiter waits longest, among those that `wanted` accepts.
    pub(super) fn oldest_lane(
        &self,
        wanted: impl Fn(Key, Role) -> bool,
    ) -> Option<(Key, Role, Time)> {
        let wanting = self.lanes.wanting().iter();
        let lanes = wanting.filter_map(|key| Some((*key, self.lanes.all.get(*key)?)));
        let heads = lanes.flat_map(|(key, lane)| {
            let roles = ROLES.into_iter();
            roles.filter_map(move |role| Some((key, role, self.head(lane, role)?.1)))
        });
        heads
            .filter(|(key, role, _)| wanted(*key, *role))
            .min_by_key(|(_, _, since)| *since)
    }

    /// Whether somebody waits for a backend.
    pub(super) fn anybody_waits(&self) -> bool {
        !self.lanes.wanting().is_empty()
    }

    /// Looks again for every lane that has waiters.
    pub(super) fn seek_all(&mut self) {
        for key in self.lanes.wanting() {
            for role in ROLES {
                self.todo.push_back(Todo::Seek(*key, role));
            }
        }
    }
}
