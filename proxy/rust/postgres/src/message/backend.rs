//! Tags of the messages that a server sends.

use super::LONGEST;

pub(crate) const AUTHENTICATION: u8 = b'R';
pub(crate) const BACKEND_KEY_DATA: u8 = b'K';
pub(crate) const BIND_COMPLETE: u8 = b'2';
pub(crate) const CLOSE_COMPLETE: u8 = b'3';
pub(crate) const COMMAND_COMPLETE: u8 = b'C';
pub(crate) const COPY_DATA: u8 = b'd';
pub(crate) const COPY_DONE: u8 = b'c';
pub(crate) const COPY_IN_RESPONSE: u8 = b'G';
pub(crate) const COPY_OUT_RESPONSE: u8 = b'H';
pub(crate) const DATA_ROW: u8 = b'D';
pub(crate) const EMPTY_QUERY_RESPONSE: u8 = b'I';
pub(crate) const ERROR_RESPONSE: u8 = b'E';
pub(crate) const FUNCTION_CALL_RESPONSE: u8 = b'V';
pub(crate) const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
pub(crate) const NOTICE_RESPONSE: u8 = b'N';
pub(crate) const NOTIFICATION_RESPONSE: u8 = b'A';
pub(crate) const NO_DATA: u8 = b'n';
pub(crate) const PARAMETER_DESCRIPTION: u8 = b't';
pub(crate) const PARAMETER_STATUS: u8 = b'S';
pub(crate) const PARSE_COMPLETE: u8 = b'1';
pub(crate) const PORTAL_SUSPENDED: u8 = b's';
pub(crate) const READY_FOR_QUERY: u8 = b'Z';
pub(crate) const ROW_DESCRIPTION: u8 = b'T';

/// The longest message whose whole body is looked at.
const LONGEST_CONTROL: usize = 64 * 1024;

/// How long the body of a session's message may be; `None` for what a server that is past its
/// log-in, and not replicating, never sends.
pub(crate) fn longest_body(tag: u8) -> Option<usize> {
    match tag {
        COPY_DATA
        | DATA_ROW
        | ERROR_RESPONSE
        | NOTICE_RESPONSE
        | ROW_DESCRIPTION
        | PARAMETER_DESCRIPTION
        | FUNCTION_CALL_RESPONSE => Some(LONGEST - 4),
        COMMAND_COMPLETE
        | PARAMETER_STATUS
        | NOTIFICATION_RESPONSE
        | COPY_IN_RESPONSE
        | COPY_OUT_RESPONSE => Some(LONGEST_CONTROL),
        BIND_COMPLETE | CLOSE_COMPLETE | COPY_DONE | EMPTY_QUERY_RESPONSE | NO_DATA
        | PARSE_COMPLETE | PORTAL_SUSPENDED => Some(0),
        READY_FOR_QUERY => Some(1),
        _ => None,
    }
}

/// The same during log-in.
pub(crate) fn longest_login_body(tag: u8) -> Option<usize> {
    match tag {
        AUTHENTICATION | BACKEND_KEY_DATA | NEGOTIATE_PROTOCOL_VERSION => Some(LONGEST_CONTROL),
        ERROR_RESPONSE | NOTICE_RESPONSE | PARAMETER_STATUS => Some(LONGEST_CONTROL),
        _ => longest_body(tag),
    }
}
