//! Column definitions ("Protocol::ColumnDefinition41" in MySQL's manual of its source).
//!
//! The proxy forwards those of databases; it makes some for what it answers itself. MariaDB's extended types
//! are never agreed on, so no column has them.

use dbproxy_engine::Reader;

use super::lenenc;

/// A catalog's name, the same everywhere.
const CATALOG: &[u8] = b"def";
/// The length of the fields behind the names.
const FIXED: u64 = 12;

/// The type of 32-bit integers.
pub const LONG: u8 = 0x03;
/// The type of 64-bit integers.
pub const LONGLONG: u8 = 0x08;
/// The type of texts.
pub const VAR_STRING: u8 = 0xfd;
/// The collation of what is no text: `binary`.
pub const BINARY: u16 = 63;

/// A column.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Column<'a> {
    /// The database of its table.
    pub schema: &'a [u8],
    /// Its table, as the statement calls it.
    pub table: &'a [u8],
    /// Its table's own name.
    pub org_table: &'a [u8],
    /// Its name, as the statement calls it.
    pub name: &'a [u8],
    /// Its own name.
    pub org_name: &'a [u8],
    /// The collation of its texts.
    pub collation: u16,
    /// How long its values are at most.
    pub length: u32,
    /// The type of its values.
    pub kind: u8,
    /// Whether it may be NULL, is a key, and more.
    pub flags: u16,
    /// Digits behind the point.
    pub decimals: u8,
}

/// Reads a column definition. A default value, which follows in the answer to COM_FIELD_LIST, is left.
pub fn parse(payload: &[u8]) -> Option<Column<'_>> {
    let mut reader = Reader::new(payload);
    let _catalog = lenenc::string(&mut reader)?;
    let mut column = Column {
        schema: lenenc::string(&mut reader)?,
        table: lenenc::string(&mut reader)?,
        org_table: lenenc::string(&mut reader)?,
        name: lenenc::string(&mut reader)?,
        org_name: lenenc::string(&mut reader)?,
        ..Column::default()
    };
    lenenc::integer(&mut reader).filter(|length| *length == FIXED)?;
    column.collation = reader.u16_le().ok()?;
    column.length = reader.u32_le().ok()?;
    column.kind = reader.u8().ok()?;
    column.flags = reader.u16_le().ok()?;
    column.decimals = reader.u8().ok()?;
    reader.take(2).ok()?;
    Some(column)
}

impl Column<'_> {
    /// Appends the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        let names = [
            CATALOG,
            self.schema,
            self.table,
            self.org_table,
            self.name,
            self.org_name,
        ];
        for name in names {
            lenenc::put_string(out, name);
        }
        lenenc::put_integer(out, FIXED);
        out.extend_from_slice(&self.collation.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.push(self.kind);
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&[self.decimals, 0, 0]);
    }
}
