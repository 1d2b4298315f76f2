//! The head of COM_STMT_EXECUTE ("COM_STMT_EXECUTE" in MySQL's manual of its source): whose parameters follow, and
//! of which types they are, if the client doesn't rely on those that it has sent before.

use dbproxy_engine::Reader;

use super::capability::{Capabilities, QUERY_ATTRIBUTES};
use super::lenenc;

/// Flags that ask for a cursor.
pub const CURSOR: u8 = 0x07;
/// The number of parameters stands in the packet: attributes are among them.
const COUNTED: u8 = 0x08;
/// The types follow.
pub const TYPED: u8 = 1;
/// The flags, and how often it is executed.
const FIXED: usize = 5;

/// What it says of its parameters' types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Types<'a> {
    /// There are no parameters.
    None,
    /// So many parameters, and their types.
    Given(u64, &'a [u8]),
    /// So many parameters, of types that were sent before. The byte that says so stands at that place.
    Before(u64, usize),
}

/// What stands behind a statement's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Execution<'a> {
    /// A cursor is asked for.
    pub cursor: bool,
    /// What it says of types.
    pub types: Types<'a>,
    /// A bit for each parameter: it is NULL.
    pub nulls: &'a [u8],
}

/// Reads what stands behind a statement's number, as far as the types go; the statement has so many parameters.
/// `None`: it isn't there so far, or no client means it.
pub fn parse(body: &[u8], parameters: u16, agreed: Capabilities) -> Option<Execution<'_>> {
    let mut reader = Reader::new(body);
    let flags = reader.u8().ok()?;
    reader.take(FIXED - 1).ok()?;
    let attributes = agreed.has(QUERY_ATTRIBUTES);
    let execution = |types, nulls| Execution {
        cursor: flags & CURSOR != 0,
        types,
        nulls,
    };
    let counted = attributes && (flags & COUNTED != 0 || parameters > 0);
    let count = match counted {
        true => lenenc::integer(&mut reader)?,
        false => parameters.into(),
    };
    if count == 0 {
        return Some(execution(Types::None, &[]));
    }
    let nulls = usize::try_from(count.checked_add(7)? / 8).ok()?;
    let nulls = reader.take(nulls).ok()?;
    let at = body.len() - reader.len();
    if reader.u8().ok()? == 0 {
        return Some(execution(Types::Before(count, at), nulls));
    }
    let begin = reader.rest();
    for _ in 0..count {
        reader.take(2).ok()?;
        if attributes {
            lenenc::string(&mut reader)?;
        }
    }
    let types = begin.get(..begin.len() - reader.len())?;
    Some(execution(Types::Given(count, types), nulls))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Capabilities = super::super::capability::SSL;

    #[test]
    fn types_are_found_or_missed() {
        let none = parse(b"\x01\x01\0\0\0", 0, PLAIN).unwrap();
        assert_eq!((none.cursor, none.types), (true, Types::None));
        let given = parse(b"\0\x01\0\0\0\0\x01\x08\0\xfd\0rest", 2, PLAIN).unwrap();
        assert_eq!(given.types, Types::Given(2, b"\x08\0\xfd\0"));
        let before = parse(b"\0\x01\0\0\0\0\0\0rest", 9, PLAIN).unwrap();
        assert_eq!(before.types, Types::Before(9, 7));
    }

    #[test]
    fn attributes_are_counted_among_them() {
        let counted = b"\x08\x01\0\0\0\x02\0\x01\x08\0\0\xfd\0\x01arest";
        let found = parse(counted, 1, QUERY_ATTRIBUTES).unwrap();
        assert_eq!(found.types, Types::Given(2, b"\x08\0\0\xfd\0\x01a"));
        assert!(!found.cursor);
        let none = parse(b"\0\x01\0\0\0", 0, QUERY_ATTRIBUTES).unwrap();
        assert_eq!(none.types, Types::None);
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        let whole = b"\0\x01\0\0\0\0\x01\x08\0\xfd\0";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end], 2, PLAIN), None, "{end}");
        }
        let endless = b"\x08\x01\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(parse(endless, 1, QUERY_ATTRIBUTES), None);
    }
}
