//! Whether the proxy makes use of what it has: nobody waits for long while a database that may serve
//! it has room, and no worker turns without end while there is nothing to do.

use std::collections::BTreeMap;

use dbproxy_driver::sim::HostId;
use dbproxy_driver::{Duration, Time};

use crate::fleet::Fleet;
use crate::witness::{Class, Waits};

/// The longest that somebody may wait beside a place that is free, once nothing goes wrong: the
/// longest pause after a failed log-in, an address that doesn't answer, and a log-in.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);
/// A worker's turns within a second in which nothing had happened: looking for waiters and asking
/// the other workers are due some hundred times.
const IDLE_TURNS: u64 = 1_000;

#[derive(Default)]
pub struct Room {
    /// Since when each database has fewer connections lent than it has places.
    free_since: Vec<Option<Time>>,
    next_at: Time,
    /// When the second began in which turns are counted, and how many there were before.
    counted: BTreeMap<HostId, (Time, u64)>,
}

impl Room {
    /// Whether it is time to look again.
    pub fn is_due(&self, now: Time) -> bool {
        now >= self.next_at
    }

    pub fn look(&mut self, fleet: &Fleet, waiting: &[Waits]) {
        let now = fleet.network.now();
        self.next_at = now.after(LOOK);
        self.count_turns(fleet, now);
        self.measure(fleet, now);
        let trouble = fleet.witness.borrow().trouble_until;
        for waits in waiting {
            for (index, free_since) in self.free_since.iter().enumerate() {
                let Some(free_since) = free_since.filter(|_| serves(fleet, index, waits.class))
                else {
                    continue;
                };
                let since = waits.since.max(free_since).max(trouble);
                if now.since(since) > LONGEST_WAIT && now > since {
                    let text = format!("{} waits while db{index} has room", waits.who);
                    fleet.witness.borrow_mut().violation(text);
                }
            }
        }
    }

    fn measure(&mut self, fleet: &Fleet, now: Time) {
        self.free_since.resize(fleet.databases.len(), None);
        let targets = fleet.shared.stats.targets();
        for (index, free_since) in self.free_since.iter_mut().enumerate() {
            let name = format!("db{index}");
            let lent = targets.get(name.as_str()).map_or(0, |sum| sum.borrowed);
            *free_since = if lent < fleet.places(index) {
                free_since.or(Some(now))
            } else {
                None
            };
        }
    }

    fn count_turns(&mut self, fleet: &Fleet, now: Time) {
        for (host, _) in &fleet.workers {
            let turns = fleet.network.idle_turns(*host);
            let (since, before) = self.counted.entry(*host).or_insert((now, turns));
            if now.since(*since) < Duration::from_secs(1) {
                continue;
            }
            let (took, more) = (now.since(*since), turns - *before);
            (*since, *before) = (now, turns);
            if more > IDLE_TURNS * (1 + took.as_secs()) {
                let text = format!("a worker turned {more} times in {took:?} for nothing");
                fleet.witness.borrow_mut().violation(text);
            }
        }
    }
}

/// Whether a request of that class may use that database now.
fn serves(fleet: &Fleet, index: usize, class: Class) -> bool {
    let writer = usize::from(fleet.desired.writer.target.0) == index;
    if class.writes {
        return writer && fleet.desired.writer.open;
    }
    !writer && fleet.desired.reader_available && !fleet.refuses(index, class.user)
}
