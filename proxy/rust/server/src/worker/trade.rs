//! The trade with other workers: who waits there, and idle backends that change hands.

use std::sync::atomic::Ordering;

use dbproxy_driver::{Driver, Duration, Time};
use dbproxy_engine::{Engine, KillReason};

use crate::shared::{Letter, Loan, Plea, NOBODY};
use crate::slab::Key;
use crate::snapshot::TargetId;

use super::pool::Way;
use super::state::{Backend, BackendPlace, Owner};
use super::{Todo, Worker};

/// How long a waiter waits before other workers are asked for an idle backend.
const PATIENCE: Duration = Duration::from_millis(2);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Asks workers that have idle backends for one, for waiters that have waited for a while: a
    /// backend that changes hands costs more than the moment until one of our own comes free.
    pub(super) fn plead(&mut self, now: Time) {
        if !self.others_idle() || now < self.pleaded_at.after(PATIENCE) {
            return;
        }
        let Some((lane, role, since)) = self.oldest_lane(|_, _| true) else {
            return;
        };
        let Way::To(target) = self.way(role, None) else {
            return;
        };
        if since.after(PATIENCE) > now {
            return;
        }
        let Some(lane) = self.lanes.all.get(lane) else {
            return;
        };
        self.pleaded_at = now;
        let plea = Plea {
            worker: self.index,
            identity: lane.identity.clone(),
            target: target.id,
        };
        for (worker, signs) in self.shared.signs.iter().enumerate() {
            if worker != self.index && signs.idle.get() > 0 {
                if let Some(mailbox) = self.shared.workers.get(worker) {
                    mailbox.post(Letter::Plea(plea.clone()));
                }
            }
        }
    }

    /// When the oldest waiter will have waited long enough for a plea, if that may help.
    pub(super) fn plea_due(&self) -> Option<Time> {
        if !self.anybody_waits() || !self.others_idle() {
            return None;
        }
        let (_, _, since) = self.oldest_lane(|_, _| true)?;
        Some(since.max(self.pleaded_at).after(PATIENCE))
    }

    fn others_idle(&self) -> bool {
        let mut signs = self.shared.signs.iter().enumerate();
        signs.any(|(worker, signs)| worker != self.index && signs.idle.get() > 0)
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

    pub(super) fn depart(&mut self, key: Key, worker: usize) {
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
        let spoke = !wire.input().is_empty();
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
        if spoke {
            return self.spoke_out_of_turn(key);
        }
        self.todo.push_back(Todo::Offer(key));
    }

    /// Lets the other workers see this worker's oldest waiter.
    pub(super) fn publish_waiters(&self) {
        let Some(signs) = self.shared.signs.get(self.index) else {
            return;
        };
        let oldest = self.oldest_lane(|_, _| true);
        let since = oldest.map_or(NOBODY, |(_, _, since)| since.0);
        if let Some((lane, role, _)) = oldest {
            let lane_hash = self.lanes.all.get(lane).map_or(0, |lane| lane.hash);
            signs.waiting_key.store(lane_hash, Ordering::Relaxed);
            let target = match self.way(role, None) {
                Way::To(target) => u32::from(target.id.0),
                Way::Wait | Way::NoReader => u32::MAX,
            };
            signs.waiting_target.store(target, Ordering::Relaxed);
        }
        signs.waiting_since.store(since, Ordering::Relaxed);
    }

    pub(super) fn same_key_waits(&self, worker: usize, lane: Key) -> bool {
        let lane = self.lanes.all.get(lane).map(|lane| lane.hash);
        let signs = self.shared.signs.get(worker);
        signs.map(|signs| signs.waiting_key.load(Ordering::Relaxed)) == lane
    }

    pub(super) fn waits_for(&self, worker: usize, target: TargetId) -> bool {
        let signs = self.shared.signs.get(worker);
        let wanted = signs.map(|signs| signs.waiting_target.load(Ordering::Relaxed));
        wanted == Some(u32::from(target.0))
    }

    pub(super) fn count_idle(&self, by: i32) {
        if let Some(signs) = self.shared.signs.get(self.index) {
            signs.idle.change(by);
        }
    }
}
