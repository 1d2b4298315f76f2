//! One ready backend: what it reports, what it still owes, and what would have to be cleaned before
//! another client gets it.
//!
//! The queue of expected replies lives here and not in the session, because it must run on when the
//! client is gone. Only queries, Syncs and function calls have an entry: exactly those that the
//! server answers with ReadyForQuery. What the proxy itself injected has an entry that says so.

use std::mem;
use std::sync::Arc;

use dbproxy_engine::{CancelKey, KillReason, Release};

use crate::expect::{Expect, Expected, Injected};
use crate::fate;
use crate::message::build;
use crate::params::Params;
use crate::sequences::Sequences;
use crate::startup;
use crate::statement::{Class, Dialect, Effects};

/// BackendKeyData.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub id: u32,
    pub secret: Box<[u8]>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The transaction status that ReadyForQuery carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    Idle,
    Transaction,
    Failed,
}

impl Status {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        match byte {
            b'I' => Some(Self::Idle),
            b'T' => Some(Self::Transaction),
            b'E' => Some(Self::Failed),
            _ => None,
        }
    }
}

/// COPY FROM STDIN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CopyIn {
    Off,
    /// The server reads data.
    Active,
    /// CopyDone or CopyFail is sent.
    Ending,
}

/// A message of the server's that hasn't come whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Partial {
    pub remaining: usize,
    pub to_client: bool,
}

/// Whose unnamed statement the backend may have. What is forwarded may fail, or be skipped behind
/// something that fails, so only a message that is sure to be read takes one session's away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unnamed {
    /// Nobody else's.
    Nobody,
    /// This session's, or none.
    Of(CancelKey),
    /// One that nobody may use any more.
    Stale,
}

/// How the backend is left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Leave {
    Clean,
    Dirty,
    Indelible,
}

/// A ready backend.
#[derive(Debug)]
pub struct Link {
    pub(crate) params: Arc<Params>,
    pub(crate) key: Option<Key>,
    pub(crate) status: Status,
    pub(crate) expected: Expected,
    /// Extended messages since the last message that is answered with ReadyForQuery.
    pub(crate) unsynced: bool,
    /// What those may do.
    pub(crate) batch: Effects,
    pub(crate) partial: Option<Partial>,
    /// A message of the client's is forwarded only in part.
    pub(crate) sending: bool,
    pub(crate) copy_in: CopyIn,
    /// Syncs that a COPY swallowed, unless it failed before it read them.
    pub(crate) swallowed: u32,
    /// The count of replies is no longer certain: no further use after the next ReadyForQuery.
    pub(crate) ambiguous: bool,
    /// How many batches in the queue parse the unnamed statement.
    pub(crate) parses: u32,
    /// Messages of the batch that is being answered which the server has carried out.
    pub(crate) completed: u32,
    /// Parse and Close among them, since the last one of the proxy's own.
    pub(crate) parsed: u32,
    pub(crate) closed: u32,
    /// The client was given an error of the request that is being answered.
    pub(crate) reported: bool,
    /// The server said that it closes the connection.
    pub(crate) closing: bool,
    pub(crate) cutting: bool,
    /// Others wait for this backend.
    pub(crate) wanted: bool,
    pub(crate) leave: Leave,
    pub(crate) resetting: bool,
    pub(crate) answered: u64,
    pub(crate) application_name: Box<str>,
    pub(crate) sequences: Sequences,
    pub(crate) unnamed: Unnamed,
}

impl Link {
    pub(crate) fn new(params: Params, key: Option<Key>) -> Self {
        Self {
            params: Arc::new(params),
            key,
            status: Status::Idle,
            expected: Expected::default(),
            unsynced: false,
            batch: Effects::NONE,
            partial: None,
            sending: false,
            copy_in: CopyIn::Off,
            swallowed: 0,
            ambiguous: false,
            parses: 0,
            completed: 0,
            parsed: 0,
            closed: 0,
            reported: false,
            closing: false,
            cutting: false,
            wanted: false,
            leave: Leave::Clean,
            resetting: false,
            answered: 0,
            application_name: Box::default(),
            sequences: Sequences::default(),
            unnamed: Unnamed::Nobody,
        }
    }

    /// How it reads texts.
    pub(crate) fn dialect(&self) -> Dialect {
        Dialect {
            literal_backslashes: self.params.standard_conforming_strings(),
            ascii_safe: self.params.ascii_safe(),
        }
    }

    /// Takes note of a statement that `session` forwards.
    pub(crate) fn notes(&mut self, class: &Class, session: CancelKey) {
        if class.writes {
            self.sequences.moved(session);
        }
        if class.indelible {
            self.left(Leave::Indelible);
        } else if class.dirty || class.pin.is_some() {
            self.left(Leave::Dirty);
        }
    }

    /// It is left in this state at least.
    pub(crate) fn left(&mut self, leave: Leave) {
        self.leave = self.leave.max(leave);
    }

    /// Nothing is owed, in either direction.
    pub(crate) fn settled(&self) -> bool {
        self.expected.is_empty()
            && !self.unsynced
            && self.partial.is_none()
            && !self.sending
            && self.copy_in == CopyIn::Off
    }

    /// What the server answers next; the ends of data that nobody asked for have no answer.
    pub(crate) fn front(&self) -> Option<Expect> {
        let answered = |expect: &&Expect| !matches!(expect, Expect::CopyEnd { .. });
        self.expected.iter().find(answered).copied()
    }

    /// The client's request that is answered next, if it is all forwarded.
    pub(crate) fn request(&self) -> Option<Expect> {
        if self.expected.requests() == 0 {
            return None;
        }
        self.expected.iter().find(|one| one.is_request()).copied()
    }

    /// Whether the batch at hand has failed: the server throws away what comes before the Sync.
    pub(crate) fn skips(&self) -> bool {
        self.unsynced && self.reported && self.request().is_none()
    }

    /// Takes that out of the queue, and the ends of data that belong to it.
    pub(crate) fn pop_front(&mut self) {
        while let Some(Expect::CopyEnd { .. }) = self.expected.iter().next() {
            self.expected.pop();
        }
        let popped = self.expected.pop();
        if let Some(Expect::Sync { parse: Some(_), .. }) = popped {
            self.parses -= 1;
        }
        while let Some(Expect::CopyEnd { batch: false, .. }) = self.expected.iter().next() {
            self.expected.pop();
        }
    }

    /// An end of data is forwarded that the server may not have asked for yet.
    pub(crate) fn push_copy_end(&mut self) {
        let open = self.unsynced;
        match self.expected.iter_mut().next_back() {
            Some(Expect::CopyEnd { batch, count }) if *batch == open => {
                *count = count.saturating_add(1);
            }
            _ => self.expected.push(Expect::CopyEnd {
                batch: open,
                count: 1,
            }),
        }
    }

    /// The server skips to the Sync: what the proxy put into the batch is never answered.
    pub(crate) fn drop_extras(&mut self) {
        while let Some(Expect::Extra { .. }) = self.front() {
            self.pop_front();
        }
    }

    /// Whether the server reads the next message whatever becomes of those before: nothing of the
    /// client's is open, and a query of the proxy's own runs to its end or ends the backend.
    pub(crate) fn awaits_requests(&self) -> bool {
        self.request().is_none() && !self.unsynced && self.copy_in == CopyIn::Off
    }

    /// Whether a query of the proxy's own is sure to run: no failed transaction can be in its way.
    pub(crate) fn reads_next(&self) -> bool {
        let steers = |expect: &Expect| match expect {
            Expect::Query { effects, .. } | Expect::Sync { effects, .. } => effects.steers(),
            Expect::FunctionCall | Expect::CopyEnd { .. } => false,
            Expect::Injected(_) | Expect::Extra { .. } => false,
        };
        match self.status {
            Status::Idle => !self.expected.iter().any(steers),
            Status::Transaction => self.request().is_none(),
            Status::Failed => false,
        }
    }

    /// What becomes of it when it is settled and nobody holds it.
    pub(crate) fn release(&self) -> Release {
        if self.cutting {
            Release::Kill(KillReason::WriterLost)
        } else if self.closing {
            Release::Kill(KillReason::ServerClosed)
        } else if self.ambiguous {
            Release::Kill(KillReason::Ambiguous)
        } else if self.leave == Leave::Indelible {
            Release::Kill(KillReason::Pinned)
        } else if self.leave == Leave::Dirty || self.status != Status::Idle {
            Release::Reset
        } else {
            Release::Clean
        }
    }

    /// Ends the batch of extended messages; answers what it may do, and whether it is empty.
    pub(crate) fn end_batch(&mut self) -> (Effects, bool) {
        let empty = !mem::replace(&mut self.unsynced, false);
        (mem::take(&mut self.batch), empty)
    }

    /// Puts a query of the proxy's own in front of what is forwarded next.
    pub(crate) fn inject(&mut self, why: Injected, sql: &str, out: &mut Vec<u8>) {
        build::query(out, sql.as_bytes());
        self.destroys_unnamed();
        self.expected.push(Expect::Injected(why));
    }

    /// A query destroys the unnamed statement, if it is run.
    pub(crate) fn destroys_unnamed(&mut self) {
        if self.awaits_requests() {
            self.unnamed = Unnamed::Nobody;
        }
    }

    /// Whether it may have an unnamed statement of a session that isn't this one.
    pub(crate) fn has_anothers(&self, session: CancelKey) -> bool {
        match self.unnamed {
            Unnamed::Nobody => false,
            Unnamed::Of(owner) => owner != session,
            Unnamed::Stale => true,
        }
    }
}

impl dbproxy_engine::Link for Link {
    type Params = Params;

    fn params(&self) -> &Arc<Params> {
        &self.params
    }

    fn cancel_request(&self) -> Option<Vec<u8>> {
        let key = self.key.as_ref()?;
        let mut out = Vec::new();
        startup::write_cancel_request(&mut out, key.id, &key.secret);
        Some(out)
    }

    fn goodbye(&self, out: &mut Vec<u8>) {
        if self.sending {
            return;
        }
        build::bare(out, crate::message::frontend::TERMINATE);
    }

    fn reset(&mut self, init_query: Option<&str>, out: &mut Vec<u8>) {
        self.resetting = true;
        if self.status != Status::Idle {
            self.inject(Injected::Reset, "ROLLBACK", out);
        }
        self.inject(Injected::Reset, "DISCARD ALL", out);
        if let Some(sql) = init_query {
            self.inject(Injected::Reset, sql, out);
        }
        self.application_name = Box::default();
        self.sequences = Sequences::default();
        self.leave = Leave::Clean;
    }

    fn cut(&mut self) {
        self.cutting = true;
    }

    fn answered(&self) -> u64 {
        self.answered
    }

    fn outstanding(&self) -> u32 {
        let count = u32::try_from(self.expected.requests()).unwrap_or(u32::MAX);
        count.saturating_add(u32::from(self.unsynced))
    }

    fn owes(&self) -> bool {
        // Of a request that is forwarded in part the server knows nothing yet.
        let whole = self.expected.requests() > usize::from(self.sending);
        whole && self.copy_in != CopyIn::Active
    }

    fn in_transaction(&self) -> bool {
        self.status != Status::Idle
    }

    fn may_commit(&self) -> bool {
        fate::outstanding(self).may_commit
    }

    fn is_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    fn injecting(&self) -> bool {
        self.expected.ours() > 0
    }
}
