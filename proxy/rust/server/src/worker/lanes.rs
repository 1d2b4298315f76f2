//! Lanes: all that one pool key has on this worker, and who of all lanes waits longest.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use dbproxy_driver::Time;
use dbproxy_engine::{Identity, Traces};

use crate::caps::Shares;
use crate::signs::{hash_of, Waiter};
use crate::slab::{Key, Slab};
use crate::snapshot::{Role, TargetId};

use super::pause::Pauses;

/// A client in its lane's queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queued {
    /// Who.
    pub client: Key,
    /// Since when its request waits for a backend.
    pub since: Time,
}

/// All that one pool key has on this worker.
pub struct Lane {
    /// The key (with the target).
    pub identity: Identity,
    /// The key, hashed: what other workers see of it.
    pub hash: u64,
    /// What its user and its database have of targets, where that is limited and anybody waits.
    pub shares: BTreeMap<TargetId, Shares>,
    /// Targets that won't have this key's log-ins for now.
    pub pauses: Pauses,
    /// Clients that wait, oldest first: for the writer, for a reader.
    waiting: [VecDeque<Queued>; 2],
    /// Idle backends by target, the last used last.
    idle: BTreeMap<TargetId, Vec<Key>>,
    /// Log-ins under way, for the writer and for readers.
    opening: [u32; 2],
    /// Whether there ever was one.
    opened: [bool; 2],
    /// Clients and backends that name this lane.
    members: u32,
}

fn of<T>([writes, reads]: &[T; 2], role: Role) -> &T {
    match role {
        Role::ReadWrite => writes,
        Role::ReadOnly => reads,
    }
}

fn of_mut<T>([writes, reads]: &mut [T; 2], role: Role) -> &mut T {
    match role {
        Role::ReadWrite => writes,
        Role::ReadOnly => reads,
    }
}

impl Lane {
    fn new(identity: &Identity) -> Self {
        Self {
            identity: identity.clone(),
            hash: hash_of(identity),
            shares: BTreeMap::new(),
            pauses: Pauses::default(),
            waiting: Default::default(),
            idle: BTreeMap::new(),
            opening: [0; 2],
            opened: [false; 2],
            members: 1,
        }
    }

    /// The queue of one role.
    pub fn waiting(&self, role: Role) -> &VecDeque<Queued> {
        of(&self.waiting, role)
    }

    /// The oldest waiter of one role.
    pub fn head(&self, role: Role) -> Option<Queued> {
        self.waiting(role).front().copied()
    }

    /// Log-ins under way for one role.
    pub fn opening(&self, role: Role) -> u32 {
        *of(&self.opening, role)
    }

    /// Whether a log-in was ever needed for one role.
    pub fn opened_for(&self, role: Role) -> bool {
        *of(&self.opened, role)
    }

    /// The oldest waiter of one role for which no log-in is under way.
    pub fn needy(&self, role: Role) -> Option<Queued> {
        let covered = self.opening(role) as usize;
        self.waiting(role).get(covered).copied()
    }

    /// Its idle backends on that target.
    pub fn idle_on(&self, target: TargetId) -> usize {
        self.idle.get(&target).map_or(0, Vec::len)
    }

    /// Whether it has one.
    pub fn has_idle(&self, target: TargetId) -> bool {
        self.idle_on(target) > 0
    }

    /// Clients and backends that name it.
    pub fn members(&self) -> u32 {
        self.members
    }

    /// The backend on one target that became idle last.
    pub fn last_idle(&self, target: TargetId) -> Option<Key> {
        self.idle.get(&target)?.last().copied()
    }

    /// A backend on that target became idle.
    pub fn list_idle(&mut self, target: TargetId, backend: Key) {
        self.idle.entry(target).or_default().push(backend);
    }

    /// A backend on that target is idle no more.
    pub fn unlist_idle(&mut self, target: TargetId, backend: Key) {
        let Some(idle) = self.idle.get_mut(&target) else {
            return;
        };
        // Mostly it is the one that came last.
        match idle.last() == Some(&backend) {
            true => idle.truncate(idle.len() - 1),
            false => idle.retain(|listed| *listed != backend),
        }
    }
}

/// The lanes of one worker.
#[derive(Default)]
pub struct Lanes {
    /// All of them.
    pub all: Slab<Lane>,
    by_identity: HashMap<Identity, Key>,
    /// For each role the lanes that have waiters, by the age of their oldest.
    heads: [Vec<(Time, Key)>; 2],
}

impl Lanes {
    /// The lane of that key, with one more member.
    pub fn join(&mut self, identity: &Identity) -> Key {
        if let Some(key) = self.by_identity.get(identity) {
            if let Some(lane) = self.all.get_mut(*key) {
                lane.members += 1;
                return *key;
            }
        }
        let key = self.all.insert(Lane::new(identity));
        self.by_identity.insert(identity.clone(), key);
        key
    }

    /// The lane that a member of one belongs to that has left these traces, if that is another: it
    /// changes from one to the other. A backend may lack (`exact` is false) what its lane has.
    pub fn with_traces(&mut self, key: Key, traces: &Traces, exact: bool) -> Option<Key> {
        let identity = &self.all.get(key)?.identity;
        let known = |name: &Arc<str>| identity.traces.binary_search(name).is_ok();
        if traces.iter().all(known) && (!exact || traces.len() == identity.traces.len()) {
            return None;
        }
        let identity = Identity {
            traces: Arc::clone(traces),
            ..identity.clone()
        };
        let lane = self.join(&identity);
        self.leave(key);
        Some(lane)
    }

    /// One member fewer; a lane without members goes.
    pub fn leave(&mut self, key: Key) {
        let Some(lane) = self.all.get_mut(key) else {
            return;
        };
        lane.members = lane.members.saturating_sub(1);
        if lane.members == 0 {
            if let Some(lane) = self.all.remove(key) {
                self.by_identity.remove(&lane.identity);
            }
        }
    }

    /// Whether anybody waits.
    pub fn anybody_waits(&self) -> bool {
        self.heads.iter().any(|heads| !heads.is_empty())
    }

    /// The lanes that have waiters of a role, the longest waiting first.
    pub fn by_age(&self, role: Role) -> impl Iterator<Item = (Key, &Lane)> {
        let heads = of(&self.heads, role).iter();
        heads.filter_map(|(_, key)| Some((*key, self.all.get(*key)?)))
    }

    /// The oldest waiter of a role for which no log-in is under way, in the lanes that `wanted`
    /// accepts.
    pub fn neediest(
        &self,
        role: Role,
        wanted: impl Fn(Key, &Lane) -> bool,
    ) -> Option<(Key, Waiter)> {
        let mut found: Option<(Key, Waiter)> = None;
        for (key, lane) in self.by_age(role) {
            // Nobody further on waits longer than the one found.
            let oldest = lane.head(role).map(|head| head.since);
            if found.is_some_and(|(_, waiter)| oldest >= Some(waiter.since)) {
                break;
            }
            let Some(needy) = lane.needy(role).filter(|_| wanted(key, lane)) else {
                continue;
            };
            if found.is_none_or(|(_, waiter)| needy.since < waiter.since) {
                let (hash, since) = (lane.hash, needy.since);
                found = Some((key, Waiter { key: hash, since }));
            }
        }
        found
    }

    /// Adds a waiter at the place of its age.
    pub fn queue(&mut self, key: Key, role: Role, queued: Queued) {
        self.change(key, role, |queue| {
            let at = queue.partition_point(|other| other.since <= queued.since);
            queue.insert(at, queued);
        });
    }

    /// Takes a waiter out of its queue.
    pub fn unqueue(&mut self, key: Key, role: Role, client: Key) {
        self.change(key, role, |queue| {
            let at = queue.iter().position(|queued| queued.client == client);
            at.map(|at| queue.remove(at));
        });
    }

    /// A log-in for a role's waiters began.
    pub fn opening(&mut self, key: Key, role: Role) {
        if let Some(lane) = self.all.get_mut(key) {
            *of_mut(&mut lane.opening, role) += 1;
            *of_mut(&mut lane.opened, role) = true;
        }
    }

    /// A log-in for a role's waiters is over.
    pub fn opened(&mut self, key: Key, role: Role) {
        if let Some(lane) = self.all.get_mut(key) {
            let opening = of_mut(&mut lane.opening, role);
            *opening = opening.saturating_sub(1);
        }
    }

    /// Every target may be tried again.
    pub fn forget_pauses(&mut self) {
        for key in self.all.keys() {
            if let Some(lane) = self.all.get_mut(key) {
                lane.pauses.clear();
            }
        }
    }

    /// Changes a queue, and the lane's place among the others if its oldest waiter is another now.
    fn change(&mut self, key: Key, role: Role, act: impl FnOnce(&mut VecDeque<Queued>)) {
        let Some(lane) = self.all.get_mut(key) else {
            return;
        };
        let queue = of_mut(&mut lane.waiting, role);
        let age = |queue: &VecDeque<Queued>| queue.front().map(|head| head.since);
        let before = age(queue);
        act(queue);
        let after = age(queue);
        if before == after {
            return;
        }
        let heads = of_mut(&mut self.heads, role);
        if let Some(at) = before.and_then(|since| heads.binary_search(&(since, key)).ok()) {
            heads.remove(at);
        }
        if let Some(since) = after {
            if let Err(at) = heads.binary_search(&(since, key)) {
                heads.insert(at, (since, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(index: u64) -> Key {
        let mut slab = Slab::default();
        let keys: Vec<Key> = (0..=index).map(|n| slab.insert(n)).collect();
        keys[index as usize]
    }

    fn lanes(count: usize) -> (Lanes, Vec<Key>) {
        let mut lanes = Lanes::default();
        let keys = (0..count).map(|n| {
            lanes.join(&Identity {
                user: "app".into(),
                database: format!("shop{n}").as_str().into(),
                settings: Vec::new().into(),
                traces: Vec::new().into(),
            })
        });
        let keys = keys.collect();
        (lanes, keys)
    }

    fn queued(index: u64, since: u64) -> Queued {
        let (client, since) = (client(index), Time(since));
        Queued { client, since }
    }

    const ROLE: Role = Role::ReadOnly;

    fn order(lanes: &Lanes) -> Vec<Key> {
        lanes.by_age(ROLE).map(|(key, _)| key).collect()
    }

    #[test]
    fn lanes_stand_by_the_age_of_their_oldest_waiter() {
        let (mut lanes, keys) = lanes(3);
        lanes.queue(keys[0], ROLE, queued(0, 30));
        lanes.queue(keys[1], ROLE, queued(1, 10));
        lanes.queue(keys[1], ROLE, queued(2, 50));
        lanes.queue(keys[2], ROLE, queued(3, 20));
        assert_eq!(order(&lanes), [keys[1], keys[2], keys[0]]);
        lanes.unqueue(keys[1], ROLE, client(1));
        assert_eq!(order(&lanes), [keys[2], keys[0], keys[1]]);
        lanes.unqueue(keys[1], ROLE, client(2));
        assert_eq!(order(&lanes), [keys[2], keys[0]]);
        assert!(lanes.by_age(Role::ReadWrite).next().is_none());
    }

    #[test]
    fn one_that_comes_back_stands_where_its_age_belongs() {
        let (mut lanes, keys) = lanes(1);
        lanes.queue(keys[0], ROLE, queued(1, 20));
        lanes.queue(keys[0], ROLE, queued(2, 30));
        lanes.queue(keys[0], ROLE, queued(0, 25));
        let queue = lanes.all.get(keys[0]).map(|lane| lane.waiting(ROLE));
        let ages: Vec<u64> = queue.into_iter().flatten().map(|q| q.since.0).collect();
        assert_eq!(ages, [20, 25, 30]);
    }

    #[test]
    fn who_leaves_traces_changes_its_lane_and_an_empty_one_goes() {
        let (mut lanes, keys) = lanes(1);
        let traces: Traces = ["my.tenant".into()].into();
        let lane = lanes.with_traces(keys[0], &traces, true).unwrap();
        assert!(lanes.all.get(keys[0]).is_none());
        // A backend that lacks what its lane has may be made to have it; a client's lane is its own.
        assert_eq!(lanes.with_traces(lane, &[].into(), false), None);
        assert!(lanes.with_traces(lane, &[].into(), true).is_some());
    }

    #[test]
    fn a_waiter_with_a_log_in_under_way_needs_no_other() {
        let (mut lanes, keys) = lanes(2);
        lanes.queue(keys[0], ROLE, queued(0, 10));
        lanes.queue(keys[0], ROLE, queued(1, 40));
        lanes.queue(keys[1], ROLE, queued(2, 20));
        let since = |lanes: &Lanes| lanes.neediest(ROLE, |_, _| true).map(|(_, w)| w.since.0);
        assert_eq!(since(&lanes), Some(10));
        lanes.opening(keys[0], ROLE);
        assert_eq!(since(&lanes), Some(20));
        lanes.opening(keys[1], ROLE);
        assert_eq!(since(&lanes), Some(40));
        lanes.opened(keys[1], ROLE);
        assert_eq!(since(&lanes), Some(20));
        let other = lanes.neediest(ROLE, |key, _| key != keys[1]);
        assert_eq!(other.map(|(key, _)| key), Some(keys[0]));
    }
}
