//! What answers COM_STMT_PREPARE first ("COM_STMT_PREPARE_OK" in MySQL's manual of its source).

use dbproxy_engine::Reader;

use super::ok;

/// A statement is prepared; its parameters' and columns' definitions follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// What executions call it.
    pub id: u32,
    /// How many columns its rows have.
    pub columns: u16,
    /// How many parameters it takes.
    pub parameters: u16,
    /// How many warnings there are.
    pub warnings: u16,
}

/// Reads it.
pub fn parse(payload: &[u8]) -> Option<Prepared> {
    let mut reader = Reader::new(payload);
    reader.u8().ok().filter(|tag| *tag == ok::TAG)?;
    let prepared = Prepared {
        id: reader.u32_le().ok()?,
        columns: reader.u16_le().ok()?,
        parameters: reader.u16_le().ok()?,
        warnings: {
            reader.take(1).ok()?;
            reader.u16_le().ok()?
        },
    };
    reader.is_empty().then_some(prepared)
}

impl Prepared {
    /// Appends the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(ok::TAG);
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.columns.to_le_bytes());
        out.extend_from_slice(&self.parameters.to_le_bytes());
        out.push(0);
        out.extend_from_slice(&self.warnings.to_le_bytes());
    }
}
