//! The pool's book: how many connections each target may have, and who still has one of before.
//!
//! All workers share it behind one lock, which is touched when a backend opens or closes and never
//! per query.

use std::collections::{BTreeMap, VecDeque};

use crate::reign::Reign;
use crate::snapshot::{Snapshot, TargetId};

/// The right to one connection; comes back when the server's EOF was seen.
#[derive(Debug)]
#[must_use = "a permit that is dropped is lost to the budget: give it back to the book"]
pub struct Permit {
    /// The target it is for.
    pub target: TargetId,
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

#[derive(Default)]
struct Account {
    limit: u32,
    used: u32,
    /// Of the used ones, those that are being closed because the limit was lowered.
    shed: u32,
    by_term: BTreeMap<u64, u32>,
}

impl Account {
    fn over_limit(&self) -> bool {
        self.used.saturating_sub(self.shed) > self.limit
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
    pub fn open(&mut self, snapshot: &mut Snapshot) {
        self.sequence += 1;
        self.open_accounts(snapshot);
        snapshot.sequence = self.sequence;
        snapshot.term = self.term;
    }

    fn open_accounts(&mut self, snapshot: &Snapshot) {
        for account in self.accounts.values_mut() {
            account.limit = 0;
        }
        for target in snapshot.targets.iter().flatten() {
            self.accounts.entry(target.id).or_default().limit = target.max_connections;
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

    /// A permit, if the budget has one left.
    pub fn take(&mut self, target: TargetId, term: u64) -> Option<Permit> {
        let account = self.accounts.get_mut(&target)?;
        if account.used >= account.limit {
            return None;
        }
        account.used += 1;
        *account.by_term.entry(term).or_default() += 1;
        let shed = false;
        Some(Permit { target, term, shed })
    }

    /// A connection of an earlier term is none to the former writer.
    pub fn renew(&mut self, permit: &mut Permit, term: u64) {
        if let Some(account) = self.accounts.get_mut(&permit.target) {
            account.leave_term(permit.term);
            *account.by_term.entry(term).or_default() += 1;
        }
        permit.term = term;
    }

    /// Whether this connection must go because the limit was lowered below what is used. One that
    /// goes already counts for the others.
    pub fn shed(&mut self, permit: &mut Permit) -> bool {
        let Some(account) = self.accounts.get_mut(&permit.target) else {
            return false;
        };
        if !permit.shed && account.over_limit() {
            account.shed += 1;
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
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;
    use crate::signs::TargetSigns;
    use crate::snapshot::{Target, Writer};
    use crate::test_support::snapshot;

    const A: TargetId = TargetId(0);
    const B: TargetId = TargetId(1);

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 5432))
    }

    /// With the writer at its own address.
    fn world(writer: Option<(TargetId, u64)>) -> Snapshot {
        let target = |id: TargetId| {
            Some(Arc::new(Target {
                id,
                name: "db".into(),
                addresses: vec![at(id.0 as u8)],
                server_name: "db".into(),
                reader: false,
                available: true,
                max_connections: 2,
                max_idle: 1,
                signs: Arc::new(TargetSigns::new(0)),
            }))
        };
        Snapshot {
            targets: vec![target(A), target(B)],
            writer: writer.map(|(target, epoch)| Writer {
                target,
                epoch,
                open: true,
            }),
            ..snapshot()
        }
    }

    fn moved(epoch: u64, addresses: &[SocketAddr]) -> Snapshot {
        let mut snapshot = world(Some((A, epoch)));
        if let Some(target) = snapshot.targets[0].as_mut() {
            Arc::make_mut(target).addresses = addresses.to_vec();
        }
        snapshot
    }

    /// What a snapshot that everybody took over at once brings about.
    fn told(book: &mut Book, mut snapshot: Snapshot) -> (u64, Vec<Drained>) {
        book.open(&mut snapshot);
        book.worker_caught_up(0, snapshot.sequence);
        (snapshot.term, book.drained())
    }

    fn drained(from: Option<TargetId>, epoch: u64) -> Vec<Drained> {
        let unconfirmed = false;
        vec![Drained {
            from,
            epoch,
            unconfirmed,
        }]
    }

    #[test]
    fn a_writer_that_moves_is_a_former_writer() {
        let mut book = Book::new(1);
        assert_eq!(told(&mut book, moved(1, &[at(1)])), (0, drained(None, 1)));
        let old = book.take(A, 0).expect("room");
        assert_eq!(told(&mut book, moved(2, &[at(2)])), (1, Vec::new()));
        book.give_back(old, true);
        assert_eq!(book.drained(), drained(Some(A), 2));
        // Without a word of a new epoch too.
        assert_eq!(
            told(&mut book, moved(2, &[at(3)])),
            (2, drained(Some(A), 2))
        );
    }

    #[test]
    fn a_writer_that_stays_where_it_was_is_none() {
        let mut book = Book::new(1);
        told(&mut book, moved(1, &[at(1)]));
        let both = [at(1), at(2)];
        assert_eq!(told(&mut book, moved(2, &both)), (0, drained(None, 2)));
        assert_eq!(told(&mut book, moved(2, &both)), (0, Vec::new()));
        // A name that can't be resolved stands for the addresses of before.
        assert_eq!(told(&mut book, moved(2, &[])), (0, Vec::new()));
        assert_eq!(told(&mut book, moved(2, &both)), (0, Vec::new()));
        assert_eq!(
            told(&mut book, moved(2, &[at(2)])),
            (1, drained(Some(A), 2))
        );
    }

    #[test]
    fn a_renewed_permit_holds_no_acknowledgement_up() {
        let mut book = Book::new(1);
        told(&mut book, moved(1, &[at(1), at(2)]));
        let mut stays = book.take(A, 0).expect("room");
        let goes = book.take(A, 0).expect("room");
        let (term, _) = told(&mut book, moved(2, &[at(2)]));
        book.renew(&mut stays, term);
        assert!(book.drained().is_empty());
        book.give_back(goes, true);
        assert_eq!(book.drained(), drained(Some(A), 2));
        assert_eq!(book.held()[&A], 1);
    }

    #[test]
    fn the_budget_is_never_exceeded() {
        let mut book = Book::new(1);
        book.open(&mut world(Some((A, 1))));
        let first = book.take(A, 0).expect("room for one");
        let _second = book.take(A, 0).expect("room for two");
        assert!(book.take(A, 0).is_none());
        book.give_back(first, true);
        assert!(book.take(A, 0).is_some());
        assert_eq!(book.usage(A), (2, 2));
    }

    #[test]
    fn a_lowered_limit_sheds_what_is_above_it_and_no_more() {
        let mut book = Book::new(1);
        let mut snapshot = world(Some((A, 1)));
        book.open(&mut snapshot);
        let mut first = book.take(A, 0).expect("room for one");
        let mut second = book.take(A, 0).expect("room for two");
        assert!(!book.over_limit() && !book.shed(&mut first));
        if let Some(target) = snapshot.targets[0].as_mut() {
            Arc::make_mut(target).max_connections = 1;
        }
        book.open(&mut snapshot);
        assert!(book.over_limit() && book.shed(&mut first));
        assert!(!book.over_limit() && !book.shed(&mut second));
        assert!(book.shed(&mut first), "it is told so until it is gone");
        book.give_back(first, true);
        assert!(book.take(A, 0).is_none(), "the limit is one now");
        book.give_back(second, true);
        assert!(book.take(A, 0).is_some());
    }

    #[test]
    fn an_epoch_is_drained_when_all_workers_saw_it_and_nothing_of_before_is_left() {
        let mut book = Book::new(2);
        let mut first = world(Some((A, 1)));
        book.open(&mut first);
        book.worker_caught_up(0, first.sequence);
        assert!(book.drained().is_empty());
        book.worker_caught_up(1, first.sequence);
        assert_eq!(book.drained().len(), 1);
        let old = book.take(A, first.term).expect("room");
        let mut second = world(Some((B, 2)));
        book.open(&mut second);
        assert!(second.term > first.term);
        book.worker_caught_up(0, second.sequence);
        book.worker_caught_up(1, second.sequence);
        // A reader's connection to the former writer doesn't hold the acknowledgement up.
        let _reader = book.take(A, second.term).expect("room");
        assert!(book.drained().is_empty());
        book.give_back(old, false);
        let expected = Drained {
            from: Some(A),
            epoch: 2,
            unconfirmed: true,
        };
        assert_eq!(book.drained(), vec![expected]);
    }
}
