//! What a backend owes: the entries of the queue that [`Link`](crate::link::Link) keeps.

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
