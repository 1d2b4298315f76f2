//! What a client is told, number and text, of what becomes of its requests.

use std::borrow::Cow;

use dbproxy_engine::Failure;

use crate::message::command;
use crate::message::error::Report;
use crate::texts::Fault;

/// A transaction, or a statement, that was lost and surely not committed.
pub(super) fn lost() -> Fault {
    Fault::new(
        1213,
        b"40001",
        "The database connection was lost; the transaction was not committed. Try restarting it",
    )
}

/// A commit may have happened.
pub(super) fn outcome_unknown() -> Fault {
    Fault::new(
        1158,
        b"08S01",
        "The database connection was lost; whether the transaction was committed is unknown. \
         Find out from the data before it is retried",
    )
}

/// Session state was lost with the backend.
pub(super) fn pinned_lost() -> Fault {
    Fault::new(
        1053,
        b"08S01",
        "The database connection was lost, and with it the state of this session. Connect again",
    )
}

/// A server's own words for a packet with a wrong number.
pub(super) fn out_of_order() -> Fault {
    Fault::new(1156, b"08S01", "Got packets out of order")
}

/// A server's own words for a packet that lacks something.
pub(super) fn malformed() -> Fault {
    crate::texts::failure(Failure::ProtocolViolation)
}

/// A server's own words for a command that it doesn't know.
pub(super) fn unknown_command() -> Fault {
    Fault::new(1047, b"08S01", "Unknown command")
}

/// A command that is not for clients of a proxy, or not yet.
pub(super) fn unsupported(what: &'static str) -> Fault {
    let text: Cow<'static, str> = format!("The proxy doesn't support '{what}'").into();
    Fault::new(1235, b"42000", text)
}

/// It was asked for an id that was made in a transaction, and went with that.
pub(super) fn id_lost() -> Fault {
    Fault::new(
        1235,
        b"42000",
        "The proxy can't tell LAST_INSERT_ID() any more: its transaction was lost with the connection. \
         The next INSERT makes another one",
    )
}

/// It was asked for what the statement before has left, which another connection has run.
pub(super) fn left_elsewhere() -> Fault {
    Fault::new(
        1235,
        b"42000",
        "The proxy can't tell this any more: the statement before ran on another connection. \
         From here on this session keeps its connection",
    )
}

/// The server refuses what the session has: what it says.
pub(super) fn refused(report: &Report<'_>) -> Fault {
    let text = String::from_utf8_lossy(report.message).into_owned();
    Fault::new(report.code, &report.state.unwrap_or(*b"HY000"), text)
}

/// A command is too short, in each server's words.
pub(super) fn too_short(mariadb: bool) -> Fault {
    let text = match mariadb {
        true => "Malformed communication packet",
        false => "Malformed communication packet.",
    };
    Fault::new(1835, b"HY000", text)
}

/// A statement that isn't there, in each server's words.
pub(super) fn no_statement(kind: u8, number: u32, mariadb: bool) -> Fault {
    let by = match kind {
        _ if !mariadb => "mysql_stmt_precheck",
        command::STMT_FETCH => "mysqld_stmt_fetch",
        command::STMT_RESET => "mysqld_stmt_reset",
        _ => "mysqld_stmt_execute",
    };
    let text = format!("Unknown prepared statement handler ({number}) given to {by}");
    Fault::new(1243, b"HY000", text)
}

/// Rows are asked for of a cursor that isn't there, in each server's words.
pub(super) fn no_cursor(number: u32, mariadb: bool) -> Fault {
    let end = if mariadb { "" } else { "." };
    let text = format!("The statement ({number}) has no open cursor{end}");
    Fault::new(1421, b"HY000", text)
}

/// Types were never sent.
pub(super) fn no_types() -> Fault {
    Fault::new(1210, b"HY000", "Incorrect arguments to mysqld_stmt_execute")
}

/// Types would have to be put into an execution that has no room for them.
pub(super) fn unsupported_types() -> Fault {
    Fault::new(
        1235,
        b"42000",
        "The proxy can't execute this here: of parameters of 16 MiB the types must be sent along",
    )
}

/// A statement is to be prepared in its database by a session that would not find out of it again.
pub(super) fn no_database() -> Fault {
    Fault::new(1046, b"3D000", "No database selected")
}
