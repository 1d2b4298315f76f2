//! One ready backend: what it reports, what it still owes, and what would have to be cleaned before
//! another client gets it.
//!
//! The queue of expected replies lives here and not in the session, because it must run on when the
//! client is gone. What the proxy itself put in has an entry that says so.

mod engine;

use std::sync::Arc;

use dbproxy_engine::{CancelKey, KillReason, Release, Traces};

use crate::channels::Changes;
use crate::expect::{Expect, Expected, Injected, Statement};
use crate::message::{build, frontend};
use crate::params::Params;
use crate::prepared::Table;
use crate::sequences::Sequences;
use crate::settings::Tracker;
use crate::statement::{Act, Class, Dialect, Effects, Script};

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

/// How the backend is left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Leave {
    Clean,
    /// It may listen to channels.
    Listening,
    Dirty,
    Indelible,
}

/// A ready backend.
#[derive(Debug)]
pub struct Link {
    /// What it reports now, and what it reported at its log-in.
    pub(crate) params: Arc<Params>,
    pub(crate) own: Arc<Params>,
    pub(crate) key: Option<Key>,
    pub(crate) status: Status,
    pub(crate) expected: Expected,
    /// Extended messages since the last message that is answered with ReadyForQuery.
    pub(crate) unsynced: bool,
    /// What those messages may have done that are answered, of the request that isn't yet.
    pub(crate) done: Effects,
    pub(crate) partial: Option<Partial>,
    /// The tag of the client's message that is forwarded only in part.
    pub(crate) sending: Option<u8>,
    pub(crate) copy_in: CopyIn,
    /// Syncs that a COPY swallowed, unless it failed before it read them.
    pub(crate) swallowed: u32,
    /// The count of replies is no longer certain: no further use after the next ReadyForQuery.
    pub(crate) ambiguous: bool,
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
    pub(crate) settings: Tracker,
    /// Custom settings that it has since its log-in, and those that were set in it since.
    pub(crate) given: Box<[Arc<str>]>,
    pub(crate) traces: Traces,
    /// Statements of the request at the front that are complete.
    pub(crate) complete: u16,
    /// Texts may have to be read otherwise when what is outstanding is done.
    pub(crate) shifting: bool,
    /// What is outstanding takes the client's name away.
    pub(crate) unnames: bool,
    /// What is outstanding changes to which channels the session listens.
    pub(crate) tunes: bool,
    pub(crate) changes: Changes,
    /// What it ran once after its log-in, and what a reset of its settings takes away.
    pub(crate) initialised: bool,
    /// The unnamed statement that it has, or may have.
    pub(crate) unnamed: Option<Arc<Statement>>,
    /// It has that one: nothing failed since that may have destroyed it.
    pub(crate) surely: bool,
    pub(crate) prepared: Table,
}

impl Link {
    pub(crate) fn new(params: Params, key: Option<Key>, initialised: bool) -> Self {
        let params = Arc::new(params);
        Self {
            key,
            own: Arc::clone(&params),
            status: Status::Idle,
            expected: Expected::default(),
            unsynced: false,
            done: Effects::NONE,
            partial: None,
            sending: None,
            copy_in: CopyIn::Off,
            swallowed: 0,
            ambiguous: false,
            reported: false,
            closing: false,
            cutting: false,
            wanted: false,
            leave: Leave::Clean,
            resetting: false,
            answered: 0,
            application_name: params.own_name().into(),
            sequences: Sequences::default(),
            settings: Tracker::default(),
            given: [].into(),
            traces: [].into(),
            complete: 0,
            shifting: false,
            unnames: false,
            tunes: false,
            changes: Changes::default(),
            initialised,
            unnamed: None,
            surely: false,
            prepared: Table::default(),
            params,
        }
    }

    /// How it reads texts, as far as that is known.
    pub(crate) fn dialect(&self) -> Dialect {
        Dialect {
            literal_backslashes: self.params.standard_conforming_strings() && !self.shifting,
            ascii_safe: self.params.ascii_safe() && !self.shifting,
        }
    }

    /// Whether its settings are other than those it logged in with, and can't be put back one by one; or a
    /// name of its client's is there.
    fn resettable(&self) -> bool {
        let lost = self.settings.is_lost() || self.prepared.lent.is_some();
        lost || self.initialised && self.settings.touched()
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

    /// A script is forwarded that is to be run.
    pub(crate) fn expects(&mut self, script: &Script) {
        self.shifting |= script.any(Act::shifts);
        self.unnames |= script.any(Act::unnames);
        self.tunes |= script.any(Act::tunes);
        if script.any(|act| matches!(act, Act::Listen(_))) {
            self.left(Leave::Listening);
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
            && self.sending.is_none()
            && self.copy_in == CopyIn::Off
    }

    /// Whether the batch at hand has failed: the server throws away what comes before the Sync.
    pub(crate) fn skips(&self) -> bool {
        self.unsynced && self.reported && self.expected.requests() == 0
    }

    /// A message of a batch has failed: the server reads nothing more up to the Sync, and nothing of
    /// what it was sent is carried out.
    pub(crate) fn skip_to_sync(&mut self) {
        loop {
            match self.expected.front() {
                Some(Expect::Sync { .. }) => {
                    // It ends what has failed, also where a query seemed to have ended that.
                    self.expected.fill_batch();
                    return;
                }
                // What follows a batch of ours is read.
                Some(Expect::Injected(Injected::Statements)) => return,
                Some(Expect::Injected(Injected::ApplicationName)) => self.name_failed(),
                Some(Expect::Injected(Injected::Sequences)) => self.sequences.kept(),
                Some(_) => {}
                None => break,
            }
            self.expected.pop();
        }
        self.unsynced = true;
    }

    /// A COPY is done.
    pub(crate) fn ends_copy(&mut self) {
        self.copy_in = CopyIn::Off;
        self.swallowed = 0;
    }

    /// A COPY has failed, if there is one: which Syncs it swallowed isn't certain any more, unless the
    /// server had `read` all that its client sent for it.
    pub(crate) fn fails_copy(&mut self, read: bool) {
        let ended = read && self.copy_in == CopyIn::Ending;
        self.ambiguous |= self.copy_in != CopyIn::Off && self.swallowed > 0 && !ended;
        self.ends_copy();
    }

    /// Its client's name could not be set: it has one that no client has, and is told the next.
    pub(crate) fn name_failed(&mut self) {
        self.application_name = "\0".into();
    }

    /// Whether the server reads the next message whatever becomes of those before: nothing of the
    /// client's is open, and a query of the proxy's own runs to its end or ends the backend.
    pub(crate) fn awaits_requests(&self) -> bool {
        self.expected.requests() == 0 && !self.unsynced && self.copy_in == CopyIn::Off
    }

    /// Whether a query of the proxy's own is sure to run: no failed transaction can be in its way.
    pub(crate) fn reads_next(&self) -> bool {
        match self.status {
            Status::Idle => !self.done.steers() && self.expected.steering() == 0,
            Status::Transaction => self.expected.requests() == 0,
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
        } else if self.leave != Leave::Clean || self.status != Status::Idle || self.resettable() {
            Release::Reset
        } else {
            Release::Clean
        }
    }

    /// Puts a query of the proxy's own in front of the batch at hand, or of what is forwarded next.
    pub(crate) fn inject(&mut self, why: Injected, sql: &str, out: &mut Vec<u8>) {
        build::query(out, sql.as_bytes());
        if self.awaits_requests() {
            self.unnamed = None;
        }
        self.expected.push_before_batch(Expect::Injected(why));
    }

    /// Whether it is certain which unnamed statement the server has when it reads the batch at hand:
    /// nothing before that can change it any more.
    pub(crate) fn knows_unnamed(&self) -> bool {
        self.expected.requests() == 0 && (self.unnamed.is_none() || self.expected.injected() == 0)
    }

    /// Whether the server has this one for certain.
    pub(crate) fn has_unnamed(&self, statement: &Arc<Statement>) -> bool {
        let same = |there: &Arc<Statement>| Arc::ptr_eq(there, statement);
        self.surely && self.unnamed.as_ref().is_some_and(same)
    }

    /// The server has only a part of the client's last request.
    pub(crate) fn has_part(&self) -> bool {
        matches!(
            self.sending,
            Some(frontend::QUERY | frontend::FUNCTION_CALL)
        )
    }
}
