//! The messages that a client sends: their tags, how long they may be, and what stands in them.
//!
//! One may be well framed and yet broken inside. A server refuses that unread and goes on, so its
//! frame is all that the session needs of it.

use dbproxy_engine::Reader;

use super::LONGEST;

pub(crate) const QUERY: u8 = b'Q';
pub(crate) const PARSE: u8 = b'P';
pub(crate) const BIND: u8 = b'B';
pub(crate) const DESCRIBE: u8 = b'D';
pub(crate) const EXECUTE: u8 = b'E';
pub(crate) const CLOSE: u8 = b'C';
pub(crate) const SYNC: u8 = b'S';
pub(crate) const FLUSH: u8 = b'H';
pub(crate) const FUNCTION_CALL: u8 = b'F';
pub(crate) const COPY_DATA: u8 = b'd';
pub(crate) const COPY_DONE: u8 = b'c';
pub(crate) const COPY_FAIL: u8 = b'f';
pub(crate) const TERMINATE: u8 = b'X';
/// PasswordMessage, SASLInitialResponse and SASLResponse; only during log-in.
pub(crate) const PASSWORD: u8 = b'p';

/// PostgreSQL's bound for messages that carry names only, or nothing.
const SMALL: usize = 10_000 - 4;
/// A SCRAM message or a password; nothing in them needs more.
const LONGEST_PASSWORD: usize = 4096;

/// How long the body of a session's message may be; `None` for what no client may send.
pub(crate) fn longest_body(tag: u8) -> Option<usize> {
    match tag {
        QUERY | PARSE | BIND | FUNCTION_CALL | COPY_DATA => Some(LONGEST - 4),
        DESCRIBE | EXECUTE | CLOSE | COPY_FAIL => Some(SMALL),
        SYNC | FLUSH | COPY_DONE | TERMINATE => Some(SMALL),
        _ => None,
    }
}

/// The same for the messages of a log-in.
pub(crate) fn longest_login_body(tag: u8) -> Option<usize> {
    match tag {
        PASSWORD => Some(LONGEST_PASSWORD),
        TERMINATE => Some(0),
        _ => None,
    }
}

/// Whether a server makes anything of a whole message of a session. One that it doesn't is refused
/// before any of it counts.
pub(crate) fn understood(tag: u8, body: &[u8]) -> bool {
    match tag {
        QUERY => text(body).is_some(),
        FUNCTION_CALL => function(body).is_some(),
        PARSE => statement(body).is_some(),
        BIND => names(body).is_some(),
        DESCRIBE | CLOSE => named(body).is_some(),
        EXECUTE => {
            let mut reader = Reader::new(body);
            reader.cstr().is_ok() && reader.len() == 4
        }
        FLUSH | SYNC => body.is_empty(),
        _ => true,
    }
}

/// The text of a Query: all of its body but the NUL that ends it.
pub(crate) fn text(body: &[u8]) -> Option<&[u8]> {
    let text = body.strip_suffix(b"\0")?;
    memchr::memchr(0, text).is_none().then_some(text)
}

/// Which function a FunctionCall calls.
pub(crate) fn function(body: &[u8]) -> Option<u32> {
    Reader::new(body).u32().ok()
}

/// The text of a Parse.
pub(crate) fn statement(body: &[u8]) -> Option<&[u8]> {
    parsed(body).map(|(_name, text, _types)| text)
}

/// Name and text of a Parse, and the types of its parameters, of which there are as many as it says,
/// four bytes for each.
pub(crate) fn parsed(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut reader = Reader::new(body);
    let (name, text) = (reader.cstr().ok()?, reader.cstr().ok()?);
    let count = reader.u16().ok()?;
    (reader.len() == 4 * usize::from(count)).then_some((name, text, reader.rest()))
}

/// The portal's and the statement's name in a Bind. What stands behind them depends on the statement.
pub(crate) fn names(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(body);
    Some((reader.cstr().ok()?, reader.cstr().ok()?))
}

/// How many parameters a Bind brings, as far as that has come.
pub(crate) fn parameters(body: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(body);
    reader.cstr().ok()?;
    reader.cstr().ok()?;
    let formats = reader.u16().ok()?;
    reader.take(2 * usize::from(formats)).ok()?;
    reader.u16().ok()
}

/// Kind (`S` or `P`) and name in a Describe or Close.
pub(crate) fn named(body: &[u8]) -> Option<(u8, &[u8])> {
    let mut reader = Reader::new(body);
    let kind = reader.u8().ok().filter(|kind| b"SP".contains(kind))?;
    let name = reader.cstr().ok()?;
    reader.is_empty().then_some((kind, name))
}
