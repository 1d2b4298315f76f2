//! Waiters whose user or database has all the connections that it may have (`caps`): where they ask,
//! and whose connection would help them.

use std::sync::Arc;

use dbproxy_driver::{Driver, Time};
use dbproxy_engine::{Engine, Identity};

use crate::caps::{Bar, Caps, Share, Shares};
use crate::shared::Lack;
use crate::signs::Waiter;
use crate::slab::Key;
use crate::snapshot::{Role, TargetId};

use super::lanes::Lane;
use super::state::Backend;
use super::trade::aged;
use super::Worker;

/// The shares in which a worker shows waiters, for each role.
pub(super) type Asking = [Vec<Arc<Share>>; 2];

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Whether anybody may be barred at all.
    pub(super) fn has_caps(&self) -> bool {
        let snapshot = self.snapshot.as_ref();
        snapshot.is_some_and(|s| s.limits.caps != Caps::default())
    }

    /// A lane that is to have waiters knows its shares of the targets that serve them.
    pub(super) fn learn_shares(&mut self, lane: Key, role: Role) {
        if !self.has_caps() {
            return;
        }
        let (Some(snapshot), Some(lane)) = (self.snapshot.as_ref(), self.lanes.all.get_mut(lane))
        else {
            return;
        };
        for target in snapshot.serving(role) {
            if !lane.shares.contains_key(&target.id) {
                let shares = self.shared.shares(target.id, &lane.identity);
                lane.shares.insert(target.id, shares);
            }
        }
    }

    /// The same for all lanes: other targets serve, or caps are new.
    pub(super) fn learn_all_shares(&mut self) {
        for role in Role::BOTH {
            let lanes: Vec<Key> = self.lanes.by_age(role).map(|(key, _)| key).collect();
            for lane in lanes {
                self.learn_shares(lane, role);
            }
        }
    }

    /// Where a lane could have a connection more if somebody gave one back, and who that must be.
    pub(super) fn lacks(&self, lane_key: Key, role: Role, now: Time) -> Vec<Lack> {
        let lane = self.lanes.all.get(lane_key);
        let open = self.open_to(lane_key, role, now);
        open.map(|id| (id, lane.and_then(|lane| lane.bar(id, now))))
            .collect()
    }

    /// One that has waited for a while for its user's room, and has its database's, keeps that.
    pub(super) fn keep_room(&self, lane_key: Key, lacks: &[Lack], since: Time, now: Time) {
        let Some(lane) = self.lanes.all.get(lane_key).filter(|_| aged(since, now)) else {
            return;
        };
        let users = lacks.iter().filter(|(_, bar)| *bar == Some(Bar::User));
        for shares in users.filter_map(|(target, _)| lane.shares.get(target)) {
            shares.keep(lane.hash, now);
        }
    }

    /// Whether the room of a backend is what somebody of that key lacks.
    pub(super) fn would_help(&self, backend: &Backend<E>, who: &Identity, lack: &Lack) -> bool {
        let (target, bar) = *lack;
        if backend.target.id != target {
            return false;
        }
        let has = self.lanes.all.get(backend.lane);
        has.is_some_and(|lane| match bar {
            None => true,
            Some(Bar::User) => lane.identity.user == who.user,
            Some(Bar::Database) => lane.identity.database == who.database,
        })
    }

    /// The waiters whom the room of a backend with these shares would help, and no other room.
    pub(super) fn barred_by(shares: &Shares) -> impl Iterator<Item = (usize, Waiter, Bar)> + '_ {
        let asks = Bar::ALL.into_iter().filter_map(|bar| {
            let (worker, waiter) = shares.of(bar).oldest()?;
            Some((worker, waiter, bar))
        });
        asks
    }

    /// Promises the room of a backend with these shares to a worker's waiter, whom `bar` bars. Says
    /// whether nobody else did.
    pub(super) fn claim_place(
        backend: &Backend<E>,
        worker: usize,
        since: Time,
        bar: Option<Bar>,
    ) -> bool {
        match (bar, backend.permit.as_ref()) {
            (Some(bar), Some(permit)) => permit.shares.of(bar).claim(worker, since),
            _ => backend.target.signs.claim_neediest(worker, since),
        }
    }

    /// Lets the other workers see the oldest waiters of a role that are barred, in what bars them.
    pub(super) fn show_barred(&mut self, role: Role) {
        let before = match self.asking.get_mut(role as usize) {
            Some(asking) => std::mem::take(asking),
            None => return,
        };
        if before.is_empty() && !self.has_caps() {
            return;
        }
        let barred = self.barred(role);
        for share in &before {
            if !barred.iter().any(|(other, _)| Arc::ptr_eq(other, share)) {
                share.show(self.index, None);
            }
        }
        for (share, waiter) in &barred {
            share.show(self.index, Some(*waiter));
        }
        if let Some(asking) = self.asking.get_mut(role as usize) {
            asking.extend(barred.into_iter().map(|(share, _)| share));
        }
    }

    /// For each share that bars somebody, the oldest of them for whom no log-in is under way.
    fn barred(&self, role: Role) -> Vec<(Arc<Share>, Waiter)> {
        let now = self.driver.now();
        let mut found: Vec<(Arc<Share>, Waiter)> = Vec::new();
        for target in self.snapshot.iter().flat_map(|s| s.serving(role)) {
            for (_, lane) in self.lanes.by_age(role) {
                let Some((bar, needy)) = lane.bar(target.id, now).zip(lane.needy(role)) else {
                    continue;
                };
                let Some(shares) = lane.shares.get(&target.id) else {
                    continue;
                };
                if !self.may_open(lane, target.id, now) {
                    continue;
                }
                let (share, key, since) = (shares.of(bar), lane.hash, needy.since);
                match found
                    .iter_mut()
                    .find(|(other, _)| Arc::ptr_eq(other, share))
                {
                    Some((_, waiter)) if waiter.since <= since => {}
                    Some((_, waiter)) => *waiter = Waiter { key, since },
                    None => found.push((share.clone(), Waiter { key, since })),
                }
            }
        }
        found
    }

    /// Shows nobody as barred, before a snapshot is replaced.
    pub(super) fn hide_barred(&mut self) {
        for share in self.asking.iter_mut().flat_map(std::mem::take) {
            share.show(self.index, None);
        }
    }

    /// Promises to waiters that are barred lapse.
    pub(super) fn forget_barred_claims(&self) {
        for share in self.asking.iter().flatten() {
            share.forget_claims(self.index);
        }
    }
}

impl Lane {
    /// What keeps this lane from one more connection to a target.
    pub(super) fn bar(&self, target: TargetId, now: Time) -> Option<Bar> {
        self.shares.get(&target)?.bar(self.hash, now)
    }
}
