//! The settings of a client's session: what it has set that a backend of its key doesn't have by
//! itself, and what a backend is sent so that it has the same.
//!
//! Startup parameters are not among them: backends log in with those. A [`Settings`] never changes;
//! the session holds the one that its client is left with, the backend's [`Tracker`] follows what
//! becomes of it in a transaction.

mod inert;
mod replay;
pub(crate) mod traces;
mod tracker;

use std::sync::{Arc, LazyLock};

use crate::statement::Value;

pub(crate) use replay::{literal, local, replay};
pub(crate) use tracker::Tracker;

/// So many settings, and so many bytes of their names and values, are followed of one session.
const MOST: usize = 64;
const LARGEST: usize = 8 * 1024;

pub(crate) const ROLE: &str = "role";
pub(crate) const AUTHORIZATION: &str = "session_authorization";
pub(crate) const NAME: &str = "application_name";

/// Name and value.
type Entry = (Arc<str>, Value);

/// What a session has set, by name.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Settings {
    entries: Box<[Entry]>,
}

impl Settings {
    /// Of a session that has set nothing.
    pub(crate) fn none() -> Arc<Self> {
        static NONE: LazyLock<Arc<Settings>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        let at = self.entries.binary_search_by(|entry| (*entry.0).cmp(name));
        at.ok()
            .and_then(|at| self.entries.get(at))
            .map(|entry| &entry.1)
    }

    /// Whether each value is one that can be set again.
    pub(crate) fn are_plain(&self) -> bool {
        self.iter().all(|(_, value)| *value != Value::Reported)
    }

    /// Bytes of their names and values.
    pub(crate) fn size(&self) -> usize {
        self.iter().map(size).sum()
    }

    /// These, but that one. `None`: more than is followed.
    pub(crate) fn with(&self, name: &Arc<str>, value: &Value) -> Option<Self> {
        let others = self.iter().filter(|entry| entry.0 != *name);
        let mut entries: Vec<Entry> = others.cloned().collect();
        let at = entries.partition_point(|entry| entry.0 < *name);
        entries.insert(at, (Arc::clone(name), value.clone()));
        let bytes: usize = entries.iter().map(size).sum();
        (entries.len() <= MOST && bytes <= LARGEST).then(|| Self {
            entries: entries.into(),
        })
    }

    /// Those that `keep` says.
    pub(crate) fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        let kept = self.iter().filter(|entry| keep(&entry.0));
        Self {
            entries: kept.cloned().collect(),
        }
    }
}

fn size((name, value): &Entry) -> usize {
    name.len()
        + match value {
            Value::Items(items) => items.iter().map(|item| item.len()).sum(),
            Value::Text(text) => text.len(),
            Value::Reported => 0,
        }
}
