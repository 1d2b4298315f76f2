//! Follows the settings of the session that holds a backend, through transactions and savepoints.
//!
//! PostgreSQL keeps a stack of each setting's values (`guc.c`, `AtEOXact_GUC`): what is set in a
//! transaction is undone with it, or with the savepoint that it came after. Here the whole set is
//! kept at each savepoint instead. Nothing counts before the server says that it is done.

use std::sync::Arc;

use crate::link::Status;
use crate::params::Params;
use crate::statement::{Act, Value};

use super::inert::shapes;
use super::{Settings, AUTHORIZATION, NAME, ROLE};

/// More open savepoints are not followed.
const DEEPEST: usize = 256;

/// A value of it has parts: those that aren't set stay as they were.
const STYLE: &str = "datestyle";

/// The settings that a backend has beyond those that it logged in with.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    /// What is left if the transaction is rolled back.
    committed: Arc<Settings>,
    current: Arc<Settings>,
    /// What was there at each open savepoint.
    savepoints: Vec<(Box<str>, Arc<Settings>)>,
    /// Something was made what it is by itself.
    bared: bool,
    /// Some values are not yet as the server shows them.
    raw: bool,
    /// Those with a value for the transaction only, which isn't kept here.
    locals: Vec<Arc<str>>,
    /// A DISCARD ALL is done in the request or transaction at hand, which newer servers commit at once.
    discarded: bool,
    /// What the server reported that no statement explains, and what it was before: a trigger or
    /// function has set it.
    strange: Vec<(Box<str>, Box<[u8]>)>,
    /// Something was done in the request at hand that may change reports.
    explained: bool,
    /// Not all is known any more: the backend must not be shared as it is.
    lost: bool,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            committed: Settings::none(),
            current: Settings::none(),
            savepoints: Vec::new(),
            bared: false,
            raw: false,
            locals: Vec::new(),
            discarded: false,
            strange: Vec::new(),
            explained: false,
            lost: false,
        }
    }
}

impl Tracker {
    /// What it has outside of a transaction.
    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.committed
    }

    /// What it has now.
    pub(crate) fn now(&self) -> &Arc<Settings> {
        &self.current
    }

    /// What it has outside of a transaction, if all of it can be set again.
    pub(crate) fn known(&self) -> Option<&Arc<Settings>> {
        (!self.raw).then_some(&self.committed)
    }

    /// What a text is parsed under that the server reads now. Values that only the server knows are
    /// `Reported`; `None` if it isn't known which those are.
    pub(crate) fn shaping(&self) -> Option<Arc<Settings>> {
        if self.lost || !self.strange.is_empty() {
            return None;
        }
        let mut settings = match self.current.iter().all(|(name, _)| shapes(name)) {
            true => Arc::clone(&self.current),
            false => self.current.only(shapes).into(),
        };
        let merged = self.raw && self.current.value(STYLE) != self.committed.value(STYLE);
        let merged = merged.then(|| STYLE.into());
        for name in self
            .locals
            .iter()
            .chain(&merged)
            .filter(|name| shapes(name))
        {
            settings = settings.with(name, &Value::Reported)?.into();
        }
        Some(settings)
    }

    /// Whether the request or transaction at hand has changed something.
    pub(crate) fn changed(&self) -> bool {
        !Arc::ptr_eq(&self.committed, &self.current)
    }

    /// Whether an error behind it in its request may leave what a DISCARD ALL has done.
    pub(crate) fn discarded(&self) -> bool {
        self.discarded
    }

    /// Whether something happened that wasn't understood.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether something is other than right after the log-in and what was run then.
    pub(crate) fn touched(&self) -> bool {
        self.bared || !self.committed.is_empty()
    }

    /// Something happened that isn't understood.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    /// Whether the server has reported something that no statement explains.
    pub(crate) fn is_strange(&self) -> bool {
        !self.strange.is_empty()
    }

    /// The server reports a setting, in front of an answer's end.
    pub(crate) fn reports(&mut self, name: &str, before: &[u8], now: &[u8]) {
        let name = name.to_ascii_lowercase();
        if let Some(at) = self.strange.iter().position(|(known, _)| **known == *name) {
            if self
                .strange
                .get(at)
                .is_some_and(|(_, known)| **known == *now)
            {
                self.strange.swap_remove(at);
            }
        } else if !self.explained && !self.lost && before != now && shapes(&name) {
            self.strange.push((name.into(), before.into()));
        }
    }

    /// It is sent what makes it have these.
    pub(crate) fn replayed(&mut self, settings: &Arc<Settings>) {
        *self = Self {
            committed: Arc::clone(settings),
            current: Arc::clone(settings),
            ..Self::default()
        };
    }

    /// A statement is complete; `tag` is its command tag.
    pub(crate) fn done(&mut self, act: &Act, tag: &[u8]) {
        self.explained |= !act.tunes() || *act == Act::DiscardAll;
        self.bared |= matches!(act, Act::Reset(_) | Act::ResetAll | Act::DiscardAll);
        match act {
            Act::Set(name, value) => {
                if **name == *AUTHORIZATION {
                    self.keep(|setting| setting != ROLE);
                }
                self.raw = true;
                match self.current.with(name, value) {
                    Some(settings) => self.current = settings.into(),
                    None => self.lost = true,
                }
            }
            Act::Reset(name) => {
                let role = **name == *AUTHORIZATION;
                self.keep(|setting| setting != &**name && !(role && setting == ROLE));
            }
            Act::ResetAll => self.keep(|setting| [ROLE, AUTHORIZATION].contains(&setting)),
            Act::DiscardAll => {
                self.keep(|_| false);
                self.discarded = true;
            }
            Act::Local(name) if self.locals.contains(name) => {}
            Act::Local(_) if self.locals.len() >= super::MOST => self.lost = true,
            Act::Local(name) => {
                self.locals.push(Arc::clone(name));
                if **name == *AUTHORIZATION {
                    self.locals.push(ROLE.into());
                }
            }
            // It was to be said with its parameters.
            Act::Config(_) => self.lost = true,
            Act::Commit if tag != b"ROLLBACK" => self.commit(),
            // Newer servers have committed it by then.
            Act::Commit | Act::Rollback if self.discarded => self.lose(),
            Act::Commit | Act::Rollback => self.roll_back(),
            Act::Savepoint(_) if self.savepoints.len() >= DEEPEST => self.lost = true,
            Act::Savepoint(name) => {
                let here = Arc::clone(&self.current);
                self.savepoints.push((name.clone(), here));
            }
            Act::RollbackTo(name) => match self.find(name) {
                Some(at) => {
                    self.savepoints.truncate(at + 1);
                    if let Some((_, settings)) = self.savepoints.last() {
                        self.current = Arc::clone(settings);
                    }
                }
                None => self.lost = true,
            },
            Act::Release(name) => match self.find(name) {
                Some(at) => self.savepoints.truncate(at),
                None => self.lost = true,
            },
            // See `channels`.
            Act::Listen(_) | Act::Unlisten(_) | Act::UnlistenAll => {}
        }
    }

    /// A request is answered. `failed`: with an error, that undid it if no transaction is open.
    pub(crate) fn ready(&mut self, status: Status, failed: bool, name: &str, params: &Params) {
        self.explained = false;
        if status != Status::Idle {
            return;
        }
        if failed {
            self.roll_back();
        }
        if std::mem::take(&mut self.raw) {
            self.read(name, params);
        }
        self.commit();
    }

    /// Takes the values that the server reports.
    fn read(&mut self, name: &str, params: &Params) {
        let mut settings = Arc::clone(&self.current);
        for (setting, value) in self.current.iter() {
            let reported = reported(setting, name, params);
            let known = *value != Value::Reported;
            match reported.map(|text| {
                std::str::from_utf8(text)
                    .ok()
                    .filter(|text| text.is_ascii())
            }) {
                Some(Some(text)) => {
                    let value = Value::Text(text.into());
                    match settings.with(setting, &value) {
                        Some(next) => settings = next.into(),
                        None => self.lost = true,
                    }
                }
                None if known => {}
                Some(None) | None => self.lost = true,
            }
        }
        self.current = settings;
    }

    fn keep(&mut self, keep: impl Fn(&str) -> bool) {
        if !self.current.is_empty() {
            self.current = self.current.only(keep).into();
        }
    }

    fn commit(&mut self) {
        // After most requests there is nothing to keep.
        if self.changed() {
            self.committed = Arc::clone(&self.current);
        }
        self.savepoints.clear();
        self.locals.clear();
        self.discarded = false;
    }

    fn roll_back(&mut self) {
        if self.changed() {
            self.current = Arc::clone(&self.committed);
        }
        self.savepoints.clear();
        self.locals.clear();
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|(own, _)| **own == *name)
    }
}

/// What the server reports of a setting. The items of some lists are names, which their text doesn't
/// set again as they were.
fn reported<'a>(setting: &str, name: &'a str, params: &'a Params) -> Option<&'a [u8]> {
    match setting {
        "search_path" => None,
        NAME => Some(name.as_bytes()),
        _ => params
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(setting))
            .map(|(_, value)| value),
    }
}
