//! Builders for the messages that the proxy makes itself; each appends one message.

use super::{backend, frontend};

/// One message: its tag, its length word, and what `body` appends.
pub(crate) fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    unframed(out, body);
}

/// A message without a tag, as a connection begins.
pub(crate) fn unframed(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - at) as u32;
    if let Some(word) = out.get_mut(at..at + 4) {
        word.copy_from_slice(&length.to_be_bytes());
    }
}

/// A string and its NUL. A NUL inside would begin another field, so it ends the text.
pub(crate) fn text(out: &mut Vec<u8>, value: &[u8]) {
    let end = memchr::memchr(0, value).unwrap_or(value.len());
    out.extend_from_slice(value.get(..end).unwrap_or_default());
    out.push(0);
}

/// ReadyForQuery.
pub(crate) fn ready(out: &mut Vec<u8>, status: u8) {
    message(out, backend::READY_FOR_QUERY, |body| body.push(status));
}

/// CommandComplete.
pub(crate) fn complete(out: &mut Vec<u8>, tag: &str) {
    message(out, backend::COMMAND_COMPLETE, |body| {
        text(body, tag.as_bytes())
    });
}

/// A message of no body.
pub(crate) fn bare(out: &mut Vec<u8>, tag: u8) {
    message(out, tag, |_| ());
}

/// ParameterStatus.
pub(crate) fn parameter(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    message(out, backend::PARAMETER_STATUS, |body| {
        text(body, name.as_bytes());
        text(body, value);
    });
}

/// One of the Authentication messages.
pub(crate) fn authentication(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    message(out, backend::AUTHENTICATION, |out| {
        out.extend_from_slice(&kind.to_be_bytes());
        body(out);
    });
}

/// Query.
pub(crate) fn query(out: &mut Vec<u8>, sql: &[u8]) {
    message(out, frontend::QUERY, |body| text(body, sql));
}

/// Close of the unnamed statement.
pub(crate) fn close_unnamed(out: &mut Vec<u8>) {
    message(out, frontend::CLOSE, |body| {
        body.extend_from_slice(b"S\0");
    });
}

/// Parse. `types`: four bytes for each.
pub(crate) fn parse(out: &mut Vec<u8>, name: &[u8], sql: &[u8], types: &[u8]) {
    message(out, frontend::PARSE, |body| {
        text(body, name);
        text(body, sql);
        body.extend_from_slice(&((types.len() / 4) as u16).to_be_bytes());
        body.extend_from_slice(types);
    });
}

/// Describe or Close of a statement.
pub(crate) fn of_statement(out: &mut Vec<u8>, tag: u8, name: &[u8]) {
    message(out, tag, |body| {
        body.push(b'S');
        text(body, name);
    });
}

/// The same of a portal.
pub(crate) fn of_portal(out: &mut Vec<u8>, tag: u8, name: &[u8]) {
    message(out, tag, |body| {
        body.push(b'P');
        text(body, name);
    });
}

/// Bind of a statement without parameters; results are texts.
pub(crate) fn bind(out: &mut Vec<u8>, portal: &[u8], name: &[u8]) {
    message(out, frontend::BIND, |body| {
        text(body, portal);
        text(body, name);
        body.extend_from_slice(&[0; 6]);
    });
}

/// Execute, to the end.
pub(crate) fn execute(out: &mut Vec<u8>, portal: &[u8]) {
    message(out, frontend::EXECUTE, |body| {
        text(body, portal);
        body.extend_from_slice(&[0; 4]);
    });
}
