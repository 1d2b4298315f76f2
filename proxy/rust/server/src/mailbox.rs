//! How threads write to each other: a queue of letters whose owner is woken.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dbproxy_driver::Waker;

/// A mailbox that wakes its owner.
pub struct Mailbox<L, W> {
    letters: Mutex<VecDeque<L>>,
    waker: W,
}

impl<L, W: Waker> Mailbox<L, W> {
    /// An empty one; `waker` wakes its owner.
    pub fn new(waker: W) -> Self {
        Self {
            letters: Mutex::default(),
            waker,
        }
    }

    /// Adds a letter.
    pub fn post(&self, letter: L) {
        lock(&self.letters).push_back(letter);
        self.waker.wake();
    }

    /// Takes all letters.
    pub fn collect(&self) -> VecDeque<L> {
        std::mem::take(&mut *lock(&self.letters))
    }

    /// Wakes the owner without a letter.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

/// A thread that panicked leaves what it guards whole: each change of it is one step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
