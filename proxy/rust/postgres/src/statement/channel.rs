//! Reads LISTEN and UNLISTEN for the channel that they name (`gram.y`, ListenStmt and UnlistenStmt).

use std::sync::Arc;

use super::act::{Act, LONGEST_NAME};
use super::lexer::Lexer;
use super::tokens::Tokens;

/// The channel that a `LISTEN` names, if that is certain: other letters than ASCII depend on encodings.
pub(super) fn listen(lexer: &Lexer<'_>) -> Option<Act> {
    channel(Tokens::of(lexer)).map(Act::Listen)
}

/// What an `UNLISTEN` names.
pub(super) fn unlisten(lexer: &Lexer<'_>) -> Option<Act> {
    let mut tokens = Tokens::of(lexer);
    if tokens.symbol(b'*') {
        return tokens.end().then_some(Act::UnlistenAll);
    }
    channel(tokens).map(Act::Unlisten)
}

fn channel(mut tokens: Tokens<'_>) -> Option<Arc<[u8]>> {
    let mut name = tokens.identifier()?;
    let certain = tokens.end() && name.is_ascii() && !name.is_empty();
    certain.then(|| {
        name.truncate(LONGEST_NAME);
        name.into_bytes().into()
    })
}
