//! One ready backend: how its session stands, what it still owes, and what would have to be cleaned before
//! another client gets it.
//!
//! The queue of what it owes lives here and not in the session, because it must run on when the client is gone.
//! A client has one command at a time under way; what the proxy itself asks stands in front of it or behind it,
//! and says so.

mod engine;
mod owed;
mod prepared;
mod settings;

use std::collections::VecDeque;
use std::sync::Arc;

use dbproxy_engine::{KillReason, Release, Traces};

use crate::message::capability::{Capabilities, MULTI_STATEMENTS, QUERY_ATTRIBUTES};
use crate::message::session_track::Change;
use crate::message::{command, frame, status};
use crate::params::{Kind, Params};
use crate::prepared::Table;
use crate::reply::{Reply, Shape};
use crate::{Ready, SETUP};

pub(crate) use owed::{Of, Ours, Owed, Request};
pub(crate) use settings::{Settings, CHARACTER_SET_SERVER, COLLATION_SERVER, DEFAULT};

/// The status flags that speak of a session and not of a statement; MariaDB's last one is ANSI_QUOTES.
pub(crate) const LASTING: u16 = status::AUTOCOMMIT | status::NO_BACKSLASH_ESCAPES | 0x8000;
/// What [`Traces`] say of a backend that is in a database: it can't be taken out of it again.
const DATABASE: &str = "database";
/// A packet of the server's that hasn't come whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Partial {
    pub remaining: usize,
    pub to_client: bool,
    /// The answer ends with it.
    pub last: bool,
}

/// A command or a file of the client's that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sending {
    /// Bytes of the packet at hand.
    pub remaining: usize,
    /// Its payload goes on in the packet behind.
    pub continues: bool,
    /// The number of that packet.
    pub next: u8,
    pub what: Sent,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    Command,
    /// A packet of a file; `end`: the one without a byte that ends it.
    File {
        end: bool,
    },
}

/// How the backend is left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Leave {
    Clean,
    Dirty,
    /// No reset takes away what it has, or brings back what it had.
    Indelible,
}

/// A ready backend.
#[derive(Debug)]
pub struct Link {
    pub(crate) params: Arc<Params>,
    thread_id: u32,
    pub(crate) agreed: Capabilities,
    /// The collation that it logged in with.
    collation: u8,
    pub(crate) status: u16,
    pub(crate) owed: VecDeque<Owed>,
    /// How far the answer at the front has come.
    pub(crate) reply: Option<Reply>,
    pub(crate) partial: Option<Partial>,
    pub(crate) sending: Option<Sending>,
    /// The client is to send its file from that number on.
    pub(crate) file: Option<u8>,
    /// The server said that it closes the connection.
    pub(crate) closing: bool,
    pub(crate) cutting: bool,
    /// Others wait for it.
    pub(crate) wanted: bool,
    pub(crate) leave: Leave,
    resetting: bool,
    pub(crate) answered: u64,
    /// The database that it is in, and the one that its log-in left it in.
    pub(crate) database: Option<Arc<[u8]>>,
    own_database: Option<Arc<[u8]>>,
    traces: Traces,
    /// What is set in it since.
    pub(crate) settings: Arc<Settings>,
    /// A client's user variables are set in it.
    pub(crate) has_variables: bool,
    /// What LAST_INSERT_ID() is in it, if that is known.
    pub(crate) insert_id: Option<u64>,
    /// A statement has left a warning or an error since somebody was placed.
    pub(crate) warned: bool,
    /// It made another one since that was asked.
    pub(crate) inserted: bool,
    /// What it was last asked may have changed something that no OK has told.
    pub(crate) unheard: bool,
    /// Its transaction may have ended, which no status has told yet.
    pub(crate) doubtful: bool,
    /// A write has said that something has changed: its own commit, or more.
    pub(crate) left_over: bool,
    /// The collation of the connection was set by a character set; which it is wasn't told.
    pub(crate) collates: bool,
    /// The init query that was run in it.
    pub(crate) init_query: Option<Arc<str>>,
    /// A client's statements have run in it: a trigger may have left a user variable, which nobody reports.
    pub(crate) used: bool,
    /// Those that it has for whoever executes them.
    pub(crate) statements: Table,
    /// The answer at hand has said that something failed.
    pub(crate) erred: bool,
}

impl From<Ready> for Link {
    fn from(ready: Ready) -> Self {
        Self {
            status: ready.params.status,
            params: ready.params,
            thread_id: ready.thread_id,
            agreed: ready.capabilities,
            collation: ready.collation,
            owed: VecDeque::new(),
            reply: None,
            partial: None,
            sending: None,
            file: None,
            closing: false,
            cutting: false,
            wanted: false,
            leave: Leave::Clean,
            resetting: false,
            answered: 0,
            database: ready.database.clone(),
            own_database: ready.database,
            traces: [].into(),
            settings: Arc::default(),
            has_variables: false,
            insert_id: Some(0),
            warned: false,
            inserted: false,
            unheard: false,
            doubtful: false,
            left_over: false,
            collates: false,
            init_query: ready.init_query,
            used: false,
            statements: Table::default(),
            erred: false,
        }
    }
}

impl Link {
    /// The server's id of it, which KILL takes.
    pub fn thread_id(&self) -> u32 {
        self.thread_id
    }

    /// Nothing is owed, in either direction.
    pub(crate) fn settled(&self) -> bool {
        self.owed.is_empty()
            && self.partial.is_none()
            && self.sending.is_none()
            && self.file.is_none()
    }

    /// A request of the client's is under way.
    pub(crate) fn is_asked(&self) -> bool {
        self.requests() > 0
    }

    pub(crate) fn requests(&self) -> usize {
        let theirs = |owed: &&Owed| matches!(owed.of, Of::Client(_));
        self.owed.iter().filter(theirs).count()
    }

    /// What goes before a request is under way.
    pub(crate) fn is_replaying(&self) -> bool {
        let before = [Ours::Reset, Ours::Replay, Ours::Prepare, Ours::Aside];
        let goes_before = |owed: &Owed| before.iter().any(|ours| owed.of == Of::Ours(*ours));
        self.owed.iter().any(goes_before)
    }

    /// What it answers is which warnings the client's last statement had.
    pub(crate) fn tells_of_warnings(&self) -> bool {
        let of = self.owed.front().map(|owed| &owed.of);
        matches!(of, Some(Of::Ours(Ours::Warnings | Ours::Counts)))
    }

    pub(crate) fn in_trans(&self) -> bool {
        self.status & status::IN_TRANS != 0
    }

    /// A cursor is open, as far as the last answer tells.
    pub(crate) fn has_cursor(&self) -> bool {
        self.status & (status::CURSOR_EXISTS | status::LAST_ROW_SENT) == status::CURSOR_EXISTS
    }

    /// Whoever comes next would be told of another one's warnings.
    pub(crate) fn is_soiled(&self) -> bool {
        self.warned && self.is_mariadb()
    }

    pub(crate) fn is_mariadb(&self) -> bool {
        self.params.server.kind == Kind::MariaDb
    }

    /// The server's session is in this database.
    pub(crate) fn enters(&mut self, database: Option<Arc<[u8]>>) {
        self.database = database;
        // Only the log-in and a database's end leave a session in none.
        let as_before = self.database == self.own_database;
        self.traces = traces(self.database.is_some() && !as_before);
    }

    /// It is in another database than its log-in left it in.
    pub(crate) fn is_elsewhere(&self) -> bool {
        !self.traces.is_empty()
    }

    /// What sets all that, and nothing else, where it isn't so.
    pub(crate) fn wants(&mut self, settings: &Arc<Settings>) -> Option<String> {
        if Arc::ptr_eq(&self.settings, settings) {
            return None;
        }
        let sql = self.settings.replay(settings, self.collation);
        self.settings = Arc::clone(settings);
        sql
    }

    /// Whether something of what is outstanding may have been committed, for all that is known.
    pub(crate) fn commits(&self) -> bool {
        // Of a command that it never had all of it runs nothing; amid a file nothing is done.
        if self.sending.is_some() || self.file.is_some() {
            return false;
        }
        let inside = self.in_trans() || self.status & status::AUTOCOMMIT == 0;
        self.owed.iter().any(|owed| match &owed.of {
            // Nobody knows whether that transaction is still there.
            Of::Client(request) if inside && self.doubtful => {
                request.judged.commits_inside || request.judged.commits_alone
            }
            Of::Client(request) if inside => request.judged.commits_inside,
            Of::Client(request) => request.judged.commits_alone,
            Of::Ours(_) => false,
        })
    }

    /// It is left in this state at least.
    pub(crate) fn left(&mut self, leave: Leave) {
        self.leave = self.leave.max(leave);
    }

    /// What becomes of it when it is settled and nobody holds it.
    pub(crate) fn release(&self) -> Release {
        let unasked = self.unheard || self.left_over || self.inserted || self.collates;
        let loose = unasked || self.has_cursor();
        let set = self.has_variables || self.init_query.is_some() && !self.settings.is_empty();
        if self.cutting {
            Release::Kill(KillReason::WriterLost)
        } else if self.closing {
            Release::Kill(KillReason::ServerClosed)
        } else if self.leave == Leave::Indelible {
            Release::Kill(KillReason::Pinned)
        } else if self.leave == Leave::Dirty || self.in_trans() || loose || set {
            Release::Reset
        } else {
            Release::Clean
        }
    }

    /// A command of the proxy's own.
    pub(crate) fn ask(&mut self, ours: Ours, kind: u8, body: &[u8], out: &mut Vec<u8>) {
        // No attributes, where a query has room for some.
        let attributes = kind == command::QUERY && self.agreed.has(QUERY_ATTRIBUTES);
        let first = frame::packets(out, 0, |out| {
            out.push(kind);
            if attributes {
                out.extend_from_slice(&[0, 1]);
            }
            out.extend_from_slice(body);
        });
        self.owed.push_back(Owed {
            shape: Shape::of(kind).unwrap_or(Shape::Plain),
            first,
            of: Of::Ours(ours),
        });
    }

    /// Asks for all that makes it as its log-in left it. It stays in its database.
    pub(crate) fn renew(&mut self, out: &mut Vec<u8>) {
        self.ask(Ours::Reset, command::RESET_CONNECTION, b"", out);
        // A role that a routine has taken off is back then, but for MySQL's rights in the database at hand.
        if let Some(database) = self.database.clone() {
            self.ask(Ours::Reset, command::INIT_DB, &database, out);
        }
        // MySQL takes the server's own character set for the client's then.
        let number = self.collation;
        let sql = format!(
            "{SETUP}, character_set_client={number}, character_set_results={number}, \
             collation_connection={number}"
        );
        self.ask(Ours::Reset, command::QUERY, sql.as_bytes(), out);
        if let Some(sql) = self.init_query.clone() {
            // It may be several statements, whatever its clients may send.
            let several = self.agreed.has(MULTI_STATEMENTS);
            if !several {
                self.ask(Ours::Reset, command::SET_OPTION, &[0, 0], out);
            }
            self.ask(Ours::Reset, command::QUERY, sql.as_bytes(), out);
            if !several {
                self.ask(Ours::Reset, command::SET_OPTION, &[1, 0], out);
            }
        }
        self.leave = Leave::Clean;
        self.forgets();
    }

    /// Its session was reset.
    pub(crate) fn forgets(&mut self) {
        self.used = false;
        self.settings = Arc::default();
        self.has_variables = false;
        self.insert_id = Some(0);
        self.inserted = false;
        self.unheard = false;
        self.doubtful = false;
        self.left_over = false;
        self.collates = false;
        self.statements = Table::default();
    }

    /// What an OK for nobody says: only where it is counts.
    pub(crate) fn heard(&mut self, changes: &[Change<'_>]) {
        for change in changes {
            if let Change::Schema(name) = change {
                self.enters((!name.is_empty()).then(|| Arc::from(*name)));
            }
        }
    }

    /// It was being reset, and is no more.
    pub(crate) fn was_resetting(&mut self) -> bool {
        std::mem::replace(&mut self.resetting, false)
    }
}

/// Those of who is in a database.
pub(crate) fn traces(inside: bool) -> Traces {
    match inside {
        true => [Arc::from(DATABASE)].into(),
        false => [].into(),
    }
}
