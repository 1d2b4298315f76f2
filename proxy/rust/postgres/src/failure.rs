//! What failed log-ins of backends say.

use dbproxy_engine::{BackendFailure, BackendFault};

/// What an SQLSTATE in a log-in says; while a server starts, stops or is full, its classes are 53, 57 and
/// 08 (PostgreSQL's documentation, appendix A).
pub(crate) fn fault(sqlstate: &[u8]) -> BackendFault {
    match sqlstate {
        b"28P01" => BackendFault::WrongPassword,
        b"53300" => BackendFault::Full,
        b"08P01" => BackendFault::Garbled,
        [b'2', b'8', ..] => BackendFault::NotLetIn,
        [b'5', b'3' | b'7', ..] | [b'0', b'8', ..] => BackendFault::Unavailable,
        _ => BackendFault::Refused,
    }
}

/// A failure that the proxy finds.
pub(crate) fn failed(sqlstate: &str, message: impl Into<String>) -> BackendFailure {
    BackendFailure {
        code: sqlstate.to_owned(),
        ..BackendFailure::found(fault(sqlstate.as_bytes()), message)
    }
}
