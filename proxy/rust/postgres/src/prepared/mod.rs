//! Prepared statements that no client owns: what one is, which of them a backend has, and what a
//! client's names stand for.
//!
//! A client's named statement is prepared under a name of ours on whichever backend the client holds,
//! and every client whose statement is the same uses it there. Two are the same if a server would
//! treat them alike for ever: text, types of all parameters, columns of the result and, if its literals
//! depend on settings, those that it was parsed under. A server analyses a statement again when the
//! search path or a table is another by then, and plans it, under the settings of that moment: so
//! each of ours serves only sessions of the same settings. PostgreSQL fixes types and columns when
//! it parses and goes by them after a DDL; that is why a client's own Parse always goes to the
//! server (only it knows what the text means now), why what it made of it is asked for by a Describe
//! of ours before the statement is shared, and why nobody is served by what was parsed before its
//! own Parse was answered.
//!
//! `session::named` rewrites the messages; [`Table`] belongs to the `Link`, [`Names`] to the session.

mod age;
mod names;
mod shared;
mod table;
mod theirs;

use std::sync::Arc;

pub(crate) use age::{Parsed, Tick};
pub(crate) use names::{same, significant, Known, Names, SIGNIFICANT};
pub(crate) use shared::{Rows, Shaped, Shared};
pub(crate) use table::{Now, Table};
pub(crate) use theirs::{Lent, LentState, Naming, Theirs};

/// What names of ours begin with.
pub(crate) const PREFIX: &[u8] = b"dbproxy:";

/// The number of a statement that is there only to be refused as a duplicate, or deallocated.
pub(crate) const EMPTY: u64 = 0;

/// What is called so that puts settings in place for a Parse: statement, portal and savepoint.
pub(crate) const ASIDE: &str = "dbproxy:aside";

/// The name of ours with that number. None is given twice on one backend.
pub(crate) fn name(number: u64) -> String {
    format!("dbproxy:{number}")
}

/// Whether a client's name looks like ours.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(PREFIX)
}

/// A statement whose Parse is forwarded under a name of ours.
#[derive(Debug)]
pub(crate) struct Coming {
    pub number: u64,
    /// The client's name that it is for, unless the client has it already and only the backend hasn't.
    pub name: Option<Arc<[u8]>>,
    pub shared: Arc<Shared>,
    /// What waits for it is a Describe of a statement whose parameters are known: a server tells those
    /// before it finds that it can't make it any more.
    pub tells: bool,
    /// What the session has set that it is parsed for.
    pub now: Now,
    pub sent: Tick,
}

/// What becomes of a name; `None` where it is closed.
pub(crate) type Change = (Arc<[u8]>, Option<Arc<Coming>>);

/// Why a use of a statement is refused, where no server does it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The same text has other columns by now.
    Changed,
    /// It is given so many parameters, which aren't its own number.
    Supplies(u16),
    /// It can't be parsed here under the settings that it was parsed under.
    Apart,
    /// The server has said this of it.
    Said(Arc<[u8]>),
}

/// A name in a forwarded message that was put in place of the client's.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    /// `None`: one that stands for nothing.
    pub number: Option<u64>,
    pub theirs: Arc<[u8]>,
    /// The client's statement, where the server's answer isn't about it: the number is another's, or
    /// it is refused.
    pub instead_of: Option<Arc<Shared>>,
    pub refusal: Option<Refusal>,
}

impl Alias {
    pub(crate) fn of(number: u64, theirs: &Arc<[u8]>) -> Self {
        Self {
            number: Some(number),
            theirs: Arc::clone(theirs),
            instead_of: None,
            refusal: None,
        }
    }

    pub(crate) fn of_nobody(theirs: &[u8]) -> Self {
        Self {
            number: None,
            theirs: theirs.into(),
            instead_of: None,
            refusal: None,
        }
    }

    pub(crate) fn refused(theirs: &[u8], shared: Arc<Shared>, refusal: Refusal) -> Self {
        Self {
            refusal: Some(refusal),
            ..Self::of_nobody(theirs).instead_of(shared)
        }
    }

    pub(crate) fn instead_of(self, shared: Arc<Shared>) -> Self {
        Self {
            instead_of: Some(shared),
            ..self
        }
    }

    /// What the server knows it by.
    pub(crate) fn ours(&self) -> Vec<u8> {
        match self.number {
            Some(number) => name(number).into_bytes(),
            None => [PREFIX, b"?", &*self.theirs].concat(),
        }
    }
}
