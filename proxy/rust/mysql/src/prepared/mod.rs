//! Prepared statements that no client owns: what one is, which of them a backend has, and what a client's numbers
//! stand for.
//!
//! A client's statement is prepared on whichever backend it holds, and every client whose statement is the same uses
//! it there. Two are the same if a server would treat them alike for ever: text, database, and the settings under
//! which the text was read. A server reads a text again when a table is another by then, MySQL under the settings of
//! that moment: so each serves only sessions whose settings are the same, too. Left out of that are settings which
//! count for nothing but running it (`Settings::shapes_as`).
//!
//! While a cursor of a client's statement is open, or parameters of it were sent ahead, the server's is nobody else's:
//! it is taken out of what the backend shares, and the backend is held.
//!
//! `session::preparing` and `session::executing` rewrite the commands; [`Table`] belongs to the `Link`, [`Numbers`] to
//! the session.

mod numbers;
mod table;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::link::Settings;
use crate::session::judge::Judged;

pub(crate) use numbers::{Known, Numbers, Own, Types};
pub(crate) use table::{Key, Table};

/// A statement.
#[derive(Debug)]
pub(crate) struct Statement {
    hash: u64,
    /// `None`: it is of the backend that its session is bound to, and of no other.
    pub text: Option<Box<[u8]>>,
    /// The database that it was prepared in.
    pub database: Option<Arc<[u8]>>,
    /// What was set then.
    pub settings: Arc<Settings>,
    /// What executing it may do.
    pub judged: Judged,
}

impl Statement {
    pub(crate) fn new(
        text: Option<&[u8]>,
        database: Option<Arc<[u8]>>,
        settings: Arc<Settings>,
        judged: Judged,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        (text, &database).hash(&mut hasher);
        Self {
            hash: hasher.finish(),
            text: text.map(Box::from),
            database,
            settings,
            judged,
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.text.is_some()
    }

    /// Bytes that it takes, about.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.text.as_ref().map_or(0, |text| text.len())
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || self.hash == other.hash
                && self.text == other.text
                && self.database == other.database
                && self.settings.shapes_as(&other.settings)
    }
}

impl Eq for Statement {}
