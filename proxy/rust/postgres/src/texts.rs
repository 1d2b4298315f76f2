//! What a client is told, code and text, for every failure that is the proxy's own to report.
//!
//! Codes are those that drivers act on; texts are RDS Proxy's where it has one.

use dbproxy_engine::Failure;

use crate::message::error::{Fault, Report};

/// `ERROR` for a refused request, `FATAL` for the end of a session: the caller chooses by method.
pub(crate) fn failure(failure: Failure, fatal: bool, out: &mut Vec<u8>) {
    let limited;
    let (code, message) = match failure {
        Failure::BorrowTimeout => ("53300", "Timed-out waiting to acquire database connection."),
        Failure::NoReader => ("08006", "The proxy has no READ_ONLY target."),
        Failure::TooManyClients(limit) => {
            limited =
                format!("The maximum number of client connections to the proxy exceeded {limit}.");
            ("53300", limited.as_str())
        }
        Failure::TooManyOfUser => ("53300", "too many connections for this role"),
        Failure::Rate(limit) => {
            limited = format!("Rate of connection to proxy exceeded {limit}.");
            ("53300", limited.as_str())
        }
        Failure::EarLost => (
            "57P01",
            "The connection that listened for this session was lost; notifications may have been too.",
        ),
        Failure::TooMuchHeard => (
            "57P01",
            "More notifications came in while this session was busy than the proxy keeps.",
        ),
        Failure::ForeignText => (
            "57P01",
            "A notification can't be told in the client_encoding that this session has set.",
        ),
        Failure::Shutdown => (
            "57P01",
            "terminating connection due to administrator command",
        ),
        Failure::IdleTimeout => (
            "57P05",
            "terminating connection due to idle-session timeout",
        ),
        Failure::IdleInTransaction => (
            "25P03",
            "terminating connection due to idle-in-transaction timeout",
        ),
        Failure::Lifetime => (
            "57P01",
            "The client connection reached its maximum lifetime.",
        ),
        Failure::Cancelled => ("57014", "canceling statement due to user request"),
        Failure::LoginTimeout => ("08006", "The log-in was not finished in time."),
        Failure::BackendUnavailable => (
            "08006",
            "The proxy could not log in to the database. Its log says why.",
        ),
        Failure::ProtocolViolation => ("08P01", "invalid frontend message"),
    };
    let fault = if fatal {
        Fault::fatal(code, message)
    } else {
        Fault::error(code, message)
    };
    fault.write(out);
}

/// What a server says when a role or a database has all the connections that it may have.
pub(crate) fn too_many_for(what: &str, name: &str, out: &mut Vec<u8>) {
    let message = format!("too many connections for {what} \"{name}\"");
    Fault::fatal("53300", &message).write(out);
}

/// The settings that a session has are refused by the server: what it says, and why it was asked.
pub(crate) fn settings_refused(report: &Report<'_>, out: &mut Vec<u8>) {
    Fault {
        hint: "The proxy set this session's settings again on another database connection.",
        ..Fault::error(
            &String::from_utf8_lossy(report.code),
            &String::from_utf8_lossy(report.message),
        )
    }
    .write(out);
}

/// A statement can't be parsed on this connection under the settings that it was parsed under.
pub(crate) fn apart(name: &[u8], out: &mut Vec<u8>) {
    let message = format!(
        "prepared statement \"{}\" was prepared under other settings and can't be prepared so here",
        String::from_utf8_lossy(name)
    );
    Fault {
        hint: "The proxy has changed this session's database connection. Prepare the statement again.",
        ..Fault::error("0A000", &message)
    }
    .write(out);
}

/// What a server says of a message that has more in it than it should.
pub(crate) const INVALID_FORMAT: Fault<'static> = Fault {
    severity: "ERROR",
    code: "08P01",
    message: "invalid message format",
    hint: "",
};

/// A transaction that was lost and surely not committed.
pub(crate) const LOST: Fault<'static> = Fault {
    severity: "ERROR",
    code: "40001",
    message: "The database connection was lost; the transaction was not committed.",
    hint: "The transaction may be retried on this connection.",
};

/// What each statement gets until the client has rolled back.
pub(crate) const ABORTED: Fault<'static> = Fault {
    severity: "ERROR",
    code: "25P02",
    message: "current transaction is aborted, commands ignored until end of transaction block",
    hint: "",
};

/// A commit may have happened.
pub(crate) const OUTCOME_UNKNOWN: Fault<'static> = Fault {
    severity: "FATAL",
    code: "08007",
    message: "The database connection was lost; whether the transaction was committed is unknown.",
    hint: "Find out from the data before the transaction is retried.",
};

/// Session state was lost with the backend.
pub(crate) const PINNED_LOST: Fault<'static> = Fault {
    severity: "FATAL",
    code: "57P01",
    message: "The database connection was lost, and with it the state of this session.",
    hint: "Connect again.",
};

/// TLS is required (RDS Proxy's text).
pub(crate) const TLS_REQUIRED: Fault<'static> = Fault {
    severity: "FATAL",
    code: "28000",
    message: "This RDS Proxy requires TLS connections.",
    hint: "",
};
