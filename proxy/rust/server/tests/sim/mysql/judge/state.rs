//! What a client has in its session, as it must find it on whatever backend it holds. A ROLLBACK undoes none
//! of it.

use std::collections::BTreeMap;

use crate::mysql::script::{Expect, Kind};

#[derive(Debug)]
pub struct State {
    pub autocommit: bool,
    database: &'static str,
    settings: [String; 2],
    variable: String,
    /// Its LAST_INSERT_ID(). After a transaction that was lost it may be what it was before that.
    inserted: Vec<u64>,
    before: Vec<u64>,
    /// A transaction ended without a commit since it made one, by itself perhaps: what it made needn't be known.
    undone: bool,
    /// It has a lock; the session in which it took its last one.
    locks: bool,
    locked: Option<String>,
    /// Statements that it has prepared.
    prepared: BTreeMap<usize, Prepared>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    pub number: u32,
    /// It was told once which types its parameters have.
    pub executed: bool,
}

/// What the settings are at first.
const DEFAULTS: [&str; 2] = ["SYSTEM", "28800"];

impl State {
    pub fn new(database: &'static str) -> Self {
        Self {
            autocommit: true,
            database,
            settings: DEFAULTS.map(Into::into),
            variable: "-".into(),
            inserted: vec![0],
            before: Vec::new(),
            undone: false,
            locks: false,
            locked: None,
            prepared: BTreeMap::new(),
        }
    }

    /// What is wrong with what a row shows, if something is.
    pub fn contradicts(
        &mut self,
        database: &str,
        settings: &str,
        inserted: u64,
        variable: Option<&str>,
    ) -> Option<String> {
        if database != self.database {
            return Some(format!("in {database}, not {}", self.database));
        }
        let due = self.settings.join("/");
        if settings != due {
            return Some(format!("{settings} is set, not {due}"));
        }
        if !self.inserted.contains(&inserted) {
            let due = &self.inserted;
            return Some(format!("LAST_INSERT_ID() is {inserted}, not {due:?}"));
        }
        self.inserted = vec![inserted];
        let other = variable.filter(|shown| *shown != self.variable)?;
        Some(format!("@a is {other}, not {}", self.variable))
    }

    pub fn is_locking(&self) -> bool {
        self.locks
    }

    /// What is wrong with being served by that session, if something is.
    pub fn lock_contradicts(&self, session: &str) -> Option<String> {
        let locked = self.locked.as_deref().filter(|_| self.locks)?;
        (locked != session).then(|| format!("served by {session}, has a lock in {locked}"))
    }

    /// Whether it is served elsewhere than where it had a lock.
    pub fn was_unpinned(&mut self, session: &str) -> bool {
        let elsewhere = |locked: &mut String| *locked != session;
        !self.locks && self.locked.take_if(elsewhere).is_some()
    }

    /// A request was answered without an error, by a row of that session if it has one.
    pub fn answered(&mut self, expect: &Expect, session: &str) {
        let token = expect.tokens.first().copied().unwrap_or_default();
        if let Kind::Execute(which) = expect.kind {
            if let Some(prepared) = self.prepared.get_mut(&which) {
                prepared.executed = true;
            }
        }
        match expect.kind.plain() {
            Kind::Write => {
                self.undone = false;
                self.before.append(&mut self.inserted);
                self.inserted.extend(expect.tokens.last());
            }
            Kind::Set(0) => self.settings[0] = format!("t{token}"),
            Kind::Set(which) => self.settings[which] = token.to_string(),
            Kind::Unset(which) => self.settings[which] = DEFAULTS[which].into(),
            Kind::Use(name) => self.database = name,
            Kind::Autocommit(on) => self.autocommit = on,
            Kind::Assign => self.variable = format!("t{token}"),
            Kind::Lock => {
                self.locks = true;
                self.locked = Some(session.into());
            }
            Kind::Unlock => self.locks = false,
            Kind::ResetConnection => *self = Self::new(self.database),
            _ => {}
        }
    }

    pub fn prepared(&self, which: usize) -> Option<Prepared> {
        self.prepared.get(&which).copied()
    }

    /// A statement was prepared under that number.
    pub fn prepares(&mut self, which: usize, number: u32) -> Option<String> {
        let executed = false;
        let twice = self.prepared.values().any(|other| other.number == number);
        self.prepared.insert(which, Prepared { number, executed });
        twice.then(|| format!("two statements are number {number}"))
    }

    /// No transaction is open.
    pub fn settled(&mut self) {
        self.before.clear();
    }

    /// A transaction was lost, or rolled back, which a client isn't told apart.
    pub fn unsettled(&mut self) {
        self.inserted.append(&mut self.before);
        // Who doesn't ask by name is told none.
        self.inserted.push(0);
        self.undone = true;
    }

    /// Whether it may be told that nobody knows its LAST_INSERT_ID().
    pub fn may_be_unknown(&self) -> bool {
        self.undone
    }
}
