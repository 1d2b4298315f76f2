//! What a backend owes an answer for.

use crate::reply::Shape;
use crate::session::judge::Judged;

/// One command that was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Owed {
    pub shape: Shape,
    /// The number of the packet that answers it first.
    pub first: u8,
    pub of: Of,
}

/// Whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Of {
    Client(Request),
    /// Its answer is for nobody else.
    Ours(Ours),
}

/// A command of the client's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub command: u8,
    /// The client's number of the statement that it names.
    pub statement: u32,
    pub judged: Judged,
}

/// Why the proxy asks something of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ours {
    /// What the client has, before its request: that waits until it is there.
    Replay,
    /// The same, of what its request doesn't depend on: only what comes later does.
    Place,
    /// Which warnings and errors the client's last statement had.
    Warnings,
    /// How many.
    Counts,
    /// A statement that its request executes: that waits until it is prepared.
    Prepare,
    /// What is set around that, and set back again.
    Aside,
    /// Whether something has changed that wasn't told.
    Changes,
    /// The same of what was left by a write that has said it has changed something.
    LeftOver,
    /// The same, and what LAST_INSERT_ID() is.
    InsertId,
    /// Which collation the connection has.
    Collation,
    /// All that a reset is.
    Reset,
}
