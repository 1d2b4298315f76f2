//! What a backend owes: the queue that [`Link`](crate::link::Link) keeps, and its entries.

use std::collections::vec_deque::{Iter, IterMut};
use std::collections::VecDeque;

use crate::statement::Effects;

/// What the server owes an answer for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expect {
    /// A simple query; `extended`: unsynced extended messages stand before it.
    Query {
        effects: Effects,
        extended: bool,
    },
    FunctionCall,
    /// A batch of extended messages; `empty`: a Sync with nothing before it. `parse`: which of its
    /// messages parses the unnamed statement last.
    Sync {
        effects: Effects,
        empty: bool,
        parse: Option<u32>,
    },
    /// CopyDone or CopyFail, sent before the server asked for data. It has no answer of its own.
    /// `batch`: it stands in a batch of extended messages, whose Sync comes behind it. `count`: so
    /// many in a row, one entry however many a client sends.
    CopyEnd {
        batch: bool,
        count: u32,
    },
    /// A query of the proxy's own: everything up to its ReadyForQuery is dropped.
    Injected(Injected),
    /// A Parse or Close of the proxy's own: its completion is dropped, after `skip` others of the
    /// client's.
    Extra {
        tag: u8,
        skip: u32,
    },
}

impl Expect {
    /// Whether it is a request of the client's, answered with a ReadyForQuery.
    pub(crate) fn is_request(&self) -> bool {
        matches!(
            self,
            Self::Query { .. } | Self::FunctionCall | Self::Sync { .. }
        )
    }
}

/// The queue. It counts as it goes, so that nobody walks it to know how much is owed.
#[derive(Default, Debug)]
pub(crate) struct Expected {
    entries: VecDeque<Expect>,
    requests: usize,
    ours: usize,
}

impl Expected {
    /// How many are requests of the client's.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// How many the proxy itself put in.
    pub(crate) fn ours(&self) -> usize {
        self.ours
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> Iter<'_, Expect> {
        self.entries.iter()
    }

    /// For changes after which each entry is still of its kind.
    pub(crate) fn iter_mut(&mut self) -> IterMut<'_, Expect> {
        self.entries.iter_mut()
    }

    pub(crate) fn push(&mut self, expect: Expect) {
        self.count(&expect, 1);
        self.entries.push_back(expect);
    }

    pub(crate) fn pop(&mut self) -> Option<Expect> {
        self.remove(0)
    }

    pub(crate) fn remove(&mut self, at: usize) -> Option<Expect> {
        let removed = self.entries.remove(at)?;
        self.count(&removed, -1);
        Some(removed)
    }

    fn count(&mut self, expect: &Expect, change: isize) {
        let count = match expect {
            Expect::Injected(_) | Expect::Extra { .. } => &mut self.ours,
            Expect::CopyEnd { .. } => return,
            _ => &mut self.requests,
        };
        *count = count.saturating_add_signed(change);
    }
}

/// Why the proxy runs a query of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Injected {
    /// `SET application_name`; nothing depends on it.
    ApplicationName,
    /// `DISCARD SEQUENCES`.
    Sequences,
    /// `ROLLBACK`, `DISCARD ALL`, the init query.
    Reset,
}
