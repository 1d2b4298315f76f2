//! How a response begins ("Text Resultset" under "COM_QUERY Response" in MySQL's manual of its source).

use dbproxy_engine::Reader;

use super::{error, lenenc, ok};

/// The most columns that a result can have by the protocol; servers stop at 4096.
const MOST_COLUMNS: u64 = 0xffff;

/// What the first payload of a response says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head<'a> {
    /// An OK ([`ok::parse`]): there are no rows.
    Ok,
    /// An ERR ([`error::parse`]).
    Error,
    /// The server asks for this file of the client's.
    LocalInfile(&'a [u8]),
    /// As many column definitions follow.
    Columns(u16),
}

/// Reads the first payload of a response to COM_QUERY or COM_STMT_EXECUTE.
pub fn head(payload: &[u8]) -> Option<Head<'_>> {
    match payload.split_first()? {
        (&ok::TAG, _) => Some(Head::Ok),
        (&error::TAG, _) => Some(Head::Error),
        (&lenenc::NULL, file) => Some(Head::LocalInfile(file)),
        _ => {
            let mut reader = Reader::new(payload);
            let count = lenenc::integer(&mut reader)?;
            let fits = (1..=MOST_COLUMNS).contains(&count) && reader.is_empty();
            fits.then_some(Head::Columns(count as u16))
        }
    }
}

/// Appends the payload that announces `columns`.
pub fn write(columns: u16, out: &mut Vec<u8>) {
    lenenc::put_integer(out, columns.into());
}
