//! What statements do to the state of a session that isn't on the wire otherwise.
//!
//! Said by `classify`, carried out by the session when the server has said that the statement is done. What
//! became of a system variable or of the default database the server reports itself.

use std::sync::Arc;

use dbproxy_engine::PinReason;

/// A literal that a user variable is set to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Literal {
    /// As it is written, its sign in front: it can be set to that again.
    pub text: Arc<[u8]>,
    /// It is a string, and so depends on `sql_mode`, `character_set_client` and `collation_connection`: what
    /// those were has to be so again when it is set again.
    pub depends: bool,
}

/// What KILL ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Victim {
    /// A connection.
    Connection,
    /// What it is doing, and nothing else.
    Query,
    /// MariaDB's: a query by its own id, or all of a user's. Not for the proxy to translate.
    Other,
}

/// How a transaction ends.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Another begins at once.
    pub chain: bool,
    /// The server closes the connection.
    pub release: bool,
}

/// One deed of a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// USE.
    Use,
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT.
    Commit(Ending),
    /// ROLLBACK, of the whole transaction.
    Rollback(Ending),
    /// SAVEPOINT.
    Savepoint,
    /// ROLLBACK TO.
    RollbackTo,
    /// RELEASE SAVEPOINT.
    ReleaseSavepoint,
    /// `SET TRANSACTION` without a scope: for the next transaction only.
    NextTransaction,
    /// A system variable of the session, its name in lower case; whether it is set to DEFAULT.
    Variable(Arc<str>, bool),
    /// A system variable for all sessions: GLOBAL, PERSIST, PERSIST_ONLY.
    Global(Arc<str>),
    /// `SET NAMES`.
    Names,
    /// `SET CHARACTER SET`.
    CharacterSet,
    /// A user variable, its name in lower case, or empty if that isn't plain ASCII; `None`: what it becomes
    /// isn't known. Without both, it pins.
    User(Arc<str>, Option<Literal>),
    /// `SET last_insert_id`, `SET identity`. `None`: what it becomes isn't known, and it pins.
    InsertId(Option<u64>),
    /// KILL. `None`: its number isn't a literal.
    Kill(Victim, Option<u64>),
    /// An account, its password or its rights.
    Account,
    /// `SHUTDOWN`, `RESTART`.
    Shutdown,
    /// Where the server replicates from, and whether it does.
    Replication,
    /// `LOAD DATA`, `LOAD XML`; with LOCAL the client is asked for the file.
    Load,
    /// `SET ROLE`.
    Role,
    /// `SHOW WARNINGS` and the like, and nothing else in the text.
    Show(Shown),
    /// `SELECT CONNECTION_ID()` and the like, and nothing else in the text.
    Value(Value, Written),
    /// The whole text takes something that binds the session, or frees it.
    Deed(Deed),
}

/// What binds a session is taken or freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// One more of it, if the statement is done.
    Takes(PinReason),
    /// So much of it.
    Frees(PinReason, Freed),
}

/// How much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freed {
    /// All that is counted.
    All,
    /// All, whatever it is.
    Whatever,
    /// So many.
    So(u16),
    /// One, if the server reports a change.
    IfChanged,
    /// One, if the value is 1.
    IfOne,
}

/// What is selected that the proxy knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// `CONNECTION_ID()`.
    ConnectionId,
    /// `ROW_COUNT()`.
    RowCount,
    /// `@@warning_count`.
    WarningCount,
    /// `@@error_count`.
    ErrorCount,
}

/// Where in the text it is written, which is what servers call its column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its first byte.
    pub from: u32,
    /// Behind its last one.
    pub to: u32,
}

/// What is shown of the statement before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// `SHOW WARNINGS`.
    Warnings,
    /// `SHOW ERRORS`.
    Errors,
    /// `SHOW COUNT(*) WARNINGS`.
    CountOfWarnings,
    /// `SHOW COUNT(*) ERRORS`.
    CountOfErrors,
    /// The same with a LIMIT.
    Part,
}

/// What the statements of one text do.
#[derive(PartialEq, Eq, Debug)]
pub struct Script {
    /// Each with the number of its statement.
    pub acts: Box<[(u16, Act)]>,
}

/// That of most texts is none.
pub type Acts = Option<Arc<Script>>;

impl Script {
    /// Whether one of its deeds is such.
    pub fn any(&self, such: impl Fn(&Act) -> bool) -> bool {
        self.acts.iter().any(|(_, act)| such(act))
    }
}
