//! Whether the proxy makes use of what it has: nobody waits for long while a database that may serve
//! it has room, and no worker turns without end while there is nothing to do.

use std::collections::BTreeMap;

use dbproxy_driver::sim::HostId;
use dbproxy_driver::{Duration, Time};

use crate::clients::{NAMES, USERS};
use crate::fleet::Fleet;
use crate::model::Model;
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
    /// Since when each database has fewer connections lent, or listening, than it has places.
    free_since: Vec<Option<Time>>,
    /// Since when the users and databases named so have fewer than they may have.
    shares: BTreeMap<&'static str, Option<Time>>,
    next_at: Time,
    /// When the second began in which turns are counted, and how many notifications and turns there were
    /// before.
    counted: BTreeMap<HostId, (Time, u64, u64)>,
}

impl Room {
    /// Whether it is time to look again.
    pub fn is_due(&self, now: Time) -> bool {
        now >= self.next_at
    }

    /// `busy`: whose clients hold connections.
    pub fn look<M: Model>(&mut self, fleet: &Fleet<M>, waiting: &[Waits], busy: &[Class]) {
        let now = fleet.network.now();
        self.next_at = now.after(LOOK);
        self.count_turns(fleet, now);
        self.measure(fleet, now);
        self.measure_shares(fleet, busy, now);
        let trouble = fleet.witness.borrow().trouble_until;
        for waits in waiting {
            for (index, free_since) in self.free_since.iter().enumerate() {
                let Some(free_since) = free_since.filter(|_| serves(fleet, index, waits.class))
                else {
                    continue;
                };
                let class = waits.class;
                let shares = [class.user, class.database].map(|name| self.shares.get(name));
                let [Some(Some(of_user)), Some(Some(of_database))] = shares else {
                    continue;
                };
                let room = free_since.max(*of_user).max(*of_database);
                let since = waits.since.max(room).max(trouble);
                if now.since(since) > LONGEST_WAIT && now > since {
                    let text = format!("{} waits while db{index} has room", waits.who);
                    fleet.witness.borrow_mut().violation(text);
                }
            }
        }
    }

    fn measure<M: Model>(&mut self, fleet: &Fleet<M>, now: Time) {
        self.free_since.resize(fleet.databases.len(), None);
        let targets = fleet.shared.stats.targets();
        for (index, free_since) in self.free_since.iter_mut().enumerate() {
            let name = format!("db{index}");
            let sum = targets.get(name.as_str());
            let held = sum.map_or(0, |sum| sum.borrowed + sum.listening);
            *free_since = if held < fleet.places(index) {
                free_since.or(Some(now))
            } else {
                None
            };
        }
    }

    fn measure_shares<M: Model>(&mut self, fleet: &Fleet<M>, busy: &[Class], now: Time) {
        let caps = fleet.desired.limits.caps;
        // What nobody is there for any more, and what listens, isn't known by its owner.
        let targets = fleet.shared.stats.targets();
        let others: u64 = targets.values().map(|s| s.orphaned + s.listening).sum();
        let users = USERS.map(|name| (name, caps.of_user));
        let databases = NAMES.map(|name| (name, caps.of_database));
        for (name, cap) in users.into_iter().chain(databases) {
            let own = busy.iter().filter(|c| c.user == name || c.database == name);
            let most = own.count() as u64 + others;
            let free = cap.is_none_or(|cap| most < u64::from(cap));
            let since = self.shares.entry(name).or_default();
            *since = free.then(|| since.unwrap_or(now));
        }
    }

    fn count_turns<M: Model>(&mut self, fleet: &Fleet<M>, now: Time) {
        // One that is for a client of another worker, or that isn't told yet, makes a turn of a worker.
        let notes = fleet.witness.borrow().notes.count() as u64;
        for (host, _) in &fleet.workers {
            let turns = fleet.network.idle_turns(*host);
            let begun = self.counted.entry(*host);
            let (since, said, before) = begun.or_insert((now, notes, turns));
            if now.since(*since) < Duration::from_secs(1) {
                continue;
            }
            let (took, more) = (now.since(*since), turns - *before);
            let heard = notes - *said;
            (*since, *said, *before) = (now, notes, turns);
            if more > heard + IDLE_TURNS * (1 + took.as_secs()) {
                let text = format!("a worker turned {more} times in {took:?} for nothing");
                fleet.witness.borrow_mut().violation(text);
            }
        }
    }
}

/// Whether a request of that class may use that database now.
fn serves<M: Model>(fleet: &Fleet<M>, index: usize, class: Class) -> bool {
    let writer = usize::from(fleet.desired.writer.target.0) == index;
    if class.writes {
        return writer && fleet.desired.writer.open;
    }
    !writer && fleet.desired.reader_available && !fleet.refuses(index, class.user)
}
