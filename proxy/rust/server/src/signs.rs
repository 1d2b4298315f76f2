//! What workers let each other see of one target without asking: who waits for it, what lies idle,
//! which of its addresses answers.
//!
//! A worker writes its own [`Sign`] whenever its queues change and reads the others' when it decides
//! who gets a backend (`worker::trade`). A sign may be a moment old: what it leads to is looked at
//! again by whoever it concerns.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;

use dbproxy_driver::Time;
use dbproxy_engine::Identity;

use crate::mailbox::lock;

/// Nobody waits.
const NOBODY: u64 = u64::MAX;

/// A count that one worker writes and all read.
#[derive(Default, Debug)]
pub struct Count(AtomicU32);

impl Count {
    /// The count now.
    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// One more; by its owner only.
    pub fn rise(&self) {
        self.0.store(self.get().wrapping_add(1), Relaxed);
    }

    /// One fewer; by its owner only.
    pub fn fall(&self) {
        self.0.store(self.get().saturating_sub(1), Relaxed);
    }
}

/// Somebody at the head of a queue, as others see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// Its pool key, hashed.
    pub key: u64,
    /// Since when it waits.
    pub since: Time,
}

/// What workers see of a pool key.
pub fn hash_of(identity: &Identity) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    hasher.finish()
}

/// A waiter that one other worker may promise something to.
#[derive(Debug)]
pub(crate) struct Ask {
    since: AtomicU64,
    key: AtomicU64,
    /// The waiter (by its age) that somebody does something for already.
    claimed: AtomicU64,
}

impl Default for Ask {
    fn default() -> Self {
        let nobody = || AtomicU64::new(NOBODY);
        Self {
            since: nobody(),
            key: AtomicU64::new(0),
            claimed: nobody(),
        }
    }
}

impl Ask {
    pub(crate) fn show(&self, waiter: Option<Waiter>) {
        if let Some(waiter) = waiter {
            self.key.store(waiter.key, Relaxed);
        }
        let since = waiter.map_or(NOBODY, |waiter| waiter.since.0);
        self.since.store(since, Relaxed);
    }

    pub(crate) fn see(&self) -> Option<Waiter> {
        let since = self.since.load(Relaxed);
        (since != NOBODY).then(|| Waiter {
            key: self.key.load(Relaxed),
            since: Time(since),
        })
    }

    pub(crate) fn claim(&self, since: Time) -> bool {
        self.claimed.swap(since.0, Relaxed) != since.0
    }

    pub(crate) fn forget_claim(&self) {
        self.claimed.store(NOBODY, Relaxed);
    }
}

/// Who waits; a cache line of its own, since others read it at every check-in.
#[derive(Default, Debug)]
#[repr(align(128))]
struct Queue {
    /// The oldest waiter that may use the target.
    oldest: Ask,
    /// The oldest that needs a connection more: none is being opened for it, and it may log in.
    needy: Ask,
}

/// What there is; changes with every query.
#[derive(Default, Debug)]
#[repr(align(128))]
struct Stock {
    idle: Count,
    load: Count,
}

/// What one worker shows of one target.
#[derive(Default, Debug)]
struct Sign {
    queue: Queue,
    stock: Stock,
}

/// What all workers show of one target; survives snapshots.
#[derive(Debug)]
pub struct TargetSigns {
    signs: Box<[Sign]>,
    /// Its address that answered somebody last.
    answered: Mutex<Option<SocketAddr>>,
}

impl TargetSigns {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            signs: (0..workers).map(|_| Sign::default()).collect(),
            answered: Mutex::default(),
        }
    }

    /// Its address that answered last, and hasn't failed since.
    pub(crate) fn good_address(&self) -> Option<SocketAddr> {
        *lock(&self.answered)
    }

    /// One of its addresses answered.
    pub(crate) fn address_answered(&self, address: SocketAddr) {
        *lock(&self.answered) = Some(address);
    }

    /// One of its addresses didn't.
    pub(crate) fn address_failed(&self, address: SocketAddr) {
        lock(&self.answered).take_if(|good| *good == address);
    }

    /// Connections that are lent or being opened, over all workers.
    pub fn load(&self) -> u32 {
        self.signs.iter().map(|sign| sign.stock.load.get()).sum()
    }

    /// The connections of one worker that are lent or being opened.
    pub(crate) fn loaded(&self, worker: usize) -> Option<&Count> {
        self.signs.get(worker).map(|sign| &sign.stock.load)
    }

    /// The idle connections of one worker.
    pub(crate) fn idle(&self, worker: usize) -> Option<&Count> {
        self.signs.get(worker).map(|sign| &sign.stock.idle)
    }

    /// The idle connections of all workers.
    pub(crate) fn all_idle(&self) -> u32 {
        self.signs.iter().map(|sign| sign.stock.idle.get()).sum()
    }

    /// Whether a worker shows somebody who waits.
    pub(crate) fn anybody_waits(&self) -> bool {
        let oldest = self.asks(|queue| &queue.oldest);
        oldest
            .chain(self.asks(|queue| &queue.needy))
            .next()
            .is_some()
    }

    /// Lets the others see a worker's oldest waiter, and the oldest that needs a connection more.
    pub(crate) fn show(&self, worker: usize, oldest: Option<Waiter>, needy: Option<Waiter>) {
        if let Some(Sign { queue, .. }) = self.signs.get(worker) {
            queue.oldest.show(oldest);
            queue.needy.show(needy);
        }
    }

    /// Lets promises to a worker's waiters lapse: they may have come to nothing.
    pub(crate) fn forget_claims(&self, worker: usize) {
        if let Some(Sign { queue, .. }) = self.signs.get(worker) {
            queue.oldest.forget_claim();
            queue.needy.forget_claim();
        }
    }

    /// The oldest waiter of that pool key on workers other than `except`.
    pub(crate) fn oldest_of_key(&self, except: usize, key: u64) -> Option<(usize, Time)> {
        let waiters = self.asks(|queue| &queue.oldest);
        let same = waiters.filter(|(worker, waiter)| *worker != except && waiter.key == key);
        let since = same.map(|(worker, waiter)| (worker, waiter.since));
        since.min_by_key(|(_, since)| *since)
    }

    /// The oldest waiter that needs a connection more, on workers other than `except`.
    pub(crate) fn neediest(&self, except: Option<usize>) -> Option<(usize, Waiter)> {
        let waiters = self.asks(|queue| &queue.needy);
        let others = waiters.filter(|(worker, _)| Some(*worker) != except);
        others.min_by_key(|(_, waiter)| waiter.since)
    }

    /// Promises an idle backend to a worker's oldest waiter. Says whether nobody else did.
    pub(crate) fn claim_oldest(&self, worker: usize, since: Time) -> bool {
        let sign = self.signs.get(worker);
        sign.is_some_and(|sign| sign.queue.oldest.claim(since))
    }

    /// Promises room to a worker's neediest waiter. Says whether nobody else did.
    pub(crate) fn claim_neediest(&self, worker: usize, since: Time) -> bool {
        let sign = self.signs.get(worker);
        sign.is_some_and(|sign| sign.queue.needy.claim(since))
    }

    fn asks(&self, which: fn(&Queue) -> &Ask) -> impl Iterator<Item = (usize, Waiter)> + '_ {
        let asks = self.signs.iter().map(move |sign| which(&sign.queue).see());
        let asks = asks.enumerate();
        asks.filter_map(|(worker, waiter)| Some((worker, waiter?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITER: Waiter = Waiter {
        key: 7,
        since: Time(100),
    };

    #[test]
    fn a_waiter_is_promised_one_backend_until_promises_lapse() {
        let signs = TargetSigns::new(2);
        signs.show(1, Some(WAITER), None);
        assert_eq!(signs.oldest_of_key(0, 7), Some((1, Time(100))));
        assert_eq!(signs.neediest(Some(0)), None);
        assert!(signs.claim_oldest(1, Time(100)));
        assert!(!signs.claim_oldest(1, Time(100)));
        signs.forget_claims(1);
        assert!(signs.claim_oldest(1, Time(100)));
    }

    #[test]
    fn a_workers_own_waiters_are_no_others() {
        let signs = TargetSigns::new(2);
        signs.show(0, Some(WAITER), Some(WAITER));
        assert_eq!(signs.oldest_of_key(0, 7), None);
        assert_eq!(signs.neediest(Some(0)), None);
        assert_eq!(signs.neediest(None), Some((0, WAITER)));
    }

    #[test]
    fn the_load_of_a_target_is_that_of_all_workers() {
        let signs = TargetSigns::new(2);
        let counts = [0, 1, 1].map(|worker| signs.loaded(worker).expect("a worker"));
        counts.iter().for_each(|count| count.rise());
        counts[2].fall();
        assert_eq!(signs.load(), 2);
    }
}
