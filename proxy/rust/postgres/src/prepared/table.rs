//! The statements that one backend has under names of ours.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{Coming, Known, Lent, Shared, Tick};
use crate::settings::Settings;

/// A backend keeps as many, by number and by bytes of what is known of them; a server's own plan of
/// one takes some tens of kilobytes. The one that was used longest ago is closed first.
const MOST: usize = 500;
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// A server plans a statement, and may analyse it again, under the settings of whoever uses it: a shared
/// one serves only sessions that have the same.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Key {
    shared: Arc<Shared>,
    now: Arc<Settings>,
}

impl Key {
    fn size(&self) -> usize {
        self.shared.size() + self.now.size()
    }
}

/// That of the statement: few are used under several settings.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shared.hash(state);
    }
}

/// What a session has set that uses a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Now {
    Known(Arc<Settings>),
    /// The server alone knows. What is used so serves nobody else.
    Blurred,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    /// When it was used last.
    used: u64,
    /// When its Parse was sent.
    sent: Tick,
}

/// What a backend has.
#[derive(Default, Debug)]
pub(crate) struct Table {
    entries: HashMap<Key, Entry, BuildHasherDefault<DefaultHasher>>,
    /// Those that were parsed in the transaction at hand under what the server alone knows.
    blurred: Vec<(Arc<Shared>, Entry)>,
    bytes: usize,
    clock: u64,
    numbers: u64,
    /// Numbers of those that are still there and that nobody will use again.
    doomed: Vec<u64>,
    /// So are all up to this one whose answers are still to come.
    doomed_up_to: u64,
    /// ParameterDescription of the one that is being described.
    types: Box<[u8]>,
    /// What it has under its client's name for one request.
    pub lent: Option<Lent>,
}

impl Table {
    /// A number that was never given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The number of what serves a client's statement here, for a session that has set that.
    pub(crate) fn find(&mut self, known: &Known, now: &Now) -> Option<u64> {
        self.clock += 1;
        let entry = match now {
            Now::Known(now) => self.entries.get_mut(&key(&known.shared, now))?,
            Now::Blurred => {
                let mut blurred = self.blurred.iter_mut();
                let same = blurred.find(|(shared, _)| *shared == known.shared);
                same.map(|(_, entry)| entry)?
            }
        };
        entry.used = self.clock;
        known
            .parsed
            .is_served_by(entry.sent)
            .then_some(entry.number)
    }

    /// The transaction is over: what was parsed under its settings nobody uses again.
    pub(crate) fn clears(&mut self) {
        if !self.blurred.is_empty() {
            let blurred = self.blurred.drain(..).map(|(_, entry)| entry.number);
            self.doomed.extend(blurred);
        }
    }

    /// Nobody uses the one with that number again, if it is there.
    pub(crate) fn doom(&mut self, number: u64) {
        self.blurred.retain(|(_, entry)| entry.number != number);
        let mut entries = self.entries.iter();
        let key = entries.find(|(_, entry)| entry.number == number);
        if let Some(key) = key.map(|(key, _)| key.clone()) {
            self.entries.remove(&key);
            self.bytes -= key.size();
        }
        self.doomed.push(number);
    }

    /// Names in all of them may mean something else from here on, without the server's noticing.
    pub(crate) fn doom_all(&mut self) {
        self.doomed = self.take();
        self.doomed_up_to = self.numbers;
    }

    /// The types of the parameters of what is being described.
    pub(crate) fn described(&mut self, types: &[u8]) {
        self.types = types.into();
    }

    /// Those of what is described.
    pub(crate) fn types(&mut self) -> Box<[u8]> {
        std::mem::take(&mut self.types)
    }

    /// A statement is there now, for sessions that have set that. Answers what stands for it here.
    pub(crate) fn insert(&mut self, coming: &Coming, shared: Shared) -> Arc<Shared> {
        self.clock += 1;
        let shared = Arc::new(shared);
        if coming.number <= self.doomed_up_to {
            self.doomed.push(coming.number);
            return shared;
        }
        let entry = Entry {
            number: coming.number,
            used: self.clock,
            sent: coming.sent,
        };
        let Now::Known(now) = &coming.now else {
            let mut blurred = self.blurred.iter_mut();
            match blurred.find(|(known, _)| *known == shared) {
                Some((_, known)) => self.doomed.push(std::mem::replace(known, entry).number),
                None => self.blurred.push((Arc::clone(&shared), entry)),
            }
            return shared;
        };
        let key = key(&shared, now);
        let known = self.entries.get_key_value(&key);
        if let Some(known) = known.map(|(known, _)| known.clone()) {
            if let Some(before) = self.entries.insert(known.clone(), entry) {
                self.doomed.push(before.number);
            }
            return known.shared;
        }
        self.bytes += key.size();
        self.entries.insert(key, entry);
        shared
    }

    /// What is to be closed, so that there is room for one more. From here on nobody finds it.
    pub(crate) fn surplus(&mut self) -> Vec<u64> {
        while self.entries.len() >= MOST || self.bytes >= MOST_BYTES {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= oldest.size();
                self.doomed.push(entry.number);
            }
        }
        // Those of a pinned client outlive their transactions.
        let mut size: usize = self.blurred.iter().map(|(shared, _)| shared.size()).sum();
        while self.blurred.len() >= MOST || size >= MOST_BYTES {
            let (shared, entry) = self.blurred.remove(0);
            size -= shared.size();
            self.doomed.push(entry.number);
        }
        std::mem::take(&mut self.doomed)
    }

    /// Takes all out.
    pub(crate) fn take(&mut self) -> Vec<u64> {
        let mut numbers = std::mem::take(&mut self.doomed);
        numbers.extend(self.entries.values().map(|entry| entry.number));
        numbers.extend(self.blurred.iter().map(|(_, entry)| entry.number));
        numbers.sort_unstable();
        self.clear();
        numbers
    }

    /// They are all gone.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.blurred.clear();
        self.doomed.clear();
        self.bytes = 0;
        self.lent = None;
    }
}

fn key(shared: &Arc<Shared>, now: &Arc<Settings>) -> Key {
    Key {
        shared: Arc::clone(shared),
        now: Arc::clone(now),
    }
}
