//! EOF, what ends column definitions and rows where OK doesn't ("Protocol::EOF_Packet" in MySQL's manual of its
//! source).

use dbproxy_engine::Reader;

/// Its first byte. That of a row can be the same, where its first value has 16 MiB or more.
pub const TAG: u8 = 0xfe;
/// All of it.
const LENGTH: usize = 5;

/// An EOF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Eof {
    /// How many warnings there are.
    pub warnings: u16,
    /// Status flags.
    pub status: u16,
}

/// Reads an EOF; `None` to a row that begins like one.
pub fn parse(payload: &[u8]) -> Option<Eof> {
    let mut reader = Reader::new(payload);
    reader.u8().ok().filter(|tag| *tag == TAG)?;
    let warnings = reader.u16_le().ok()?;
    let status = reader.u16_le().ok()?;
    (payload.len() == LENGTH).then_some(Eof { warnings, status })
}

impl Eof {
    /// Appends the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(TAG);
        out.extend_from_slice(&self.warnings.to_le_bytes());
        out.extend_from_slice(&self.status.to_le_bytes());
    }
}
