//! OK: a command is done, or rows have ended ("Protocol::OK_Packet" in MySQL's manual of its source).

use dbproxy_engine::Reader;

use super::capability::{Capabilities, SESSION_TRACK};
use super::lenenc;
use super::status::SESSION_STATE_CHANGED;

/// The first byte of what answers a command.
pub const TAG: u8 = 0;
/// The first byte of what ends rows, where DEPRECATE_EOF was agreed on.
pub const END_OF_ROWS: u8 = 0xfe;

/// An OK of the protocol since 4.1.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Ok<'a> {
    /// Rows changed, or found.
    pub affected: u64,
    /// What LAST_INSERT_ID() is, where the statement made one.
    pub last_insert_id: u64,
    /// Status flags. SESSION_STATE_CHANGED is set where `changes` are.
    pub status: u16,
    /// How many warnings there are.
    pub warnings: u16,
    /// A text for people.
    pub info: &'a [u8],
    /// What changed in the session, for [`super::session_track`].
    pub changes: Option<&'a [u8]>,
}

/// Reads an OK, whose first byte must be `tag`.
pub fn parse(payload: &[u8], tag: u8, agreed: Capabilities) -> Option<Ok<'_>> {
    let mut reader = Reader::new(payload);
    reader.u8().ok().filter(|first| *first == tag)?;
    let mut ok = Ok {
        affected: lenenc::integer(&mut reader)?,
        last_insert_id: lenenc::integer(&mut reader)?,
        status: reader.u16_le().ok()?,
        warnings: reader.u16_le().ok()?,
        ..Ok::default()
    };
    // Servers leave out an empty text with nothing behind it; its length they never do, whatever the
    // manual says of who doesn't track sessions.
    if !reader.is_empty() {
        ok.info = lenenc::string(&mut reader)?;
    }
    if agreed.has(SESSION_TRACK) && ok.status & SESSION_STATE_CHANGED != 0 {
        ok.changes = Some(lenenc::string(&mut reader)?);
    }
    Some(ok)
}

impl Ok<'_> {
    /// Appends the payload, without what changed for a client that doesn't track that.
    pub fn write(&self, tag: u8, agreed: Capabilities, out: &mut Vec<u8>) {
        let changes = self.changes.filter(|_| agreed.has(SESSION_TRACK));
        let status = match changes {
            Some(_) => self.status | SESSION_STATE_CHANGED,
            None => self.status & !SESSION_STATE_CHANGED,
        };
        out.push(tag);
        lenenc::put_integer(out, self.affected);
        lenenc::put_integer(out, self.last_insert_id);
        out.extend_from_slice(&status.to_le_bytes());
        out.extend_from_slice(&self.warnings.to_le_bytes());
        if !self.info.is_empty() || changes.is_some() {
            lenenc::put_string(out, self.info);
        }
        if let Some(changes) = changes {
            lenenc::put_string(out, changes);
        }
    }
}
