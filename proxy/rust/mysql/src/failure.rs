//! What failed log-ins of backends say.

use dbproxy_engine::BackendFault;

/// What a number in a log-in says. Those of both servers mean the same, where both have them ("Server Error
/// Message Reference" in MySQL's manual, "MariaDB Error Codes" in MariaDB's knowledge base).
pub(crate) fn fault(code: u16) -> BackendFault {
    match code {
        // Access denied.
        1045 => BackendFault::WrongPassword,
        // Too many connections; of this user; more than a user may make.
        1040 | 1203 | 1226 => BackendFault::Full,
        // A bad handshake; an unknown command; a packet that is too big, out of order, unreadable.
        1043 | 1047 | 1153..=1158 | 1835 => BackendFault::Garbled,
        // No memory; no thread; no name of the client's host; that host is blocked, or not let in.
        1037 | 1038 | 1041 | 1135 | 1042 | 1129 | 1130 => BackendFault::Unavailable,
        // It shuts down; it is offline; it isn't available; the connection was killed or timed out.
        1053 | 3032 | 3168 | 3169 | 1927 | 1159..=1161 => BackendFault::Unavailable,
        // Denied without a password; the client is too old for the plugin, which may be missing here; the
        // password has expired; TLS is required; the account is locked (MySQL's number, MariaDB's).
        1698 | 1251 | 1275 | 1524 | 1820 | 1862 | 3159 | 3118 | 4151 => BackendFault::NotLetIn,
        _ => BackendFault::Refused,
    }
}

/// Whether it speaks of the proxy's own password: none of its clients' business.
pub(crate) fn is_of_password(code: u16) -> bool {
    matches!(code, 1045 | 1698)
}
