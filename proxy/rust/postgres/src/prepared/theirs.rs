//! Statements that stand on a backend under their client's own name: for good, and then the client is
//! bound to it, or for the time of one request, which speaks of them in SQL.

use std::sync::Arc;

use super::Shared;
use crate::expect::Fit;
use crate::message::backend;

/// What a text does with a client's names, mostly if it does nothing else; the server does it with what stands
/// there for them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Naming {
    DeallocatesAll,
    Deallocates(Arc<[u8]>),
    Prepares,
    /// Among others, by the numbers of its statements, it deallocates these.
    Among(Box<[(u16, Vec<u8>)]>),
    /// It uses one that can't be made: the client is told this.
    Misses(Arc<[u8]>),
}

/// A message about one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Theirs {
    /// It makes one that is the client's own from there on; `done` says that it is done.
    Own { name: Arc<[u8]>, done: u8 },
    /// A Parse of one that is there for one request.
    Lend,
    /// Its Describe: is it still what the client was told?
    Compare(Arc<Shared>),
    /// A Describe of what the client has made, which is to outlive what is on the backend.
    Learn(Arc<[u8]>, Arc<Shared>),
    /// The Close of one that was there for one request.
    PutAway,
}

impl Theirs {
    /// Whether a message of this tag answers it.
    pub(crate) fn fits(&self, tag: u8) -> Fit {
        let done = match self {
            Self::Own { done, .. } => *done == tag,
            Self::Lend => tag == backend::PARSE_COMPLETE,
            Self::PutAway => tag == backend::CLOSE_COMPLETE,
            Self::Compare(_) | Self::Learn(..) => {
                if tag == backend::PARAMETER_DESCRIPTION {
                    return Fit::Part;
                }
                matches!(tag, backend::ROW_DESCRIPTION | backend::NO_DATA)
            }
        };
        if done {
            Fit::Whole
        } else {
            Fit::Not
        }
    }
}

/// What a backend has under its client's own name for the time of one request.
#[derive(Debug)]
pub(crate) struct Lent {
    pub name: Arc<[u8]>,
    pub state: LentState,
}

impl Lent {
    /// Whether a text of the client's makes it, which is on its way or done.
    pub(crate) fn is_made_by_client(&self) -> bool {
        use LentState::{Learned, Prepared, Preparing};
        matches!(self.state, Preparing | Prepared | Learned)
    }

    /// Whether the client was told that it has this, and it can't be made again.
    pub(crate) fn is_only_here(&self) -> bool {
        self.state == LentState::Prepared
    }
}

/// How far that is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LentState {
    /// It is being made.
    Making,
    /// It is there.
    There,
    /// It can't be made, or is another by now: the client is told this.
    Refused(Arc<[u8]>),
    /// The client's own text makes it.
    Preparing,
    /// That has made it.
    Prepared,
    /// And it is known what it is.
    Learned,
}
