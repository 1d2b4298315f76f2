//! What a text of SQL statements means for sharing backends: does it leave state behind that the
//! client relies on (then the session pins), or that others must not see (then the backend is
//! dirty); does it change data; may it commit.
//!
//! Called by the session for each Query and Parse that it forwards. A full parser isn't needed: the
//! first words decide most, names in front of a parenthesis the rest. Wherever the text isn't
//! understood for certain, the answer is a pin, never a guess.

mod act;
mod block;
mod channel;
mod class;
mod classify;
mod digest;
mod effects;
mod functions;
mod lexer;
mod literals;
#[cfg(feature = "measuring")]
pub mod measure;
mod memory;
mod scan;
mod setting;
mod sources;
mod spoken;
mod syntax;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use act::{Act, Acts, Argument, Script, Value};
pub(crate) use class::Class;
pub(crate) use classify::{classify, Dialect};
pub(crate) use digest::digest;
pub(crate) use effects::{Effects, State};
pub(crate) use literals::Reading;
pub use memory::Memory;
pub(crate) use spoken::{deallocations, is_plain, spoken, Spoken};
