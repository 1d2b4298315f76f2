//! The pool's book: how many connections each target may have, and who still has one of before.
//!
//! All workers share it behind one lock, which is touched when a backend opens or closes and never
//! per query.

use std::collections::{BTreeMap, VecDeque};

use dbproxy_driver::Time;
use dbproxy_engine::Identity;

use crate::caps::{Caps, Register, Shares};
use crate::reign::Reign;
use crate::signs::hash_of;
use crate::snapshot::{Snapshot, TargetId};

/// The right to one connection; comes back when the server's EOF was seen.
#[derive(Debug)]
#[must_use = "a permit that is dropped is lost to the budget: give it back to the book"]
pub struct Permit {
    /// The target it is for.
    pub target: TargetId,
    /// What its user and its database have of that target.
    pub shares: Shares,
    term: u64,
    /// Its connection is being closed because the limit was lowered.
    shed: bool,
}

impl Permit {
    /// The writer's term in which it was taken, or renewed.
    pub fn term(&self) -> u64 {
        self.term
    }
}

/// Why there is no permit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// The target's budget has no room.
    Full,
    /// It may have some, but the user or the database has all that it may have.
    Capped,
}

#[derive(Default)]
struct Account {
    limit: u32,
    used: u32,
    /// Of the used ones, those that are being closed because the limit was lowered.
    shed: u32,
    by_term: BTreeMap<u64, u32>,
    users: Register,
    databases: Register,
}

impl Account {
    fn has_too_many(&self) -> bool {
        self.used.saturating_sub(self.shed) > self.limit
    }

    fn over_limit(&self) -> bool {
        self.has_too_many() || self.users.over_limit() || self.databases.over_limit()
    }

    fn limit_to(&mut self, limit: u32, caps: Caps) {
        self.limit = limit;
        self.users.limit_to(caps.of_user);
        self.databases.limit_to(caps.of_database);
    }

    fn shares(&mut self, identity: &Identity, workers: usize) -> Shares {
        Shares::new(
            self.users.share(&identity.user, workers),
            self.databases.share(&identity.database, workers),
        )
    }

    fn leave_term(&mut self, term: u64) {
        if let Some(count) = self.by_term.get_mut(&term) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_term.remove(&term);
            }
        }
    }
}

/// A change of writer whose old connections aren't all gone yet.
struct Cut {
    term: u64,
    sequence: u64,
    epoch: u64,
    from: Option<TargetId>,
    unconfirmed: bool,
}

/// A change of writer that is complete: nothing of ours is left on the old one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// The writer of before, if there was one.
    pub from: Option<TargetId>,
    /// The epoch that may be acknowledged.
    pub epoch: u64,
    /// Some connections were closed without the server's EOF.
    pub unconfirmed: bool,
}

/// The accounts of all targets.
#[derive(Default)]
pub struct Book {
    accounts: BTreeMap<TargetId, Account>,
    term: u64,
    writer: Option<Reign>,
    cuts: VecDeque<Cut>,
    sequence: u64,
    caught_up: Vec<u64>,
}

impl Book {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            caught_up: vec![0; workers],
            ..Self::default()
        }
    }

    /// Takes over a snapshot's limits and its writer, and numbers it: its sequence, and the
    /// writer's term, which rises when there are former writer's connections to cut.
    pub fn open<C>(&mut self, snapshot: &mut Snapshot<C>) {
        self.sequence += 1;
        self.open_accounts(snapshot);
        snapshot.sequence = self.sequence;
        snapshot.term = self.term;
    }

    fn open_accounts<C>(&mut self, snapshot: &Snapshot<C>) {
        let caps = snapshot.limits.caps;
        for account in self.accounts.values_mut() {
            account.limit_to(0, caps);
        }
        for target in snapshot.targets.iter().flatten() {
            let account = self.accounts.entry(target.id).or_default();
            account.limit_to(target.max_connections, caps);
        }
        let before = self.writer.take();
        let reign = Reign::of(snapshot, before.as_ref());
        let from = before.as_ref().and_then(|reign| reign.deposed_by(snapshot));
        let goes_on = before.is_some_and(|before| {
            from.is_none() && (before.target, before.epoch) == (reign.target, reign.epoch)
        });
        let epoch = reign.epoch;
        self.writer = Some(reign);
        if goes_on {
            return;
        }
        self.term += u64::from(from.is_some());
        self.cuts.push_back(Cut {
            term: self.term,
            sequence: self.sequence,
            epoch,
            from,
            unconfirmed: false,
        });
    }

    /// What a key's user and database have of a target.
    pub fn shares(&mut self, target: TargetId, identity: &Identity) -> Shares {
        let workers = self.caught_up.len();
        let account = self.accounts.entry(target).or_default();
        account.shares(identity, workers)
    }

    /// A permit, if the budget has one left, and the key's user and database may have one more.
    pub fn take(
        &mut self,
        target: TargetId,
        identity: &Identity,
        term: u64,
        now: Time,
    ) -> Result<Permit, Denied> {
        let workers = self.caught_up.len();
        let account = self.accounts.get_mut(&target).ok_or(Denied::Full)?;
        if account.used >= account.limit {
            return Err(Denied::Full);
        }
        let shares = account.shares(identity, workers);
        if shares.bar(hash_of(identity), now).is_some() {
            return Err(Denied::Capped);
        }
        shares.count();
        account.used += 1;
        *account.by_term.entry(term).or_default() += 1;
        Ok(Permit {
            target,
            shares,
            term,
            shed: false,
        })
    }

    /// A connection of an earlier term is none to the former writer.
    pub fn renew(&mut self, permit: &mut Permit, term: u64) {
        if let Some(account) = self.accounts.get_mut(&permit.target) {
            account.leave_term(permit.term);
            *account.by_term.entry(term).or_default() += 1;
        }
        permit.term = term;
    }

    /// Whether this connection must go because a limit was lowered below what is used. One that
    /// goes already counts for the others.
    pub fn shed(&mut self, permit: &mut Permit) -> bool {
        let Some(account) = self.accounts.get_mut(&permit.target) else {
            return false;
        };
        if !permit.shed && (account.has_too_many() || permit.shares.over_limit()) {
            account.shed += 1;
            permit.shares.count_shed();
            permit.shed = true;
        }
        permit.shed
    }

    /// Whether some target has more connections than it may have.
    pub fn over_limit(&self) -> bool {
        self.accounts.values().any(Account::over_limit)
    }

    /// A connection is gone; `confirmed` says that the server's EOF (or reset) was seen.
    pub fn give_back(&mut self, permit: Permit, confirmed: bool) {
        if let Some(account) = self.accounts.get_mut(&permit.target) {
            account.used = account.used.saturating_sub(1);
            account.shed = account.shed.saturating_sub(u32::from(permit.shed));
            account.leave_term(permit.term);
            permit.shares.uncount(permit.shed);
        }
        if !confirmed {
            for cut in &mut self.cuts {
                cut.unconfirmed |= cut.from == Some(permit.target) && permit.term < cut.term;
            }
        }
    }

    /// A worker took over the snapshot of that sequence: it begins nothing under an earlier one.
    pub fn worker_caught_up(&mut self, worker: usize, sequence: u64) {
        if let Some(caught_up) = self.caught_up.get_mut(worker) {
            *caught_up = sequence;
        }
    }

    /// The changes of writer that are complete now, in their order.
    pub fn drained(&mut self) -> Vec<Drained> {
        let mut done = Vec::new();
        let everybody = self.caught_up.iter().copied().min().unwrap_or(u64::MAX);
        while let Some(cut) = self.cuts.front() {
            let left = cut.from.and_then(|from| self.accounts.get(&from));
            let busy = left.is_some_and(|account| {
                account
                    .by_term
                    .range(..cut.term)
                    .any(|(_, count)| *count > 0)
            });
            if busy || everybody < cut.sequence {
                break;
            }
            done.push(Drained {
                from: cut.from,
                epoch: cut.epoch,
                unconfirmed: cut.unconfirmed,
            });
            self.cuts.pop_front();
        }
        done
    }

    /// Connections that count, by target: opening, idle, lent or closing.
    pub fn held(&self) -> BTreeMap<TargetId, u32> {
        let accounts = self.accounts.iter();
        accounts.map(|(id, account)| (*id, account.used)).collect()
    }

    /// Connections open and allowed: `(used, limit)`.
    pub fn usage(&self, target: TargetId) -> (u32, u32) {
        self.accounts
            .get(&target)
            .map_or((0, 0), |account| (account.used, account.limit))
    }
}

#[cfg(test)]
mod tests;
