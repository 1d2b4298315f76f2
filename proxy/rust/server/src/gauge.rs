//! Counts that go up and down, seen by all threads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

/// A count that goes up and down.
#[derive(Default, Debug)]
pub struct Gauge(AtomicU32);

impl Gauge {
    /// The count now.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Up or down by so many.
    pub fn change(&self, by: i32) {
        let step = by.unsigned_abs();
        if by < 0 {
            self.0.fetch_sub(step, Ordering::Relaxed);
        } else {
            self.0.fetch_add(step, Ordering::Relaxed);
        }
    }
}

/// One of a user's clients, as long as this is kept.
#[derive(Debug)]
pub struct Seat(Arc<Gauge>);

impl Seat {
    /// One more.
    pub fn take(count: &Arc<Gauge>) -> Self {
        count.change(1);
        Self(count.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}
