//! What a client that can't come in is told.

use std::borrow::Cow;

use crate::texts::Fault;

/// The longest name that a server takes, MariaDB's: an error shows no more of one.
const LONGEST_NAME: usize = 80;

/// Not a response to a greeting, in the words of servers.
pub(super) fn bad_handshake() -> Fault {
    Fault::new(1043, b"08S01", "Bad handshake")
}

/// A server's word for a COM_CHANGE_USER that lacks something.
pub(super) fn unknown_command() -> Fault {
    Fault::new(1047, b"08S01", "Unknown command")
}

/// No greeting's response could ask for that, so no backend is logged in with it.
pub(super) fn collation(number: u16) -> Fault {
    let message = format!("The proxy doesn't support collation {number} in COM_CHANGE_USER");
    Fault::new(1235, b"42000", message)
}

pub(super) fn out_of_order() -> Fault {
    Fault::new(1156, b"08S01", "Got packets out of order")
}

pub(super) fn too_long() -> Fault {
    Fault::new(
        1153,
        b"08S01",
        "Got a packet bigger than 'max_allowed_packet' bytes",
    )
}

pub(super) fn stuffed() -> Fault {
    Fault::new(1043, b"08S01", "Bytes came behind a request for TLS")
}

/// In the words of servers, and what is lacking.
pub(super) fn too_old() -> Fault {
    Fault::new(
        1251,
        b"08004",
        "Client does not support authentication protocol requested by server; consider upgrading \
         MySQL client (the proxy needs PROTOCOL_41, SECURE_CONNECTION and PLUGIN_AUTH)",
    )
}

pub(super) fn tls_required() -> Fault {
    Fault::new(3159, b"HY000", "This RDS Proxy requires TLS connections.")
}

/// The same of a wrong password and of a user that doesn't exist. In servers it names the client's host,
/// which nobody knows here: as in RDS Proxy it is `%`, which stands for any.
pub(super) fn denied(user: &str, proof: &[u8]) -> Fault {
    // Some clients say that they have no password by a NUL alone.
    let using = match proof {
        b"" | b"\0" => "NO",
        _ => "YES",
    };
    let message = format!(
        "Access denied for user '{}'@'%' (using password: {using})",
        shown(user)
    );
    Fault::new(1045, b"28000", message)
}

fn shown(user: &str) -> Cow<'_, str> {
    match user.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => user.get(..end).unwrap_or_default().into(),
        None => user.into(),
    }
}
