//! Which acknowledgements the proxy owes, and what may reach a database afterwards.
//!
//! A server has two doors, two addresses of its own; a target that is found at another door is
//! another server as far as the proxy knows. After an acknowledgement, confirmed or not, nothing of a
//! writing client may come through the doors that it is about.

use std::collections::VecDeque;

use dbproxy_driver::{Duration, Time};

use crate::desired::{door_of, Desired};
use crate::model::Model;
use crate::witness::Witness;

/// The longest that a former writer's connections may live on: a server that says nothing is given
/// up after eleven seconds.
const DRAINED_WITHIN: Duration = Duration::from_secs(14);

/// The writer of one snapshot.
#[derive(Clone, PartialEq)]
struct Reign {
    database: usize,
    epoch: u64,
    doors: Vec<usize>,
}

/// An acknowledgement that is owed.
#[derive(Debug)]
struct Due {
    epoch: u64,
    from: Option<usize>,
    doors: Vec<usize>,
    since: Time,
}

#[derive(Default)]
pub struct Drains {
    reign: Option<Reign>,
    due: VecDeque<Due>,
}

impl Drains {
    /// The proxy is handed this.
    pub fn applied<M: Model>(&mut self, desired: &Desired<M>, witness: &mut Witness, since: Time) {
        let database = usize::from(desired.writer.target.0);
        let addresses = desired.addresses[database].iter();
        let now = Reign {
            database,
            epoch: desired.writer.epoch,
            doors: addresses.map(|a| door_of(*a)).collect(),
        };
        for door in &now.doors {
            witness.forbidden.remove(&(database, *door));
        }
        let Some(before) = self.reign.replace(now.clone()) else {
            return self.owe(now.epoch, None, Vec::new(), since);
        };
        let mut doors = vec![0, 1];
        if before.database == database {
            doors = before.doors.clone();
            doors.retain(|door| !now.doors.contains(door));
        }
        if before.database != database || !doors.is_empty() {
            self.owe(now.epoch, Some(before.database), doors, since);
        } else if before.epoch != now.epoch {
            self.owe(now.epoch, None, Vec::new(), since);
        }
    }

    fn owe(&mut self, epoch: u64, from: Option<usize>, doors: Vec<usize>, since: Time) {
        self.due.push_back(Due {
            epoch,
            from,
            doors,
            since,
        });
    }

    /// The proxy acknowledged an epoch.
    pub fn told(&mut self, epoch: u64, from: Option<usize>, witness: &mut Witness, now: Time) {
        let Some(due) = self.due.pop_front() else {
            return witness.violation(format!("epoch {epoch}: nothing to acknowledge"));
        };
        if (due.epoch, due.from) != (epoch, from) {
            let text = format!("acknowledged {epoch} from {from:?}, due was {due:?}");
            return witness.violation(text);
        }
        let took = now.since(due.since);
        if took > DRAINED_WITHIN {
            witness.violation(format!("epoch {epoch} took {took:?} to drain"));
        }
        let Some(from) = from else {
            return;
        };
        witness.drained += 1;
        let writes = self.reign.as_ref().filter(|reign| reign.database == from);
        witness.moved += u64::from(writes.is_some());
        for door in due.doors {
            let open = writes.is_some_and(|reign| reign.doors.contains(&door));
            let mut later = self.due.iter().filter(|later| later.from == Some(from));
            if !open && !later.any(|later| later.doors.contains(&door)) {
                witness.forbidden.insert((from, door));
            }
        }
    }

    /// What is still owed.
    pub fn owed(&self) -> Vec<u64> {
        self.due.iter().map(|due| due.epoch).collect()
    }
}
