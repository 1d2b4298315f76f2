//! What a text of SQL statements means for sharing backends: does it leave state behind that the client
//! relies on (then it is followed, or the session pins), or that others must not see (then the backend is
//! dirty); does it ask for what was left; does it change data; may it commit.
//!
//! Called by the session for each COM_QUERY and COM_STMT_PREPARE that it forwards. A full parser isn't needed:
//! the first words decide most, names in front of a parenthesis the rest. Wherever the text isn't understood for
//! certain, the answer is a pin, never a guess. What a text means depends on the server that reads it, down to
//! the version in its comments: see `dialect`.
//!
//! What is said here of the servers was asked of MySQL 8.0.31 and MariaDB 10.11.

mod act;
mod after;
mod assign;
mod class;
mod classify;
mod dialect;
mod digest;
mod effects;
mod functions;
mod leads;
mod lexer;
mod memory;
mod quoting;
mod scan;
mod sources;
mod syntax;
#[cfg(test)]
mod tests;
mod tokens;

pub use act::{Act, Acts, Deed, Ending, Freed, Literal, Script, Shown, Value, Victim, Written};
pub use class::{After, Asks, Class, ENDS};
pub use classify::classify;
pub use dialect::{Charset, Dialect};
pub use digest::{digest, user_variables};
pub use effects::{Effects, Path, State};
pub use memory::Memory;
