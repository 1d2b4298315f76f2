//! What the engine tells Python besides counters: a bounded queue of events.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Events kept while nobody reads; older ones stay, newer ones are counted as lost.
const KEPT: usize = 4096;

/// A value in an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Field {
    /// Text.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
}

/// One event: its stable name and flat fields. Never holds a password or a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The stable name.
    pub event: &'static str,
    /// What belongs to it.
    pub fields: Vec<(&'static str, Field)>,
}

impl Notice {
    /// An event without fields yet.
    pub fn new(event: &'static str) -> Self {
        Self {
            event,
            fields: Vec::new(),
        }
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, Field::Text(value.into())));
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: u64) -> Self {
        self.fields.push((name, Field::Number(value)));
        self
    }

    /// Adds a flag.
    #[must_use]
    pub fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.fields.push((name, Field::Flag(value)));
        self
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Notice>,
    lost: u64,
}

/// The queue; `signal` is called when something waits that didn't before.
pub struct Notices {
    queue: Mutex<Queue>,
    signal: Arc<dyn Fn() + Send + Sync>,
}

impl Notices {
    /// An empty queue.
    pub fn new(signal: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            queue: Mutex::default(),
            signal,
        }
    }

    /// Adds an event, or counts it as lost when too many wait.
    pub fn push(&self, notice: Notice) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() >= KEPT {
            queue.lost += 1;
            return;
        }
        queue.waiting.push_back(notice);
        if queue.waiting.len() == 1 {
            (self.signal)();
        }
    }

    /// Takes all that wait.
    pub fn take(&self) -> Vec<Notice> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Notice> = queue.waiting.drain(..).collect();
        if queue.lost > 0 {
            all.push(Notice::new("events_lost").number("count", queue.lost));
            queue.lost = 0;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_its_loss_is_told() {
        let notices = Notices::new(Arc::new(|| ()));
        for _ in 0..KEPT + 3 {
            notices.push(Notice::new("login_failed"));
        }
        let taken = notices.take();
        assert_eq!(taken.len(), KEPT + 1);
        assert_eq!(
            taken.last(),
            Some(&Notice::new("events_lost").number("count", 3))
        );
        assert!(notices.take().is_empty());
    }
}
