//! Caps: how many connections to a target one user may have, and one database, and who waits for one
//! of those.
//!
//! The book counts; workers read the counts without its lock. A waiter whose user or database has all
//! that it may have is *barred*: room in the target's budget is no help to it, only what its own user
//! or database gives back. So who is barred asks in the share that bars it, where each worker shows
//! its oldest, and not beside those who wait for the budget (`signs`).
//!
//! Where both are full, a waiter needs two at once, and others would always be there for one of them.
//! It takes them in order: the database's room first, which is kept for it for a moment while it waits
//! for its user's. A moment, and not again soon, so that a user whose connections are all held in long
//! transactions keeps nobody from a database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use dbproxy_driver::{Duration, Time};

use crate::signs::{Ask, Waiter};

/// No cap.
const UNLIMITED: u32 = u32::MAX;
/// How long room is kept for one that lacks more than that, and how long it isn't after that.
const KEPT: Duration = Duration::from_millis(200);
const NOT_KEPT: Duration = Duration::from_millis(800);

/// What keeps a key from one more connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bar {
    /// Its user has all that a user may have.
    User,
    /// So has its database.
    Database,
}

impl Bar {
    /// Both.
    pub const ALL: [Bar; 2] = [Bar::User, Bar::Database];
}

/// The most that a user and a database may have; `None`: no cap.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Caps {
    /// Of each target.
    pub of_user: Option<u32>,
    /// Of each target.
    pub of_database: Option<u32>,
}

/// What one user or one database has of a target's connections. Written by the book only, but for
/// the asks.
#[derive(Debug)]
pub struct Share {
    used: AtomicU32,
    /// Of the used ones, those that are being closed because a limit was lowered.
    shed: AtomicU32,
    limit: AtomicU32,
    /// The pool key, hashed, that the last room is kept for, and until when.
    kept_for: AtomicU64,
    kept_until: AtomicU64,
    /// For each worker the oldest waiter that this share bars.
    asks: Box<[Ask]>,
}

impl Share {
    fn new(workers: usize) -> Self {
        Self {
            used: AtomicU32::new(0),
            shed: AtomicU32::new(0),
            limit: AtomicU32::new(UNLIMITED),
            kept_for: AtomicU64::new(0),
            kept_until: AtomicU64::new(0),
            asks: (0..workers).map(|_| Ask::default()).collect(),
        }
    }

    /// Whether it has all that it may have.
    pub fn is_full(&self) -> bool {
        self.used.load(Relaxed) >= self.limit.load(Relaxed)
    }

    /// Whether it has none for that key: what is kept for another isn't there.
    fn is_full_for(&self, key: u64, now: Time) -> bool {
        let kept = self.kept_until.load(Relaxed) > now.0 && self.kept_for.load(Relaxed) != key;
        let used = self.used.load(Relaxed).saturating_add(u32::from(kept));
        used >= self.limit.load(Relaxed)
    }

    /// Keeps its last room for a key for a moment, unless it was kept a moment ago.
    fn keep(&self, key: u64, now: Time) {
        let last = self.used.load(Relaxed).saturating_add(1) >= self.limit.load(Relaxed);
        let before = Time(self.kept_until.load(Relaxed));
        if last && before.after(NOT_KEPT) <= now {
            self.kept_for.store(key, Relaxed);
            self.kept_until.store(now.after(KEPT).0, Relaxed);
        }
    }

    pub(crate) fn over_limit(&self) -> bool {
        let stays = self
            .used
            .load(Relaxed)
            .saturating_sub(self.shed.load(Relaxed));
        stays > self.limit.load(Relaxed)
    }

    pub(crate) fn limit_to(&self, cap: Option<u32>) {
        self.limit.store(cap.unwrap_or(UNLIMITED), Relaxed);
    }

    /// Lets the others see a worker's oldest waiter that this share bars.
    pub(crate) fn show(&self, worker: usize, waiter: Option<Waiter>) {
        if let Some(ask) = self.asks.get(worker) {
            ask.show(waiter);
        }
    }

    /// Lets promises to a worker's waiter lapse.
    pub(crate) fn forget_claims(&self, worker: usize) {
        if let Some(ask) = self.asks.get(worker) {
            ask.forget_claim();
        }
    }

    /// The oldest waiter that this share bars, of all workers.
    pub(crate) fn oldest(&self) -> Option<(usize, Waiter)> {
        let asks = self.asks.iter().map(Ask::see).enumerate();
        let waiters = asks.filter_map(|(worker, waiter)| Some((worker, waiter?)));
        waiters.min_by_key(|(_, waiter)| waiter.since)
    }

    /// Promises its room to a worker's waiter. Says whether nobody else did.
    pub(crate) fn claim(&self, worker: usize, since: Time) -> bool {
        self.asks.get(worker).is_some_and(|ask| ask.claim(since))
    }
}

/// The two shares that a connection counts in.
#[derive(Clone, Debug)]
pub struct Shares {
    user: Arc<Share>,
    database: Arc<Share>,
}

impl Shares {
    /// Of these two.
    pub(crate) fn new(user: Arc<Share>, database: Arc<Share>) -> Self {
        Self { user, database }
    }

    /// The one of the user, or the one of the database.
    pub fn of(&self, bar: Bar) -> &Arc<Share> {
        match bar {
            Bar::User => &self.user,
            Bar::Database => &self.database,
        }
    }

    /// What keeps a key from one more connection: the database first. In one order for all, so that
    /// no two wait for what the other one has.
    pub fn bar(&self, key: u64, now: Time) -> Option<Bar> {
        if self.database.is_full_for(key, now) {
            return Some(Bar::Database);
        }
        self.user.is_full().then_some(Bar::User)
    }

    /// Keeps the database's room for a key that waits for its user's.
    pub fn keep(&self, key: u64, now: Time) {
        self.database.keep(key, now);
    }

    pub(crate) fn count(&self) {
        for share in [&self.user, &self.database] {
            share.used.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn count_shed(&self) {
        for share in [&self.user, &self.database] {
            share.shed.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn uncount(&self, shed: bool) {
        for share in [&self.user, &self.database] {
            share.used.fetch_sub(1, Relaxed);
            share.shed.fetch_sub(u32::from(shed), Relaxed);
        }
    }

    pub(crate) fn over_limit(&self) -> bool {
        self.user.over_limit() || self.database.over_limit()
    }
}

/// The shares of one kind, by name. A name is kept while somebody has its share.
#[derive(Default, Debug)]
pub(crate) struct Register {
    shares: HashMap<Arc<str>, Arc<Share>>,
    cap: Option<u32>,
}

impl Register {
    /// The most that each may have from here on.
    pub(crate) fn limit_to(&mut self, cap: Option<u32>) {
        self.cap = cap;
        self.shares.values().for_each(|share| share.limit_to(cap));
    }

    pub(crate) fn share(&mut self, name: &Arc<str>, workers: usize) -> Arc<Share> {
        if let Some(share) = self.shares.get(name) {
            return share.clone();
        }
        // Clients may name what they like: nothing is kept of names that nobody goes by.
        self.shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = Arc::new(Share::new(workers));
        share.limit_to(self.cap);
        self.shares.insert(name.clone(), share.clone());
        share
    }

    pub(crate) fn over_limit(&self) -> bool {
        self.cap.is_some() && self.shares.values().any(|share| share.over_limit())
    }
}
