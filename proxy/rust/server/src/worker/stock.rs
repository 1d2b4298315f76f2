//! How many connections lie idle: not more than may, once they have done so for long, and some at all
//! times, so that whoever comes next needs no log-in. `sweep` calls it, once a second.
//!
//! Both are numbers of a target over all workers. Each worker sees to its part of what is too many or
//! too few now, and the odd one is another's turn each second: where one has nothing to close, or no
//! key to open for, the others come to it.

use std::cmp::Reverse;
use std::sync::Arc;

use dbproxy_driver::{Driver, Time};
use dbproxy_engine::{Engine, KillReason};

use crate::slab::Key;
use crate::snapshot::{Role, Snapshot, Target};

use super::places::BackendPlace;
use super::Worker;

/// Log-ins for stock that a worker has under way at once.
const MAX_LOGINS: u32 = 4;

/// The part of `count` that falls to one of `workers`; the turn moves with `second`.
fn part(count: u32, worker: usize, workers: usize, second: u64) -> u32 {
    let workers = u64::try_from(workers).unwrap_or(1).max(1);
    let turn = (worker as u64 + second) % workers;
    let part = (u64::from(count) + workers - 1 - turn) / workers;
    u32::try_from(part).unwrap_or(count)
}

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Closes idle connections that are too many, and opens some that are lacking.
    pub(super) fn mind_stock(&mut self, now: Time) {
        let Some(snapshot) = self.snapshot.clone() else {
            return;
        };
        for target in snapshot.targets.iter().flatten() {
            let idle = target.signs.all_idle();
            self.close_idle(target, idle.saturating_sub(target.max_idle), &snapshot, now);
            self.open_ahead(target, target.min_idle.saturating_sub(idle), &snapshot, now);
        }
    }

    fn part_of(&self, count: u32, now: Time) -> u32 {
        let second = now.since(Time::default()).as_secs();
        part(count, self.index, self.shared.workers.len(), second)
    }

    /// Closes those that have been idle for long, the longest first.
    fn close_idle(
        &mut self,
        target: &Target,
        surplus: u32,
        snapshot: &Snapshot<E::Credential>,
        now: Time,
    ) {
        let most = self.part_of(surplus, now) as usize;
        if most == 0 {
            return;
        }
        let timeout = snapshot.limits.idle_backend_timeout;
        let idle = self.backends.iter().filter(|(_, backend)| {
            matches!(backend.place, BackendPlace::Idle)
                && backend.target.id == target.id
                && backend.since.after(timeout) <= now
        });
        let mut idle: Vec<(Time, Key)> = idle.map(|(key, b)| (b.since, key)).collect();
        idle.sort_unstable();
        for (_, key) in idle.into_iter().take(most) {
            self.kill(key, KillReason::Idle);
        }
    }

    /// Opens connections before anybody needs them, for keys that needed some before. Those who wait
    /// come first: what room there is is theirs.
    fn open_ahead(
        &mut self,
        target: &Arc<Target>,
        lacking: u32,
        snapshot: &Snapshot<E::Credential>,
        now: Time,
    ) {
        let Some(role) = snapshot.role_of(target.id) else {
            return;
        };
        if self.draining || self.pauses.failed(target.id) {
            return;
        }
        let under_way = self.logins_in_flight;
        let most = self.part_of(lacking, now).min(MAX_LOGINS);
        for _ in under_way..most {
            if target.signs.anybody_waits() || self.lanes.by_age(role).next().is_some() {
                return;
            }
            let Some(lane) = self.scarcest(target, role, snapshot) else {
                return;
            };
            if self.open_on(lane, role, target).is_err() {
                return;
            }
        }
    }

    /// Of the keys that may have another connection, the one with the fewest to spare; of several the
    /// one with the most clients. A new connection has none of a key's traces yet, and is for its clients.
    fn scarcest(
        &self,
        target: &Target,
        role: Role,
        snapshot: &Snapshot<E::Credential>,
    ) -> Option<Key> {
        let lanes = self.lanes.all.iter().filter(|(_, lane)| {
            let known = snapshot.users.by_name.contains_key(&lane.identity.user);
            known && lane.opened_for(role) && !lane.pauses.failed(target.id)
        });
        let scarcest = lanes.min_by_key(|(_, lane)| {
            let spare = lane.idle_on(target.id) + lane.opening(role) as usize;
            (spare, Reverse(lane.members()))
        });
        scarcest.map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_all_workers_are_the_whole() {
        for second in 0..5 {
            for (count, workers) in [(0, 3), (1, 3), (7, 3), (8, 4), (3, 1)] {
                let parts = (0..workers).map(|worker| part(count, worker, workers, second));
                assert_eq!(parts.sum::<u32>(), count);
            }
        }
    }

    #[test]
    fn the_odd_one_is_everybodys_turn() {
        let turns: Vec<u32> = (0..3).map(|second| part(1, 0, 3, second)).collect();
        assert_eq!(turns.iter().sum::<u32>(), 1);
    }
}
