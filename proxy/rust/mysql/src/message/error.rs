//! ERR: what a server, or the proxy, can't do ("Protocol::ERR_Packet" in MySQL's manual of its source).

use dbproxy_engine::Reader;

use super::capability::{Capabilities, MARIADB_PROGRESS};

/// Its first byte.
pub const TAG: u8 = 0xff;
/// Stands in front of an SQLSTATE.
const MARK: u8 = b'#';
/// The code of what isn't an error, but a report of progress.
const PROGRESS: u16 = 0xffff;

/// An error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report<'a> {
    /// The number.
    pub code: u16,
    /// The SQLSTATE. Before the client has said what it can do, servers leave it out.
    pub state: Option<[u8; 5]>,
    /// The text.
    pub message: &'a [u8],
}

/// Reads an error; `None` also to a report of progress, where these were agreed on.
pub fn parse(payload: &[u8], agreed: Capabilities) -> Option<Report<'_>> {
    let mut reader = Reader::new(payload);
    reader.u8().ok().filter(|tag| *tag == TAG)?;
    let code = reader.u16_le().ok()?;
    if code == PROGRESS && agreed.has(MARIADB_PROGRESS) {
        return None;
    }
    let rest = reader.rest();
    let (state, message) = match state(rest) {
        Some((state, message)) => (Some(state), message),
        None => (None, rest),
    };
    Some(Report {
        code,
        state,
        message,
    })
}

/// The SQLSTATE in front, if there is one, and what stands behind it.
fn state(rest: &[u8]) -> Option<([u8; 5], &[u8])> {
    let (state, message) = rest.strip_prefix(&[MARK])?.split_first_chunk::<5>()?;
    Some((*state, message))
}

impl Report<'_> {
    /// Appends the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(TAG);
        out.extend_from_slice(&self.code.to_le_bytes());
        if let Some(state) = self.state {
            out.push(MARK);
            out.extend_from_slice(&state);
        }
        out.extend_from_slice(self.message);
    }
}
