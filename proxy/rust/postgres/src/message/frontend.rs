//! Tags of the messages that a client sends.

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

/// PostgreSQL's bound for messages that carry names only.
const SMALL: usize = 10_000;
/// A SCRAM message or a password; nothing in them needs more.
const LONGEST_PASSWORD: usize = 4096;

/// How long the body of a session's message may be; `None` for what no client may send.
pub(crate) fn longest_body(tag: u8) -> Option<usize> {
    match tag {
        QUERY | PARSE | BIND | FUNCTION_CALL | COPY_DATA => Some(LONGEST - 4),
        DESCRIBE | EXECUTE | CLOSE | COPY_FAIL => Some(SMALL),
        SYNC | FLUSH | COPY_DONE | TERMINATE => Some(0),
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
