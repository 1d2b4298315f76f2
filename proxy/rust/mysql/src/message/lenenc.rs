//! Length-encoded integers and strings ("Protocol::LengthEncodedInteger" and
//! "Protocol::LengthEncodedString" in MySQL's manual of its source).

use dbproxy_engine::Reader;

/// Stands in a row's text form where a value is NULL; begins a LOCAL INFILE request.
pub const NULL: u8 = 0xfb;
const TWO_BYTES: u8 = 0xfc;
const THREE_BYTES: u8 = 0xfd;
const EIGHT_BYTES: u8 = 0xfe;

/// The next integer. One that is written longer than it needs is read all the same, as servers and
/// clients do.
pub fn integer(reader: &mut Reader<'_>) -> Option<u64> {
    match reader.u8().ok()? {
        TWO_BYTES => reader.u16_le().ok().map(u64::from),
        THREE_BYTES => reader.u24_le().ok().map(u64::from),
        EIGHT_BYTES => reader.u64_le().ok(),
        NULL | 0xff => None,
        small => Some(u64::from(small)),
    }
}

/// The next string.
pub fn string<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = integer(reader)?;
    reader.take(usize::try_from(length).ok()?).ok()
}

/// Appends an integer in as few bytes as it needs.
pub fn put_integer(out: &mut Vec<u8>, value: u64) {
    let (mark, width) = match value {
        0..=0xfa => (None, 1),
        0xfb..=0xffff => (Some(TWO_BYTES), 2),
        0x1_0000..=0xff_ffff => (Some(THREE_BYTES), 3),
        _ => (Some(EIGHT_BYTES), 8),
    };
    out.extend(mark);
    out.extend(value.to_le_bytes().iter().take(width));
}

/// Appends a string.
pub fn put_string(out: &mut Vec<u8>, value: &[u8]) {
    put_integer(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_integer(&mut out, value);
        out
    }

    #[test]
    fn an_integer_takes_as_few_bytes_as_it_needs() {
        assert_eq!(put(0xfa), [0xfa]);
        assert_eq!(put(0xfb), [0xfc, 0xfb, 0]);
        assert_eq!(put(0xffff), [0xfc, 0xff, 0xff]);
        assert_eq!(put(0x1_0000), [0xfd, 0, 0, 1]);
        assert_eq!(put(0x100_0000), [0xfe, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(put(u64::MAX), [&[0xfe][..], &[0xff; 8]].concat());
    }

    #[test]
    fn what_is_no_integer_or_runs_over_is_refused() {
        for bytes in [
            &b""[..],
            b"\xfb",
            b"\xff",
            b"\xfc\x01",
            b"\xfd\x01\x01",
            b"\xfe",
        ] {
            assert_eq!(integer(&mut Reader::new(bytes)), None);
        }
        for bytes in [&b"\x02a"[..], b"\xfe\xff\xff\xff\xff\xff\xff\xff\xffa"] {
            assert_eq!(string(&mut Reader::new(bytes)), None);
        }
        assert_eq!(string(&mut Reader::new(b"\xfc\x01\0ab")), Some(&b"a"[..]));
    }
}
