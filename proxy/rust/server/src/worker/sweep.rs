//! Deadlines: rare ones by a heap, common ones by looking around now and then. Nothing is
//! registered per query.

use dbproxy_driver::{Driver, Duration, Time};
use dbproxy_engine::{CancelFailure, CloseReason, Engine, Failure, KillReason, Link};

use crate::limits::Limits;
use crate::slab::Key;
use crate::snapshot::Role;

use super::lanes::Queued;
use super::state::{Backend, Client, ClientPlace, Timer};
use super::Worker;

/// How often idle clients and backends are looked at; also how often an idle loop turns.
const SWEEP: Duration = Duration::from_secs(1);
/// How often waiters are looked at, while there are any.
const SEEK: Duration = Duration::from_millis(50);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// When to stop waiting for the network.
    pub(super) fn next_deadline(&self) -> Time {
        if !self.working.is_empty() {
            return self.driver.now();
        }
        let mut next = self.swept_at.after(SWEEP);
        if self.lanes.anybody_waits() {
            next = next.min(self.sought_at.after(SEEK));
        }
        let rare = [self.timers.next(), self.next_plea()];
        rare.into_iter().flatten().fold(next, Time::min)
    }

    /// Does what is due.
    pub(super) fn sweep(&mut self, now: Time) {
        while let Some(timer) = self.timers.due(now) {
            self.ring(timer);
        }
        self.plead(now);
        if now >= self.sought_at.after(SEEK) && self.lanes.anybody_waits() {
            self.sought_at = now;
            self.time_out_waiters(now);
            self.show_all_waiters();
            self.seek_all();
        }
        if now >= self.swept_at.after(SWEEP) {
            self.swept_at = now;
            self.sweep_clients(now);
            self.sweep_backends(now);
            self.end_lives(now);
            self.mind_stock(now);
        }
    }

    fn ring(&mut self, timer: Timer) {
        match timer {
            Timer::Backend(key) => self.look_at_due(key),
            Timer::Cancel(key) => self.fail_cancel(key, CancelFailure::TimedOut),
            Timer::Kept(key) => self.kept_for_long(key),
            Timer::Begun(key) => self.begun_for_long(key),
            Timer::Kills(key) => self.kills_for_long(key),
            Timer::Leaving(key) => {
                let place = self.clients.get(key).map(|client| client.place);
                if place == Some(ClientPlace::Leaving) {
                    self.remove_client(key);
                }
            }
        }
    }

    fn time_out_waiters(&mut self, now: Time) {
        let Some(timeout) = self.snapshot.as_ref().map(|s| s.limits.borrow_timeout) else {
            return;
        };
        let mut late: Vec<Key> = Vec::new();
        let overdue = |queued: &&Queued| queued.since.after(timeout) <= now;
        for role in Role::BOTH {
            // Behind one that may still wait, in its lane and among the lanes, all may.
            let lanes = self.lanes.by_age(role).map(|(_, lane)| lane.waiting(role));
            let queues = lanes.map(|queue| queue.iter().take_while(overdue));
            let queues = queues.map(|queue| queue.map(|queued| queued.client).collect::<Vec<_>>());
            queues
                .take_while(|queue| !queue.is_empty())
                .for_each(|queue| late.extend(queue));
        }
        for key in late {
            self.refuse(key, Failure::BorrowTimeout);
        }
    }

    fn sweep_clients(&mut self, now: Time) {
        let Some(snapshot) = self.snapshot.clone() else {
            return;
        };
        for key in self.clients.keys() {
            if let Some((reason, why)) = self.rests_too_long(key, &snapshot.limits, now) {
                self.close_client(key, reason, Some(why));
                continue;
            }
            let stalled = |client: &Client<E>| client.stalled_since.is_some();
            if self.clients.get(key).is_some_and(stalled) {
                self.judge_reader(key, snapshot.limits.client_write_timeout, now);
            }
        }
    }

    /// Which limit a client that does nothing is over, and what it is told.
    fn rests_too_long(
        &self,
        key: Key,
        limits: &Limits,
        now: Time,
    ) -> Option<(CloseReason, Failure)> {
        let client = self.clients.get(key)?;
        let in_transaction = match client.place {
            ClientPlace::Idle if client.session.is_some() => false,
            ClientPlace::Holding(backend) => self.rests_in_transaction(client, backend)?,
            _ => return None,
        };
        let (most, reason, why) = if in_transaction {
            (
                limits.idle_in_transaction_timeout?,
                CloseReason::IdleInTransaction,
                Failure::IdleInTransaction,
            )
        } else {
            (
                limits.idle_client_timeout,
                CloseReason::IdleTimeout,
                Failure::IdleTimeout,
            )
        };
        let since = client.since.max(client.asked_at);
        (since.after(most) <= now).then_some((reason, why))
    }

    /// Whether a client whose backend has nothing to do for it is in a transaction; `None` while it
    /// isn't at rest. One that has not taken its last answer yet is at rest only outside of one: in
    /// a transaction the server would still be sending, and its clock stand still.
    fn rests_in_transaction(&self, client: &Client<E>, backend: Key) -> Option<bool> {
        let link = self.backends.get(backend)?.link.as_ref()?;
        let in_transaction = link.in_transaction();
        let takes = in_transaction && self.driver.queued(client.wire.token) > 0;
        (link.outstanding() == 0 && !takes).then_some(in_transaction)
    }

    /// A client that takes nothing for too long goes, unless it holds a backend that nobody else
    /// wants: that is between it and the database. Perhaps mid-row, so no error can be squeezed in.
    fn judge_reader(&mut self, key: Key, timeout: Duration, now: Time) {
        self.regulate(key);
        let Some(client) = self.clients.get(key) else {
            return;
        };
        let too_slow = client
            .stalled_since
            .is_some_and(|s| s.after(timeout) <= now);
        let holds = match client.place {
            ClientPlace::Holding(backend) => Some(backend),
            ClientPlace::Idle | ClientPlace::Waiting => None,
            ClientPlace::Leaving => return,
        };
        if !too_slow || holds.is_some_and(|backend| !self.is_wanted(backend)) {
            return;
        }
        self.close_client(key, CloseReason::SlowReader, None);
        self.remove_client(key);
        if let Some(backend) = holds {
            self.kill(backend, KillReason::SlowReader);
        }
    }

    /// Backends that stand for too long where they stand.
    fn sweep_backends(&mut self, now: Time) {
        let late = |backend: &Backend<E>| backend.due.is_some_and(|due| due <= now);
        let late = self.backends.iter().filter(|(_, backend)| late(backend));
        let late: Vec<Key> = late.map(|(key, _)| key).collect();
        for key in late {
            self.overstayed(key);
        }
    }
}
