//! What a client listens to, and what it must hear: of its channels everything that was committed
//! between its LISTEN and its UNLISTEN, once, in the order of each notifier, and nothing within a
//! transaction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::notes::Place;
use crate::postgres::script::{Expect, Kind, Script};
use crate::postgres::wire;
use crate::witness::{Token, Witness, PER_CLIENT};

pub const CHANNELS: [&str; 2] = ["news", "sport"];

#[derive(Clone, Debug)]
struct Subscription {
    place: Place,
    /// What was notified before isn't heard.
    since: usize,
    /// All before this was heard, as far as it had to be.
    checked: usize,
}

/// What the open transaction did.
#[derive(Debug)]
enum Change {
    Listen(&'static str, usize),
    Unlisten(&'static str),
    Notify(&'static str, Token),
}

#[derive(Debug)]
struct Heard {
    channel: String,
    payload: String,
    /// Something was answered in front of it.
    late: bool,
}

#[derive(Debug, Default)]
pub struct Listening {
    client: u64,
    /// How much was notified when each of the open requests was asked.
    asked: VecDeque<usize>,
    /// The same of the first request of the transaction at hand, and whether it listened then.
    begun: usize,
    listened: bool,
    /// What it should have heard when its last answer ended. It is to be told next that it hears no more.
    owed: Option<String>,
    channels: BTreeMap<&'static str, Subscription>,
    changes: Vec<Change>,
    /// Since the last ReadyForQuery.
    answer: Vec<Heard>,
    answered: bool,
    positions: BTreeSet<usize>,
    /// How many that are, since it was asked last.
    pub heard: u64,
    /// The last one of each notifier.
    last: BTreeMap<u64, usize>,
}

/// How a request was answered.
pub struct Outcome {
    pub succeeded: bool,
    /// The transaction status before and behind it.
    pub before: u8,
    pub status: u8,
    /// What the ended transaction did is committed.
    pub kept: bool,
    /// On which server it ran.
    pub server: Option<usize>,
}

impl Listening {
    pub fn new(client: u64) -> Self {
        Self {
            client,
            ..Self::default()
        }
    }

    pub fn ask(&mut self, requests: usize, witness: &Witness) {
        let asked = std::iter::repeat_n(witness.notes.count(), requests);
        self.asked.extend(asked);
    }

    /// The next message after an answer. Says what was lost, unless that tells of it (`goodbye`).
    pub fn next(&mut self, goodbye: bool) -> Option<String> {
        self.owed.take().filter(|_| !goodbye)
    }

    /// A statement was answered.
    pub fn completed(&mut self) {
        self.answered = true;
    }

    /// Takes in a notification. Says what is wrong with it, if it comes unasked.
    pub fn hear(&mut self, message: &[u8], status: u8, witness: &Witness) -> Option<String> {
        let body = message.get(9..).unwrap_or_default();
        let channel = wire::text_at(body);
        let payload = wire::text_at(body.get(channel.len() + 1..).unwrap_or_default());
        self.answer.push(Heard {
            channel: channel.into(),
            payload: payload.into(),
            late: self.answered,
        });
        if !self.asked.is_empty() {
            return None;
        }
        if status != b'I' {
            return Some(format!("{payload} was told within a transaction"));
        }
        let channels = self.channels.clone();
        self.judge(&channels, witness)
    }

    /// A request was answered. Says what is wrong with what was heard until then.
    pub fn answered(
        &mut self,
        expect: &Expect,
        outcome: &Outcome,
        witness: &Witness,
    ) -> Option<String> {
        let asked = self.asked.pop_front()?;
        self.answered = false;
        if outcome.before == b'I' {
            self.begun = asked;
            self.listened = !self.channels.is_empty();
        }
        if outcome.status != b'I' {
            let within = |heard: &&Heard| outcome.before != b'I' || heard.late;
            if let Some(heard) = self.answer.iter().find(within) {
                return Some(format!("{heard:?} within a transaction"));
            }
        }
        let elsewhere = |one: &&Subscription| outcome.server.is_some_and(|at| at != one.place.0);
        if let Some(one) = self.channels.values().find(elsewhere) {
            let server = outcome.server;
            return Some(format!("listens at {:?}, served by {server:?}", one.place));
        }
        if outcome.succeeded {
            self.note(expect, outcome.server.unwrap_or_default());
        }
        let before = self.channels.clone();
        let own = match outcome.status == b'I' {
            true => self.end(outcome.kept, asked, witness),
            false => Vec::new(),
        };
        // What it heard before an UNLISTEN was answered, and behind a LISTEN.
        let mut either = self.channels.clone();
        either.extend(before.clone());
        if let Some(text) = self.judge(&either, witness) {
            return Some(text);
        }
        let unheard = own.iter().find(|token| {
            let position = witness.notes.find(&format!("t{token}")).map(|(at, _)| at);
            !position.is_some_and(|at| self.positions.contains(&at))
        });
        self.owed = unheard.map(|token| format!("didn't hear its own t{token}"));
        let ends = outcome.before == b'I' && outcome.succeeded;
        let ended = before
            .iter()
            .filter(|(name, _)| !self.channels.contains_key(*name));
        let ended = ended
            .filter(|_| ends)
            .map(|(name, one)| (*name, one.clone()));
        let held = self
            .channels
            .clone()
            .into_iter()
            .chain(ended.collect::<Vec<_>>());
        let held = held.filter(|_| outcome.status == b'I');
        let missed = held
            .into_iter()
            .find_map(|(name, one)| self.missed(name, &one, asked, witness));
        if outcome.status == b'I' {
            let channels = self.channels.values_mut();
            channels.for_each(|one| one.checked = one.checked.max(asked));
        }
        self.owed = self.owed.take().or(missed);
        None
    }

    /// What it should have heard by now and didn't.
    fn missed(
        &self,
        channel: &str,
        one: &Subscription,
        asked: usize,
        witness: &Witness,
    ) -> Option<String> {
        let mut due = witness
            .notes
            .between((one.checked, asked), &one.place, channel);
        let lost = due.find(|at| !self.positions.contains(at))?;
        Some(format!("number {lost} on {channel} is lost, {one:?}"))
    }

    fn note(&mut self, expect: &Expect, server: usize) {
        let change = match (expect.kind, expect.tokens.first()) {
            (Kind::Listen(channel), _) => Change::Listen(channel, server),
            (Kind::Unlisten(channel), _) => Change::Unlisten(channel),
            (Kind::Notify(channel), Some(token)) => Change::Notify(channel, *token),
            _ => return,
        };
        self.changes.push(change);
    }

    /// The end of a transaction; which of its own notifications it must hear.
    fn end(&mut self, kept: bool, asked: usize, witness: &Witness) -> Vec<Token> {
        let changes = std::mem::take(&mut self.changes);
        // Who listens already reads on from where it stood before the transaction, as a database does.
        let since = if self.listened { self.begun } else { asked };
        let mut own = Vec::new();
        for change in changes.into_iter().filter(|_| kept) {
            match change {
                Change::Listen(channel, server) => {
                    let class = witness.classes.get(&self.client);
                    let name = class.map_or("", |class| class.database);
                    let checked = witness.notes.count();
                    self.channels.entry(channel).or_insert(Subscription {
                        place: (server, name.into()),
                        since,
                        checked,
                    });
                }
                Change::Unlisten("*") => self.channels.clear(),
                Change::Unlisten(channel) => {
                    self.channels.remove(channel);
                }
                Change::Notify(channel, token) => own.push((channel, token)),
            }
        }
        own.retain(|(channel, _)| self.channels.contains_key(channel));
        own.into_iter().map(|(_, token)| token).collect()
    }

    /// What is wrong with what it has heard, if it listened to those.
    fn judge(
        &mut self,
        channels: &BTreeMap<&'static str, Subscription>,
        witness: &Witness,
    ) -> Option<String> {
        for heard in std::mem::take(&mut self.answer) {
            let Some((at, note)) = witness.notes.find(&heard.payload) else {
                return Some(format!("nobody notified {heard:?}"));
            };
            let Some(one) = channels.get(heard.channel.as_str()) else {
                return Some(format!("doesn't listen to that: {heard:?}"));
            };
            if note.channel != heard.channel || note.place != one.place {
                return Some(format!("{heard:?} was {note:?}, listens at {one:?}"));
            }
            if at < one.since {
                return Some(format!("{heard:?} is number {at}, listens since {one:?}"));
            }
            let number = |text: &str| text.get(1..).and_then(|n| n.parse::<u64>().ok());
            let ours = heard.payload.starts_with('t');
            let notifier = number(&heard.payload).filter(|_| ours);
            let notifier = notifier.map_or(0, |token| token / PER_CLIENT);
            let last = self.last.insert(notifier, at);
            if last.is_some_and(|last| last >= at) {
                return Some(format!("{heard:?} is number {at}, behind {last:?}"));
            }
            self.positions.insert(at);
            self.heard += 1;
        }
        None
    }
}

impl Script<'_> {
    /// Listens, ends that, or notifies; who only reads may be where nobody can.
    pub fn listening(&mut self) {
        let token = self.token();
        let channel = CHANNELS[self.random.index(CHANNELS.len())];
        let (sql, kind) = match self.random.below(8) {
            _ if !self.writes => (format!("SELECT 't{token}'"), Kind::Read),
            0..=3 => (
                format!("LISTEN {channel} /* t{token} */"),
                Kind::Listen(channel),
            ),
            4 => (
                format!("UNLISTEN {channel} /* t{token} */"),
                Kind::Unlisten(channel),
            ),
            5 => (format!("UNLISTEN * /* t{token} */"), Kind::Unlisten("*")),
            _ => (
                format!("NOTIFY {channel}, 't{token}'"),
                Kind::Notify(channel),
            ),
        };
        if self.random.one_in(2) {
            self.simple(&sql);
        } else {
            self.extended(&sql, kind == Kind::Read);
            self.sync();
        }
        self.expect(vec![token], kind);
    }
}
