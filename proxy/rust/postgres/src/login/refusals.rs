//! What a client that can't come in is told, and what it is told of options that don't exist.

use dbproxy_engine::CloseReason;

use crate::credential::LoginProgress;

use super::{close, Refused, Step};
use crate::auth::scram_server::Refusal;
use crate::message::error::Fault;
use crate::message::{backend, build};
use crate::startup::Unusable;

pub(super) fn violation(message: &str, out: &mut Vec<u8>) -> Step {
    Fault::fatal("08P01", message).write(out);
    (0, close(CloseReason::ProtocolViolation))
}

/// The protocol's documents speak of a minor version; servers send, and libpq reads, the whole one.
pub(super) fn negotiate(spoken: u32, unknown_options: &[&[u8]], out: &mut Vec<u8>) {
    build::message(out, backend::NEGOTIATE_PROTOCOL_VERSION, |out| {
        out.extend_from_slice(&spoken.to_be_bytes());
        out.extend_from_slice(&(unknown_options.len() as u32).to_be_bytes());
        for option in unknown_options {
            build::text(out, option);
        }
    });
}

/// In PostgreSQL's words.
pub(super) fn refuse_version(version: u32, out: &mut Vec<u8>) -> Option<LoginProgress> {
    let (major, minor) = (version >> 16, version & 0xffff);
    let message =
        format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2");
    Fault::fatal("0A000", &message).write(out);
    close(CloseReason::UnsupportedStartup)
}

pub(super) fn refuse_startup(unusable: Unusable, out: &mut Vec<u8>) -> Option<LoginProgress> {
    let (code, message, reason) = match unusable {
        Unusable::Malformed => (
            "08P01",
            "invalid startup packet layout",
            CloseReason::ProtocolViolation,
        ),
        Unusable::NotUtf8 => (
            "22021",
            "startup parameters must be UTF-8",
            CloseReason::UnsupportedStartup,
        ),
        Unusable::NoUser => (
            "28000",
            "A user name is missing from the connection startup packet. Provide a user name for \
             this connection.",
            CloseReason::UnsupportedStartup,
        ),
        Unusable::Replication => (
            "0A000",
            "Feature not supported: RDS Proxy currently doesn't support streaming replication mode.",
            CloseReason::UnsupportedStartup,
        ),
    };
    Fault::fatal(code, message).write(out);
    close(reason)
}

/// In PostgreSQL's words.
pub(super) fn refuse_password(refused: &Refused, out: &mut Vec<u8>) -> Option<LoginProgress> {
    let text: String;
    let (code, message) = match &refused.refusal {
        Refusal::WrongPassword => {
            // The client is told the same of both; only the log tells them apart.
            text = format!(
                "password authentication failed for user \"{}\"",
                refused.user
            );
            ("28P01", text.as_str())
        }
        Refusal::BindingDenied => ("28000", "SCRAM channel binding negotiation error"),
        Refusal::ChannelBinding => ("28000", "SCRAM channel binding check failed"),
        Refusal::Mechanism => (
            "08P01",
            "client selected an invalid SASL authentication mechanism",
        ),
        Refusal::BindingType(kind) => {
            text = format!("unsupported SCRAM channel-binding type \"{kind}\"");
            ("08P01", text.as_str())
        }
        Refusal::AuthorizationIdentity => (
            "0A000",
            "client uses authorization identity, but it is not supported",
        ),
        Refusal::Extension => ("0A000", "client requires an unsupported SCRAM extension"),
        Refusal::Malformed => ("08P01", "malformed SCRAM message"),
    };
    Fault::fatal(code, message).write(out);
    close(match &refused.refusal {
        Refusal::WrongPassword if !refused.known => CloseReason::UnknownUser,
        Refusal::WrongPassword | Refusal::BindingDenied | Refusal::ChannelBinding => {
            CloseReason::AuthenticationFailed
        }
        _ => CloseReason::ProtocolViolation,
    })
}
