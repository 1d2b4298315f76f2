//! The statements that one backend has for whoever executes them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::link::Settings;

use super::{Own, Statement, Types};

/// A backend keeps as many, by number and by bytes of their texts; the one that was used longest ago is closed first. Servers have a limit of their own for
/// all connections together (`max_prepared_stmt_count`, 16382): where that is met, all of a backend's are closed.
const MOST: usize = 200;
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// A statement for sessions that have this set.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub statement: Arc<Statement>,
    pub now: Arc<Settings>,
    /// What it is executed with, where a server goes by what it was executed with before; `None`: it never was.
    pub bound: Option<Arc<[u8]>>,
}

impl Key {
    /// The same, as it is before it is executed.
    pub(crate) fn unbound(&self) -> Self {
        Self {
            bound: None,
            ..self.clone()
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.statement == other.statement
            && self.bound == other.bound
            && self.now.shapes_as(&other.now)
    }
}

impl Eq for Key {}

/// Not of the settings: few are used under several.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.statement.hash);
        self.bound.hash(state);
    }
}

#[derive(Debug)]
struct Entry {
    own: Own,
    /// When it was used last.
    used: u64,
}

/// What a backend has.
#[derive(Default, Debug)]
pub(crate) struct Table {
    entries: HashMap<Key, Entry, BuildHasherDefault<DefaultHasher>>,
    bytes: usize,
    clock: u64,
    /// The one that the proxy itself has asked for.
    coming: Option<Key>,
    /// The types that are under way to one.
    sent: Option<(Key, Types)>,
}

impl Table {
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// The server's own, which is used now.
    pub(crate) fn uses(&mut self, key: &Key) -> Option<&mut Own> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(&mut entry.own)
    }

    /// The same, for one session alone until it is put back.
    pub(crate) fn takes(&mut self, key: &Key) -> Option<Own> {
        let entry = self.entries.remove(key)?;
        self.bytes = self.bytes.saturating_sub(key.statement.size());
        Some(entry.own)
    }

    /// The backend has it. Answers the numbers of those that are to be closed for it.
    pub(crate) fn puts(&mut self, key: Key, own: Own) -> Vec<u32> {
        let mut closed: Vec<u32> = self.takes(&key).map(|own| own.id).into_iter().collect();
        self.clock += 1;
        self.bytes += key.statement.size();
        let used = self.clock;
        self.entries.insert(key, Entry { own, used });
        while self.entries.len() > MOST || self.entries.len() > 1 && self.bytes > MOST_BYTES {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            closed.extend(self.takes(&oldest).map(|own| own.id));
        }
        closed
    }

    /// All numbers, which are to be closed.
    pub(crate) fn drains(&mut self) -> Vec<u32> {
        self.bytes = 0;
        self.entries
            .drain()
            .map(|(_, entry)| entry.own.id)
            .collect()
    }

    /// Types are under way to a server's own; which ones it has by then isn't known if it fails.
    pub(crate) fn sends(&mut self, key: Key, types: Types) {
        self.sent = Some((key, types));
    }

    pub(crate) fn executed(&mut self, erred: bool) {
        let Some((key, types)) = self.sent.take().filter(|_| !erred) else {
            return;
        };
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.own.types = Some(types);
        }
    }

    /// It is being prepared.
    pub(crate) fn awaits(&mut self, key: Key) {
        self.coming = Some(key);
    }

    /// It was answered that it is, by that number, or that it can't be.
    pub(crate) fn answered(&mut self, id: Option<u32>) -> Vec<u32> {
        match (self.coming.take(), id) {
            (Some(key), Some(id)) => self.puts(key, Own::new(id)),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Statement;
    use super::*;
    use crate::session::judge::Judged;

    fn key(text: &str, pairs: &[(&str, &str)]) -> Key {
        let mut settings = Settings::default();
        for (name, value) in pairs {
            assert!(settings.take(name.as_bytes(), value.as_bytes()));
        }
        let settings = Arc::new(settings);
        let judged = Judged::harmless();
        let statement = Statement::new(Some(text.as_bytes()), None, settings.clone(), judged);
        Key {
            statement: Arc::new(statement),
            now: settings,
            bound: None,
        }
    }

    #[test]
    fn only_what_runs_a_statement_may_differ() {
        let mut table = Table::default();
        assert_eq!(table.puts(key("a", &[]), Own::new(5)), []);
        let id = |table: &mut Table, key: &Key| table.uses(key).map(|own| own.id);
        let late = key("a", &[("autocommit", "OFF"), ("wait_timeout", "5")]);
        assert_eq!(id(&mut table, &late), Some(5));
        for other in [key("b", &[]), key("a", &[("sql_mode", "ANSI_QUOTES")])] {
            assert_eq!(id(&mut table, &other), None);
        }
        let mut elsewhere = key("a", &[]);
        elsewhere.now = key("a", &[("time_zone", "+01:00")]).now;
        assert_eq!(id(&mut table, &elsewhere), None);
        assert_eq!(table.puts(late, Own::new(6)), [5], "the older one goes");
    }

    #[test]
    fn the_one_that_was_used_longest_ago_goes_first() {
        let mut table = Table::default();
        for number in 0..MOST as u32 {
            assert_eq!(
                table.puts(key(&number.to_string(), &[]), Own::new(number)),
                []
            );
        }
        table.uses(&key("0", &[]));
        assert_eq!(table.puts(key("more", &[]), Own::new(900)), [1]);
        assert!(table.has(&key("0", &[])) && !table.has(&key("1", &[])));
        let mut all = table.drains();
        all.sort_unstable();
        assert_eq!((all.len(), all.last()), (MOST, Some(&900)));
        assert_eq!(table.drains(), []);
        let long = "x".repeat(MOST_BYTES / 2);
        assert_eq!(table.puts(key(&long, &[]), Own::new(1)), []);
        assert_eq!(table.puts(key("a", &[]), Own::new(2)), []);
        assert_eq!(table.puts(key(&format!("{long}y"), &[]), Own::new(3)), [1]);
        assert_eq!(
            table.puts(key(&"x".repeat(MOST_BYTES), &[]), Own::new(4)),
            [2, 3]
        );
        table.drains();
        assert_eq!(table.bytes, 0);
    }
}
