//! What a client is told, number and text, for every failure that is the proxy's own to report.
//!
//! Numbers are those that drivers act on; numbers and texts are RDS Proxy's where it has one.

use std::borrow::Cow;

use dbproxy_engine::Failure;

use crate::message::error::Report;
use crate::message::frame;

/// An error of the proxy's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) code: u16,
    pub(crate) state: [u8; 5],
    pub(crate) message: Cow<'static, str>,
}

impl Fault {
    pub(crate) fn new(code: u16, state: &[u8; 5], message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            state: *state,
            message: message.into(),
        }
    }

    /// Appends the packet. Answers the number of the one that comes next.
    pub(crate) fn write(&self, sequence: u8, out: &mut Vec<u8>) -> u8 {
        self.packet(Some(self.state), sequence, out)
    }

    /// The same for who doesn't know yet what is spoken, or speaks the protocol before 4.1: they read no
    /// SQLSTATE.
    pub(crate) fn write_bare(&self, sequence: u8, out: &mut Vec<u8>) -> u8 {
        self.packet(None, sequence, out)
    }

    fn packet(&self, state: Option<[u8; 5]>, sequence: u8, out: &mut Vec<u8>) -> u8 {
        let report = Report {
            code: self.code,
            state,
            message: self.message.as_bytes(),
        };
        frame::packets(out, sequence, |out| report.write(out))
    }
}

/// What a failure is to a client of MySQL.
pub(crate) fn failure(failure: Failure) -> Fault {
    match failure {
        Failure::BorrowTimeout => Fault::new(
            9501,
            b"HY000",
            "Timed-out waiting to acquire database connection",
        ),
        Failure::NoReader => Fault::new(1105, b"HY000", "The proxy has no READ_ONLY target."),
        Failure::TooManyClients(limit) => Fault::new(
            1040,
            b"HY000",
            format!("Number simultaneous connections exceeded ({limit})"),
        ),
        Failure::TooManyOfUser => Fault::new(
            1203,
            b"42000",
            "The user already has more than 'max_user_connections' active connections",
        ),
        Failure::Rate(limit) => Fault::new(
            1040,
            b"HY000",
            format!("Connections rate limit exceeded ({limit})"),
        ),
        Failure::Shutdown => Fault::new(1053, b"08S01", "Server shutdown in progress"),
        Failure::IdleTimeout => Fault::new(
            4031,
            b"HY000",
            "The client was disconnected by the server because of inactivity.",
        ),
        Failure::IdleInTransaction => Fault::new(
            4031,
            b"HY000",
            "The client was disconnected by the server because of inactivity in a transaction.",
        ),
        Failure::Lifetime => Fault::new(
            1053,
            b"08S01",
            "The client connection reached its maximum lifetime.",
        ),
        Failure::Cancelled => Fault::new(1317, b"70100", "Query execution was interrupted"),
        Failure::LoginTimeout => Fault::new(1159, b"08S01", "The log-in was not finished in time."),
        Failure::BackendUnavailable => Fault::new(
            1105,
            b"HY000",
            "The proxy could not log in to the database. Its log says why.",
        ),
        Failure::ProtocolViolation => Fault::new(1835, b"HY000", "Malformed communication packet"),
        // Nobody listens in this protocol.
        Failure::EarLost | Failure::TooMuchHeard | Failure::ForeignText => {
            Fault::new(1105, b"HY000", "Unknown error")
        }
    }
}
