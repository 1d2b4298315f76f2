//! What a backend owes: the queue that [`Link`](crate::link::Link) keeps, an entry for each message
//! that is answered, and the statement that some of them carry.
//!
//! What an entry means is booked when the server has carried its message out (`session::judge`), and
//! not when it was sent: what stands behind an error in its batch is never carried out.

use std::collections::{vec_deque::Iter, VecDeque};
use std::sync::Arc;

use dbproxy_engine::Reasons;

use crate::message::backend;
use crate::prepared::{Alias, Coming, Naming, Theirs};
use crate::statement::{Acts, Effects};

/// Entries that an empty queue keeps room for.
const ROOM: usize = 64;

/// A statement that a client parsed.
#[derive(Debug)]
pub(crate) struct Statement {
    /// The whole Parse message; empty if it is never parsed again: its client is pinned for it.
    pub parse: Box<[u8]>,
    pub effects: Effects,
    pub ends: Reasons,
    pub acts: Acts,
}

/// What the server owes an answer for.
#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// A simple query. `begins`: it is a plain BEGIN, which fails only if it is cancelled. `naming`:
    /// it does nothing else.
    Query {
        effects: Effects,
        begins: bool,
        acts: Acts,
        naming: Option<Naming>,
    },
    FunctionCall,
    /// `unnamed`: it parses the unnamed statement. `ours`: the proxy put it in. `coming`: the one that
    /// is shared. `alias`: it is refused as a duplicate.
    Parse {
        unnamed: Option<Arc<Statement>>,
        ours: bool,
        coming: Option<Arc<Coming>>,
        alias: Option<Alias>,
    },
    Bind {
        effects: Effects,
        alias: Option<Alias>,
    },
    Describe {
        alias: Option<Alias>,
    },
    /// A Describe of the proxy's own.
    Learn(Arc<Coming>),
    /// A message of the proxy's own about a statement under the client's own name.
    Theirs(Theirs),
    /// A message of the proxy's own that puts settings in place for a Parse: `done` says that it is done.
    /// `back`: it puts things back as the client left them.
    Aside {
        done: u8,
        back: bool,
    },
    Execute {
        effects: Effects,
        acts: Acts,
    },
    /// `unnamed`: it closes the unnamed statement. `ours`: the proxy put it in. `name`: it closes what
    /// the client calls so.
    Close {
        unnamed: bool,
        ours: bool,
        name: Option<Arc<[u8]>>,
    },
    /// A message that is whole and says nothing that a server understands: it refuses it unread.
    /// `extended`: up to the next Sync, as one of a batch.
    Broken {
        extended: bool,
    },
    /// `empty`: nothing stands between it and the end of the batch before.
    Sync {
        empty: bool,
    },
    /// CopyDone or CopyFail, sent before the server asked for data. It has no answer of its own.
    /// `count`: so many in a row, one entry however many a client sends.
    CopyEnd {
        count: u32,
    },
    /// A query of the proxy's own: everything up to its ReadyForQuery is dropped.
    Injected(Injected),
}

/// Why the proxy runs a query of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Injected {
    /// `SET application_name`; nothing depends on it.
    ApplicationName,
    /// The client's settings. `awaited`: nothing is sent before they are known to be there.
    Settings { awaited: bool },
    /// `DISCARD SEQUENCES`.
    Sequences,
    /// Asks what it holds of its client's.
    Survey,
    /// `ROLLBACK`, `DISCARD ALL`, the init query.
    Reset,
    /// A Sync behind a batch of ours that makes statements.
    Statements,
    /// Begins or ceases to listen, or only answers.
    Channels,
}

/// What a message of the server's is to the entry at the front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fit {
    /// More of its answer follows.
    Part,
    /// The end of its answer.
    Whole,
    /// No answer to it.
    Not,
}

impl Expect {
    /// Whether it is a request of the client's, answered with a ReadyForQuery.
    pub(crate) fn is_request(&self) -> bool {
        matches!(
            self,
            Self::Query { .. }
                | Self::FunctionCall
                | Self::Sync { .. }
                | Self::Broken { extended: false }
        )
    }

    /// Whether the client knows nothing of it.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Injected(_)
                | Self::Parse { ours: true, .. }
                | Self::Learn(_)
                | Self::Theirs(_)
                | Self::Aside { .. }
                | Self::Close { ours: true, .. }
        )
    }

    /// Whether an error in front of it in its batch keeps the server from reading it.
    pub(crate) fn is_extended(&self) -> bool {
        match self {
            Self::Parse { .. } | Self::Bind { .. } | Self::Aside { .. } => true,
            Self::Describe { .. } | Self::Learn(_) | Self::Theirs(_) => true,
            Self::Execute { .. } | Self::Close { .. } => true,
            Self::Broken { extended } => *extended,
            Self::Query { .. } | Self::FunctionCall | Self::Sync { .. } => false,
            Self::CopyEnd { .. } | Self::Injected(_) => false,
        }
    }

    /// Whether it replaces, closes or destroys an unnamed statement of the client's.
    pub(crate) fn touches_unnamed(&self) -> bool {
        match self {
            Self::Query { .. } => true,
            Self::Parse { unnamed, ours, .. } => unnamed.is_some() && !ours,
            Self::Close { unnamed, ours, .. } => *unnamed && !ours,
            _ => false,
        }
    }

    /// The name in it that isn't the client's.
    pub(crate) fn alias(&self) -> Option<&Alias> {
        match self {
            Self::Parse { alias, .. } | Self::Bind { alias, .. } => alias.as_ref(),
            Self::Describe { alias } => alias.as_ref(),
            _ => None,
        }
    }

    /// Whether it is of ours and must not fail: what follows is built on it.
    pub(crate) fn is_vital(&self) -> bool {
        match self {
            Self::Parse {
                unnamed,
                coming,
                ours,
                ..
            } => *ours && unnamed.is_none() && coming.is_none(),
            Self::Aside { back, .. } => *back,
            Self::Theirs(theirs) => *theirs == Theirs::PutAway,
            _ => false,
        }
    }

    /// What it may do to transactions.
    pub(crate) fn effects(&self) -> Effects {
        match self {
            Self::Query { effects, .. }
            | Self::Bind { effects, .. }
            | Self::Execute { effects, .. } => *effects,
            Self::FunctionCall => Effects::WRITE,
            _ => Effects::NONE,
        }
    }

    /// What it does to settings.
    pub(crate) fn acts(&self) -> &Acts {
        match self {
            Self::Query { acts, .. } | Self::Execute { acts, .. } => acts,
            _ => &None,
        }
    }

    /// Whether a message of this tag answers it. Errors, notices, reports and ReadyForQuery, which
    /// may come at any time or end whatever is there, are not asked about.
    pub(crate) fn fits(&self, tag: u8) -> Fit {
        use Fit::{Not, Part, Whole};
        match (self, tag) {
            (Self::Query { .. } | Self::Injected(_), tag) => match tag {
                backend::ROW_DESCRIPTION | backend::DATA_ROW => Part,
                backend::COMMAND_COMPLETE | backend::EMPTY_QUERY_RESPONSE => Part,
                backend::COPY_IN_RESPONSE | backend::COPY_OUT_RESPONSE => Part,
                backend::COPY_DATA | backend::COPY_DONE => Part,
                _ => Not,
            },
            (Self::Execute { .. }, tag) => match tag {
                backend::DATA_ROW | backend::COPY_IN_RESPONSE | backend::COPY_OUT_RESPONSE => Part,
                backend::COPY_DATA | backend::COPY_DONE => Part,
                backend::COMMAND_COMPLETE | backend::EMPTY_QUERY_RESPONSE => Whole,
                backend::PORTAL_SUSPENDED => Whole,
                _ => Not,
            },
            (Self::FunctionCall, backend::FUNCTION_CALL_RESPONSE) => Part,
            (Self::Describe { .. } | Self::Learn(_), tag) => match tag {
                backend::PARAMETER_DESCRIPTION => Part,
                backend::ROW_DESCRIPTION | backend::NO_DATA => Whole,
                _ => Not,
            },
            (Self::Aside { .. }, backend::DATA_ROW) => Part,
            (Self::Aside { done, .. }, tag) if *done == tag => Whole,
            (Self::Theirs(theirs), tag) => theirs.fits(tag),
            (Self::Parse { .. }, backend::PARSE_COMPLETE) => Whole,
            (Self::Bind { .. }, backend::BIND_COMPLETE) => Whole,
            (Self::Close { .. }, backend::CLOSE_COMPLETE) => Whole,
            _ => Not,
        }
    }
}

/// The queue. It counts as it goes, so that nobody walks it to know how much is owed. The end of
/// data is never at its front: nobody asked for that.
#[derive(Default, Debug)]
pub(crate) struct Expected {
    entries: VecDeque<Expect>,
    requests: usize,
    injected: usize,
    steering: usize,
    acting: usize,
    remembered: usize,
    /// Since nothing was open, something was forwarded that may change what statements mean.
    pub altered: bool,
}

impl Expected {
    /// How many are requests of the client's.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// How many are queries of the proxy's own.
    pub(crate) fn injected(&self) -> usize {
        self.injected
    }

    /// How many may begin or end a transaction.
    pub(crate) fn steering(&self) -> usize {
        self.steering
    }

    /// How many may do something to settings.
    pub(crate) fn acting(&self) -> usize {
        self.acting
    }

    /// Bytes of the statements that are remembered in it.
    pub(crate) fn remembered(&self) -> usize {
        self.remembered
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

    /// What is answered next.
    pub(crate) fn front(&self) -> Option<&Expect> {
        self.entries.front()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Expect> {
        self.entries.get(at)
    }

    pub(crate) fn push(&mut self, expect: Expect) {
        self.count(&expect, 1);
        self.altered |= expect.effects().alters;
        self.entries.push_back(expect);
    }

    /// For a message that is put before the batch that is still open, of which nothing was sent; or
    /// behind everything, if none is open.
    pub(crate) fn push_before_batch(&mut self, expect: Expect) {
        let begins = self
            .entries
            .iter()
            .rev()
            .take_while(|one| one.is_extended() || matches!(one, Expect::CopyEnd { .. }));
        let mut at = self.entries.len() - begins.count();
        while let Some(Expect::CopyEnd { .. }) = self.entries.get(at) {
            at += 1;
        }
        self.count(&expect, 1);
        self.entries.insert(at, expect);
    }

    /// An end of data is forwarded that the server may not have asked for yet. Behind nothing it is
    /// for nobody.
    pub(crate) fn push_copy_end(&mut self) {
        match self.entries.back_mut() {
            Some(Expect::CopyEnd { count }) => *count = count.saturating_add(1),
            Some(_) => self.entries.push_back(Expect::CopyEnd { count: 1 }),
            None => {}
        }
    }

    /// Takes one end of data out, there.
    pub(crate) fn pop_copy_end(&mut self, at: usize) {
        match self.entries.get_mut(at) {
            Some(Expect::CopyEnd { count: count @ 2.. }) => *count -= 1,
            _ => drop(self.remove(at)),
        }
    }

    /// Takes the first one out, and the ends of data behind it: it never asked for any.
    pub(crate) fn pop(&mut self) -> Option<Expect> {
        let popped = self.remove(0);
        while let Some(Expect::CopyEnd { .. }) = self.entries.front() {
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(ROOM);
        }
        popped
    }

    pub(crate) fn remove(&mut self, at: usize) -> Option<Expect> {
        let removed = self.entries.remove(at)?;
        self.count(&removed, -1);
        Some(removed)
    }

    /// The next Sync ends a batch of which something was read.
    pub(crate) fn fill_batch(&mut self) -> bool {
        let empty = self.entries.iter_mut().find_map(|entry| match entry {
            Expect::Sync { empty } => Some(empty),
            _ => None,
        });
        empty.map(|empty| *empty = false).is_some()
    }

    fn count(&mut self, expect: &Expect, change: isize) {
        let add = |count: &mut usize, amount: isize| {
            *count = count.saturating_add_signed(change * amount);
        };
        if expect.is_request() {
            add(&mut self.requests, 1);
        }
        if expect.effects().steers() {
            add(&mut self.steering, 1);
        }
        if expect.acts().is_some() {
            add(&mut self.acting, 1);
        }
        match expect {
            Expect::Injected(_) => add(&mut self.injected, 1),
            Expect::Parse {
                unnamed: Some(statement),
                ..
            } => add(&mut self.remembered, statement.parse.len() as isize),
            _ => {}
        }
    }
}
