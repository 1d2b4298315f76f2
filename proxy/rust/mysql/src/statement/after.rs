//! What a statement leaves of the warnings of the one before, if it has none and no error itself.
//!
//! MySQL takes them away with every statement but those that tell of them; MariaDB with those that use a table, and
//! no others.

use super::class::{After, Kind};
use super::tokens::is;

/// What was seen of one statement.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Seen {
    /// It tells of the statement before, and does nothing else.
    pub diagnoses: bool,
    /// It is explained or shown.
    pub explained: bool,
    /// It reads a table for certain.
    pub reads: bool,
    /// It may use one.
    pub may_read: bool,
}

/// MariaDB keeps warnings behind these, where no table is read.
const WITHOUT_TABLES: [&str; 9] = [
    "begin",
    "commit",
    "do",
    "release",
    "rollback",
    "savepoint",
    "select",
    "set",
    "use",
];

impl After {
    /// Of one statement.
    pub(super) fn of(seen: Seen, lead: &[u8], kind: Kind, mariadb: bool) -> Self {
        match () {
            () if seen.diagnoses => Self::Kept,
            () if !mariadb => Self::Cleared,
            () if seen.explained => Self::Unsure,
            () if seen.reads || kind == Kind::Write => Self::Cleared,
            () if !seen.may_read && is(lead, &WITHOUT_TABLES) => Self::Kept,
            () => Self::Unsure,
        }
    }
}
