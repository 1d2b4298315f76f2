//! Counters and histograms: each thread writes its own set, a scrape adds them up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use dbproxy_driver::Duration;
use dbproxy_engine::{CancelFailure, CloseReason, KillReason, PinReason};

/// A number that one thread writes and others read.
#[derive(Default, Debug)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Relaxed);
    }

    /// Counts `n` fewer (gauges).
    pub fn sub(&self, n: u64) {
        self.0.store(self.get().saturating_sub(n), Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the latency histograms, microseconds.
pub const BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 10_000_000, 60_000_000,
];

/// A latency histogram.
#[derive(Default, Debug)]
pub struct Histogram {
    buckets: [Cell; BOUNDS_US.len()],
    count: Cell,
    sum_us: Cell,
}

impl Histogram {
    /// Counts one observation.
    pub fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.add(1);
        }
        self.count.add(1);
        self.sum_us.add(us);
    }
}

/// The sum of several histograms: cumulative counts per bound, sum in microseconds, count.
#[derive(Clone, Default, Debug)]
pub struct HistogramSum {
    /// Observations at or under each of [`BOUNDS_US`].
    pub cumulative: [u64; BOUNDS_US.len()],
    /// All observations.
    pub count: u64,
    /// Their sum in microseconds.
    pub sum_us: u64,
}

impl HistogramSum {
    fn add(&mut self, other: &Histogram) {
        let mut running = 0;
        for (total, bucket) in self.cumulative.iter_mut().zip(&other.buckets) {
            running += bucket.get();
            *total += running;
        }
        self.count += other.count.get();
        self.sum_us += other.sum_us.get();
    }
}

macro_rules! family {
    ($(#[$doc:meta])* $name:ident, $sum:ident {
        cells { $($(#[$cdoc:meta])* $cell:ident,)* }
        reasons { $($(#[$rdoc:meta])* $reason:ident: $kind:ident,)* }
        histograms { $($(#[$hdoc:meta])* $histogram:ident,)* }
    }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            $($(#[$cdoc])* pub $cell: Cell,)*
            $($(#[$rdoc])* pub $reason: Vec<Cell>,)*
            $($(#[$hdoc])* pub $histogram: Histogram,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($cell: Cell::default(),)*
                    $($reason: $kind::ALL.iter().map(|_| Cell::default()).collect(),)*
                    $($histogram: Histogram::default(),)*
                }
            }
        }

        /// The sum over all threads.
        #[derive(Clone, Default, Debug)]
        #[allow(missing_docs)]
        pub struct $sum {
            $(pub $cell: u64,)*
            $(pub $reason: BTreeMap<&'static str, u64>,)*
            $(pub $histogram: HistogramSum,)*
        }

        impl $sum {
            fn add(&mut self, one: &$name) {
                $(self.$cell += one.$cell.get();)*
                $(for (reason, cell) in $kind::ALL.iter().zip(&one.$reason) {
                    *self.$reason.entry(reason.label()).or_default() += cell.get();
                })*
                $(self.$histogram.add(&one.$histogram);)*
            }
        }
    };
}

family! {
    /// What one thread saw of one endpoint.
    EndpointStats, EndpointSum {
        cells {
            /// Connections accepted.
            received,
            /// Log-ins that succeeded.
            admitted,
            /// Log-ins with a wrong password or an unknown user.
            auth_failed,
            /// Clients connected now.
            clients,
            /// Clients connected now over TLS.
            clients_tls,
            /// Requests answered.
            queries,
            /// Requests answered over TLS.
            queries_tls,
            /// Requests that found no connection within the borrow timeout.
            borrow_timeouts,
            /// Clients waiting for a connection now.
            waiting,
            /// Clients now for which a shared connection listens.
            listening,
            /// Cancel requests passed on to a database.
            cancels,
            /// Cancel requests with a key that no client has.
            cancels_unknown,
            /// Cancel requests passed on to the pod whose client they are for.
            cancels_forwarded,
            /// Cancel requests for other pods' clients that couldn't be passed on.
            cancels_undelivered,
        }
        reasons {
            /// Clients closed, by reason.
            closed: CloseReason,
            /// Sessions pinned, by reason.
            pins: PinReason,
            /// Sessions pinned now, by reason.
            pinned: PinReason,
        }
        histograms {
            /// Time from asking for a connection to having it.
            borrow,
            /// Time from forwarding a request to the end of its answer.
            response,
        }
    }
}

family! {
    /// What one thread saw of one target.
    TargetStats, TargetSum {
        cells {
            /// Connections open now (from connect to EOF).
            connections,
            /// Connections lent to a client now.
            borrowed,
            /// Connections open now over TLS.
            connections_tls,
            /// Connections now that listen for clients.
            listening,
            /// Connections now that finish what a client left behind.
            orphaned,
            /// Log-ins that succeeded.
            opened,
            /// Log-ins or connects that failed.
            failed,
            /// Check-outs.
            borrows,
        }
        reasons {
            /// Connections closed by the proxy, by reason.
            killed: KillReason,
            /// Cancels that weren't delivered, by reason.
            cancels_failed: CancelFailure,
        }
        histograms {}
    }
}

/// Adds one to the counter of `reason`.
pub fn count_close(stats: &EndpointStats, reason: CloseReason) {
    bump(&stats.closed, CloseReason::ALL, reason);
}

/// Adds one to the counter of `reason`.
pub fn count_pin(stats: &EndpointStats, reason: PinReason) {
    bump(&stats.pins, PinReason::ALL, reason);
}

/// A session that was pinned for one reason, if for any, is pinned for another.
pub fn move_pinned(stats: &EndpointStats, from: Option<PinReason>, to: Option<PinReason>) {
    if let Some(cell) = from.and_then(|reason| cell(&stats.pinned, PinReason::ALL, reason)) {
        cell.sub(1);
    }
    if let Some(reason) = to {
        bump(&stats.pinned, PinReason::ALL, reason);
    }
}

/// Adds one to the counter of `reason`.
pub fn count_kill(stats: &TargetStats, reason: KillReason) {
    bump(&stats.killed, KillReason::ALL, reason);
}

/// Adds one to the counter of `reason`.
pub fn count_cancel_failure(stats: &TargetStats, reason: CancelFailure) {
    bump(&stats.cancels_failed, CancelFailure::ALL, reason);
}

fn bump<R: PartialEq>(cells: &[Cell], all: &[R], reason: R) {
    if let Some(cell) = cell(cells, all, reason) {
        cell.add(1);
    }
}

fn cell<'a, R: PartialEq>(cells: &'a [Cell], all: &[R], reason: R) -> Option<&'a Cell> {
    cells.get(all.iter().position(|one| *one == reason)?)
}

type Sets<T> = Mutex<BTreeMap<Arc<str>, Vec<Arc<T>>>>;

/// Every thread's sets, by the name of the endpoint or target.
#[derive(Default)]
pub struct Stats {
    endpoints: Sets<EndpointStats>,
    targets: Sets<TargetStats>,
}

impl Stats {
    /// A new set for one thread's view of an endpoint.
    pub fn endpoint(&self, name: &Arc<str>) -> Arc<EndpointStats> {
        register(&self.endpoints, name)
    }

    /// A new set for one thread's view of a target.
    pub fn target(&self, name: &Arc<str>) -> Arc<TargetStats> {
        register(&self.targets, name)
    }

    /// Makes the series of these names exist from now on, at zero.
    pub fn open<'a>(
        &self,
        endpoints: impl Iterator<Item = &'a Arc<str>>,
        targets: impl Iterator<Item = &'a Arc<str>>,
    ) {
        let mut sets = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for name in endpoints {
            sets.entry(name.clone()).or_default();
        }
        let mut sets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        for name in targets {
            sets.entry(name.clone()).or_default();
        }
    }

    /// The sums by endpoint.
    pub fn endpoints(&self) -> BTreeMap<Arc<str>, EndpointSum> {
        sums(&self.endpoints, EndpointSum::add)
    }

    /// The sums by target.
    pub fn targets(&self) -> BTreeMap<Arc<str>, TargetSum> {
        sums(&self.targets, TargetSum::add)
    }
}

fn register<T: Default>(sets: &Sets<T>, name: &Arc<str>) -> Arc<T> {
    let one = Arc::new(T::default());
    let mut sets = sets.lock().unwrap_or_else(PoisonError::into_inner);
    sets.entry(name.clone()).or_default().push(one.clone());
    one
}

fn sums<T: Default, S: Default>(sets: &Sets<T>, add: fn(&mut S, &T)) -> BTreeMap<Arc<str>, S> {
    let sets = sets.lock().unwrap_or_else(PoisonError::into_inner);
    sets.iter()
        .map(|(name, all)| {
            let mut sum = S::default();
            // Every reason has its series, even before any thread has met this name.
            add(&mut sum, &T::default());
            all.iter().for_each(|one| add(&mut sum, one));
            (name.clone(), sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_met_yet_is_there_at_zero() {
        let stats = Stats::default();
        let name: Arc<str> = "orders-ro".into();
        stats.open(std::iter::once(&name), std::iter::empty());
        let sum = stats.endpoints().remove(&name).unwrap_or_default();
        assert_eq!(sum.pins.len(), PinReason::ALL.len());
        assert_eq!(sum.queries, 0);
    }

    #[test]
    fn a_scrape_adds_up_what_the_threads_saw() {
        let stats = Stats::default();
        let name: Arc<str> = "orders".into();
        let (one, two) = (stats.endpoint(&name), stats.endpoint(&name));
        one.queries.add(3);
        two.queries.add(4);
        two.response.observe(Duration::from_micros(80));
        count_pin(&one, PinReason::Listen);
        let sums = stats.endpoints();
        let sum = sums.get(&name).cloned().unwrap_or_default();
        assert_eq!(sum.queries, 7);
        assert_eq!(sum.pins.get("listen"), Some(&1));
        assert_eq!(sum.pins.get("held_cursor"), Some(&0));
        assert_eq!(sum.response.cumulative[..2], [0, 1]);
        assert_eq!(sum.response.sum_us, 80);
    }
}
