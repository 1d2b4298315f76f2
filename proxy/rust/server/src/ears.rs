//! Ears: connections that listen for clients and are lent to nobody. A pod has one at most for each pool
//! key on a target; the table here says which worker it is on. All else about an ear its worker alone
//! knows (`worker::ears`), and the workers of its clients write to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dbproxy_driver::{Duration, Time};
use dbproxy_engine::{Channels, Identity};

use crate::caps::Caps;
use crate::mailbox::lock;
use crate::slab::Key;
use crate::snapshot::TargetId;

/// So long no ear begins at a server that had no place for others while one was there.
const SCARCE: Duration = Duration::from_secs(60);

/// One ear; no other ever has its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EarId {
    /// The worker that has it.
    pub worker: usize,
    /// Which of all.
    pub number: u64,
}

/// A client that an ear listens for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Subscriber {
    /// The worker that has it.
    pub worker: usize,
    /// Which of that worker's.
    pub client: Key,
}

/// What is asked of an ear for a client, once: to have heard everything that was said before, and to
/// listen for it to these channels from there on, if they are others.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Of which.
    pub ear: EarId,
    /// For whom.
    pub subscriber: Subscriber,
    /// Which of that worker's questions.
    pub serial: u64,
    /// All of them; none of them ends it.
    pub channels: Option<Channels>,
    /// Nothing more that is said on these is for it.
    pub gone: Channels,
}

/// What an ear has heard on a channel.
#[derive(Clone, Debug)]
pub struct Said {
    /// Where it was said.
    pub channel: Arc<[u8]>,
    /// The message.
    pub message: Arc<[u8]>,
    /// It reads the same in any encoding.
    pub plain: bool,
}

/// What an ear's worker and a client's worker write to each other. Each may be on its way when what it
/// speaks of is gone, and means nothing then.
#[derive(Clone, Debug)]
pub enum EarLetter {
    /// See [`Ask`].
    Ask(Ask),
    /// That client listens no more.
    Gone(EarId, Subscriber),
    /// The ear has done what was asked.
    Confirmed(EarId, Key, u64),
    /// This was said for that client.
    Said {
        /// Who heard it.
        ear: EarId,
        /// For whom.
        client: Key,
        /// What.
        said: Said,
    },
    /// The ear is gone.
    Lost(EarId, Key),
    /// It is to be given up: others can't be served for want of its place.
    Shed(EarId),
}

/// Which clients share an ear: those of a pool key, whatever they left in server processes.
pub type EarKey = (TargetId, Identity);

/// The key of an ear for sessions of that identity.
pub fn key_of(target: TargetId, identity: &Identity) -> EarKey {
    let traces = [].into();
    let identity = Identity {
        traces,
        ..identity.clone()
    };
    (target, identity)
}

/// Where each ear is, and for how many clients.
#[derive(Default)]
pub struct Ears(Mutex<Table>);

#[derive(Default)]
struct Table {
    made: u64,
    all: Vec<(EarKey, EarId, usize)>,
    /// Until when none begins there.
    scarce: BTreeMap<TargetId, Time>,
}

impl Table {
    fn find(&self, key: &EarKey) -> Option<usize> {
        self.all.iter().position(|(own, ..)| own == key)
    }

    /// Whether the first so many of them leave no room for that one.
    fn is_full(&self, (target, own): &EarKey, first: usize, limit: u32, caps: Caps) -> bool {
        let (mut all, mut of_user, mut of_database) = (0, 0, 0);
        for ((other, identity), ..) in self.all.iter().take(first) {
            let same = u32::from(other == target);
            all += same;
            of_user += same * u32::from(identity.user == own.user);
            of_database += same * u32::from(identity.database == own.database);
        }
        let full = |count: u32, limit: Option<u32>| limit.is_some_and(|limit| count >= limit / 2);
        full(all, Some(limit)) || full(of_user, caps.of_user) || full(of_database, caps.of_database)
    }
}

impl Ears {
    /// One client more of the ear that is there.
    pub fn join(&self, key: &EarKey) -> Option<EarId> {
        let mut table = lock(&self.0);
        let at = table.find(key)?;
        let (_, ear, members) = table.all.get_mut(at)?;
        *members += 1;
        Some(*ear)
    }

    /// A new ear of that worker, for one client, unless there is one, or they have half of what a target,
    /// a user or a database may have, or its server lacked a place for others a while ago.
    pub fn begin(
        &self,
        key: &EarKey,
        worker: usize,
        (limit, caps): (u32, Caps),
        now: Time,
    ) -> Option<EarId> {
        let mut table = lock(&self.0);
        let scarce = table.scarce.get(&key.0).is_some_and(|until| *until > now);
        if scarce || table.is_full(key, table.all.len(), limit, caps) || table.find(key).is_some() {
            return None;
        }
        table.made += 1;
        let number = table.made;
        let ear = EarId { worker, number };
        table.all.push((key.clone(), ear, 1));
        Some(ear)
    }

    /// One client fewer. Answers whether it was the last: nobody can join any more then.
    pub fn leave(&self, ear: EarId) -> bool {
        let mut table = lock(&self.0);
        let found = table.all.iter().position(|(_, own, _)| *own == ear);
        let Some((at, entry)) = found.and_then(|at| Some((at, table.all.get_mut(at)?))) else {
            return false;
        };
        entry.2 = entry.2.saturating_sub(1);
        let last = entry.2 == 0;
        if last {
            table.all.remove(at);
        }
        last
    }

    /// Whether an ear is one too many, since there may be fewer now.
    pub fn surplus(&self, ear: EarId, limit: u32, caps: Caps) -> bool {
        let table = lock(&self.0);
        let at = table.all.iter().position(|(_, own, _)| *own == ear);
        let found = at.and_then(|at| Some((at, table.all.get(at)?)));
        found.is_some_and(|(at, (key, ..))| table.is_full(key, at, limit, caps))
    }

    /// The newest ear whose place may be what a log-in for that key lacks, which its server refused: one of
    /// its user, or its database; or any, where more than half of the `open` connections are ears.
    /// It is to go, and for a while none begins there.
    pub fn shed(&self, (target, own): &EarKey, open: u64, now: Time) -> Option<EarId> {
        let mut table = lock(&self.0);
        let all = || table.all.iter().rev().filter(|((on, _), ..)| on == target);
        let of_user = all().find(|((_, other), ..)| other.user == own.user);
        let of_database = || all().find(|((_, other), ..)| other.database == own.database);
        let many = 2 * all().count() as u64 > open;
        let any = || all().next().filter(|_| many);
        let found = of_user.or_else(of_database).or_else(any);
        let ear = found.map(|(_, ear, _)| *ear)?;
        table.scarce.insert(*target, now.after(SCARCE));
        Some(ear)
    }

    /// Whether an ear is there still, on that target.
    pub fn has(&self, ear: EarId, target: TargetId) -> bool {
        let table = lock(&self.0);
        let mut all = table.all.iter();
        all.any(|((own, _), id, _)| *id == ear && *own == target)
    }

    /// An ear is gone.
    pub fn lose(&self, ear: EarId) {
        lock(&self.0).all.retain(|(_, own, _)| *own != ear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str, database: &str) -> EarKey {
        let identity = Identity {
            user: user.into(),
            database: database.into(),
            settings: [].into(),
            traces: ["my.tenant".into()].into(),
        };
        key_of(TargetId(0), &identity)
    }

    const NOW: Time = Time(0);
    const NO_CAPS: Caps = Caps {
        of_user: None,
        of_database: None,
    };

    #[test]
    fn they_have_half_of_the_connections_at_most() {
        let ears = Ears::default();
        assert_eq!(ears.begin(&key("a", "x"), 0, (1, NO_CAPS), NOW), None);
        let first = ears.begin(&key("a", "x"), 0, (3, NO_CAPS), NOW);
        assert!(first.is_some());
        assert_eq!(ears.begin(&key("b", "x"), 0, (3, NO_CAPS), NOW), None);
        assert!(ears.begin(&key("b", "x"), 0, (4, NO_CAPS), NOW).is_some());
    }

    #[test]
    fn and_of_those_of_a_user_and_a_database() {
        let ears = Ears::default();
        let caps = Caps {
            of_user: Some(2),
            of_database: Some(4),
        };
        assert!(ears.begin(&key("a", "x"), 0, (100, caps), NOW).is_some());
        assert_eq!(ears.begin(&key("a", "y"), 0, (100, caps), NOW), None);
        assert!(ears.begin(&key("b", "x"), 0, (100, caps), NOW).is_some());
        assert_eq!(ears.begin(&key("c", "x"), 0, (100, caps), NOW), None);
    }

    #[test]
    fn it_goes_with_the_last_of_its_clients_and_never_comes_back() {
        let ears = Ears::default();
        let first = ears
            .begin(&key("a", "x"), 1, (9, NO_CAPS), NOW)
            .expect("room");
        assert_eq!(ears.begin(&key("a", "x"), 0, (9, NO_CAPS), NOW), None);
        assert_eq!(ears.join(&key("a", "x")), Some(first));
        assert!(!ears.leave(first));
        assert!(ears.leave(first));
        assert!(!ears.leave(first));
        assert_eq!(ears.join(&key("a", "x")), None);
        let second = ears
            .begin(&key("a", "x"), 1, (9, NO_CAPS), NOW)
            .expect("room");
        assert_ne!(first, second);
        ears.lose(first);
        assert_eq!(ears.join(&key("a", "x")), Some(second));
    }

    #[test]
    fn where_a_server_has_no_place_the_newest_in_the_way_goes_and_none_begins_for_a_while() {
        let ears = Ears::default();
        let names = [("a", "x"), ("b", "x"), ("c", "y")];
        let made = names.map(|(user, database)| {
            let made = ears.begin(&key(user, database), 0, (9, NO_CAPS), NOW);
            made.expect("room")
        });
        let found = |user, database, open| ears.shed(&key(user, database), open, NOW);
        assert_eq!(found("a", "z", 9), Some(made[0]));
        assert_eq!(found("z", "x", 9), Some(made[1]));
        assert_eq!(found("z", "z", 6), None);
        assert_eq!(found("z", "z", 5), Some(made[2]));
        let begun = |now| ears.begin(&key("new", "z"), 0, (9, NO_CAPS), now);
        assert_eq!(begun(NOW), None);
        assert!(begun(NOW.after(SCARCE)).is_some());
    }

    #[test]
    fn of_those_that_are_too_many_the_first_stay() {
        let ears = Ears::default();
        let first = ears
            .begin(&key("a", "x"), 0, (4, NO_CAPS), NOW)
            .expect("room");
        let second = ears
            .begin(&key("b", "x"), 1, (4, NO_CAPS), NOW)
            .expect("room");
        let surplus = |limit| [first, second].map(|ear| ears.surplus(ear, limit, NO_CAPS));
        assert_eq!(surplus(4), [false, false]);
        assert_eq!(surplus(2), [false, true]);
        assert_eq!(surplus(1), [true, true]);
    }
}
