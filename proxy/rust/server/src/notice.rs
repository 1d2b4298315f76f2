//! What the engine tells Python besides counters. What somebody acts on is kept apart from what is
//! only written to the log, which is bounded: nobody outside can make so much of the one that the
//! other is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use dbproxy_driver::{Duration, Time};

/// Events kept while nobody reads; older ones stay, newer ones are counted as lost.
const KEPT: usize = 4096;

/// Events a second that anybody who reaches the port can cause.
const GOSSIP: u32 = 200;

const SECOND: Duration = Duration::from_secs(1);

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

    /// Whether it is the same event about the same target.
    fn concerns_as(&self, other: &Notice) -> bool {
        let target = |notice: &Notice| notice.fields.iter().find(|f| f.0 == "target").cloned();
        self.event == other.event && target(self) == target(other)
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
    /// What somebody acts on, in order. Clients can't make more of it: the epochs are the election's,
    /// and the doubts wait for their second.
    words: Vec<Notice>,
    /// When each target was last doubted aloud, and what is still to be said of it.
    doubts: BTreeMap<String, (Time, Option<Notice>)>,
    /// Gossip since the second began.
    second: Time,
    gossip: u32,
    skipped: u64,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.words.is_empty()
    }

    /// Said twice before anybody listens, a doubt is one.
    fn doubt(&mut self, notice: Notice) {
        self.words.retain(|word| !word.concerns_as(&notice));
        self.words.push(notice);
    }

    fn push(&mut self, notice: Notice) {
        if self.waiting.len() >= KEPT {
            self.lost += 1;
        } else {
            self.waiting.push_back(notice);
        }
    }
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
        self.change(|queue| queue.push(notice));
    }

    /// Adds an event that anybody who reaches the port can cause: only so many a second, the others
    /// are counted as skipped.
    pub fn gossip(&self, now: Time, notice: Notice) {
        self.change(|queue| {
            if queue.second.after(SECOND) <= now {
                queue.second = now;
                queue.gossip = 0;
            }
            queue.gossip += 1;
            if queue.gossip > GOSSIP {
                queue.skipped += 1;
            } else {
                queue.push(notice);
            }
        });
    }

    /// Keeps a word that somebody acts on: it is never lost, and comes in its order.
    pub fn keep(&self, notice: Notice) {
        self.change(|queue| queue.words.push(notice));
    }

    /// A target may not be what it is taken for. Said once a second at most, since clients can cause
    /// it; what comes sooner is said by [`Notices::ripen`].
    pub fn doubt(&self, now: Time, target: &str, reason: &str) {
        let notice = Notice::new("writer_doubted")
            .text("target", target)
            .text("reason", reason);
        self.change(|queue| match queue.doubts.get_mut(target) {
            Some((told, later)) if told.after(SECOND) > now => *later = Some(notice),
            _ => {
                queue.doubts.insert(target.to_owned(), (now, None));
                queue.doubt(notice);
            }
        });
    }

    /// Says the doubts whose time has come.
    pub fn ripen(&self, now: Time) {
        self.change(|queue| {
            let ripe = |told: &Time| told.after(SECOND) <= now;
            let doubts = queue.doubts.values_mut().filter(|(told, _)| ripe(told));
            let mut due = Vec::new();
            for (told, later) in doubts {
                if let Some(notice) = later.take() {
                    *told = now;
                    due.push(notice);
                }
            }
            due.into_iter().for_each(|notice| queue.doubt(notice));
        });
    }

    /// Takes all that wait.
    pub fn take(&self) -> Vec<Notice> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = std::mem::take(&mut queue.words);
        all.extend(queue.waiting.drain(..));
        let lost = std::mem::take(&mut queue.lost);
        let skipped = std::mem::take(&mut queue.skipped);
        for (event, count) in [("events_lost", lost), ("events_skipped", skipped)] {
            if count > 0 {
                all.push(Notice::new(event).number("count", count));
            }
        }
        all
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = queue.is_empty();
        change(&mut queue);
        if empty && !queue.is_empty() {
            (self.signal)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::default().after(Duration::from_millis(60_000 + milliseconds))
    }

    fn notices() -> Notices {
        Notices::new(Arc::new(|| ()))
    }

    fn events(notices: &Notices) -> Vec<&'static str> {
        notices.take().iter().map(|notice| notice.event).collect()
    }

    #[test]
    fn a_flood_is_bounded_and_its_loss_is_told() {
        let notices = notices();
        for _ in 0..KEPT + 3 {
            notices.push(Notice::new("session_pinned"));
        }
        let taken = notices.take();
        assert_eq!(taken.len(), KEPT + 1);
        assert_eq!(
            taken.last(),
            Some(&Notice::new("events_lost").number("count", 3))
        );
        assert!(notices.take().is_empty());
    }

    #[test]
    fn no_flood_drops_a_word_that_somebody_acts_on() {
        let notices = notices();
        for number in 0..2 * KEPT as u64 {
            notices.gossip(at(number * 100), Notice::new("login_failed"));
        }
        notices.keep(Notice::new("writer_drained"));
        notices.doubt(at(0), "db-0", "it closed a connection");
        let taken = events(&notices);
        assert_eq!(taken.first(), Some(&"writer_drained"));
        assert_eq!(taken.get(1), Some(&"writer_doubted"));
        assert_eq!(taken.last(), Some(&"events_lost"));
    }

    #[test]
    fn gossip_beyond_a_rate_is_counted_and_not_queued() {
        let notices = notices();
        for _ in 0..GOSSIP + 5 {
            notices.gossip(at(0), Notice::new("login_failed"));
        }
        let taken = notices.take();
        assert_eq!(taken.len(), GOSSIP as usize + 1);
        let skipped = Notice::new("events_skipped").number("count", 5);
        assert_eq!(taken.last(), Some(&skipped));
        notices.gossip(at(1000), Notice::new("login_failed"));
        assert_eq!(events(&notices), ["login_failed"]);
    }

    #[test]
    fn a_target_is_doubted_once_a_second_and_the_last_doubt_is_said_in_the_end() {
        let notices = notices();
        for time in 0..500 {
            notices.doubt(at(time), "db-0", "it refused to write");
        }
        notices.doubt(at(500), "db-1", "it closed a connection");
        assert_eq!(events(&notices).len(), 2);
        notices.ripen(at(900));
        assert!(notices.take().is_empty());
        notices.ripen(at(1000));
        assert_eq!(events(&notices), ["writer_doubted"]);
        notices.ripen(at(5000));
        assert!(notices.take().is_empty());
    }

    #[test]
    fn each_drain_is_told_in_its_order_also_twice_for_one_epoch() {
        let notices = notices();
        let drained = |epoch, from| {
            let notice = Notice::new("writer_drained").text("target", from);
            notice.number("epoch", epoch)
        };
        let told = [drained(9, "db-0"), drained(10, "db-1"), drained(10, "db-0")];
        told.iter().for_each(|notice| notices.keep(notice.clone()));
        assert_eq!(notices.take(), told);
    }

    #[test]
    fn while_nobody_listens_a_target_is_doubted_once() {
        let notices = notices();
        for second in 0..100 {
            notices.doubt(at(second * 1000), "db-0", "it closed a connection");
        }
        assert_eq!(events(&notices), ["writer_doubted"]);
    }

    #[test]
    fn the_reader_is_woken_once_for_all_that_waits() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let signals = Arc::new(AtomicU32::new(0));
        let counted = signals.clone();
        let notices = Notices::new(Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        notices.doubt(at(0), "db-0", "it closed a connection");
        notices.push(Notice::new("session_pinned"));
        assert_eq!(signals.load(Ordering::Relaxed), 1);
        notices.take();
        notices.push(Notice::new("session_pinned"));
        assert_eq!(signals.load(Ordering::Relaxed), 2);
    }
}
