//! The messages of the protocol: packets, and what stands in those that the proxy looks at or makes.
//!
//! The log-in machines of both legs read and write the messages of a handshake; a session looks at
//! commands, and at the first and the last packets of responses. Rows are forwarded unparsed.
//!
//! A parser gets a whole payload ([`frame::payload`]) and answers `None` to what no peer means. One that
//! is longer than its fields is read as far as they go where the protocol has grown at that end before,
//! and refused elsewhere. A builder appends a payload; [`frame::packets`] frames it.

pub mod auth_more_data;
pub mod auth_switch;
pub mod capability;
pub mod change_user;
pub mod column;
pub mod command;
pub mod eof;
pub mod error;
pub mod execution;
pub mod frame;
pub mod greeting;
pub mod handshake_response;
pub mod lenenc;
pub mod ok;
pub mod prepared;
pub mod result_set;
pub mod session_track;
pub mod ssl_request;
pub mod status;

/// The bytes before a NUL, or all where there is none: some servers and clients leave the last one out.
pub(crate) fn to_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A string and its NUL. A NUL inside would begin another field, so it ends the text.
pub(crate) fn text(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(to_nul(value));
    out.push(0);
}
