//! Packets: three bytes of length, one of sequence, a body. A payload of 0xFFFFFF bytes and more goes on
//! in the packets behind, the last of which is shorter ("MySQL Packets" in MySQL's manual of its source,
//! "0-packet" in MariaDB's knowledge base).
//!
//! Sequence numbers begin at 0 with each command and rise by one with each packet of either side. They
//! are of one leg: what the proxy adds or drops is known to that leg alone.

use std::borrow::Cow;

use dbproxy_engine::Reader;

/// Length and sequence.
pub const HEADER: usize = 4;
/// The length of a body that another packet continues.
pub const FULL: usize = 0xff_ffff;
/// The longest payload that either side may send: the most of `max_allowed_packet`.
pub const LONGEST: usize = 1 << 30;

/// What the first bytes of a packet say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peek {
    /// The header isn't complete.
    NeedMore,
    /// A packet.
    Packet {
        /// Its number.
        sequence: u8,
        /// Header and body.
        total: usize,
        /// Its payload goes on in the packet behind.
        continues: bool,
    },
}

/// Reads a header.
#[inline]
pub fn peek(input: &[u8]) -> Peek {
    let mut reader = Reader::new(input);
    let (Ok(length), Ok(sequence)) = (reader.u24_le(), reader.u8()) else {
        return Peek::NeedMore;
    };
    let length = length as usize;
    Peek::Packet {
        sequence,
        total: HEADER + length,
        continues: length == FULL,
    }
}

/// The body of the packet that begins at `rest`, as far as it has come.
#[inline]
pub fn body(rest: &[u8], total: usize) -> &[u8] {
    rest.get(HEADER..total.min(rest.len())).unwrap_or_default()
}

/// A payload, gathered from its packets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gathered<'a> {
    /// It isn't there whole.
    NeedMore,
    /// It is.
    Payload {
        /// Without the headers; copied only if there were several.
        body: Cow<'a, [u8]>,
        /// All its packets with their headers.
        total: usize,
        /// The number of the packet that comes next.
        next: u8,
    },
    /// It is longer than it may be.
    TooLong,
    /// A packet has another number than is its turn.
    OutOfOrder,
}

/// Gathers a payload of `longest` bytes at most, whose first packet must have the number `sequence`.
/// Both are judged by the headers, before anybody waits for a body.
pub fn payload(input: &[u8], sequence: u8, longest: usize) -> Gathered<'_> {
    let (mut rest, mut next) = (input, sequence);
    let (mut length, mut total) = (0, 0);
    loop {
        let Peek::Packet {
            sequence,
            total: one,
            continues,
        } = peek(rest)
        else {
            return Gathered::NeedMore;
        };
        if sequence != next {
            return Gathered::OutOfOrder;
        }
        length += one - HEADER;
        if length > longest {
            return Gathered::TooLong;
        }
        let Some(behind) = rest.get(one..) else {
            return Gathered::NeedMore;
        };
        (rest, next, total) = (behind, next.wrapping_add(1), total + one);
        if !continues {
            break;
        }
    }
    Gathered::Payload {
        body: bodies(input.get(..total).unwrap_or_default()),
        total,
        next,
    }
}

/// What stands in packets that are there whole.
fn bodies(packets: &[u8]) -> Cow<'_, [u8]> {
    let mut gathered = Vec::new();
    let mut rest = packets;
    while let Peek::Packet { total, .. } = peek(rest) {
        if total == packets.len() {
            return Cow::Borrowed(body(rest, total));
        }
        gathered.extend_from_slice(body(rest, total));
        rest = rest.get(total..).unwrap_or_default();
    }
    Cow::Owned(gathered)
}

/// Appends the packets of the payload that `build` appends, the first one numbered `sequence`. Answers the
/// number of the packet that comes next.
pub fn packets(out: &mut Vec<u8>, sequence: u8, build: impl FnOnce(&mut Vec<u8>)) -> u8 {
    let at = out.len();
    out.extend_from_slice(&[0; HEADER]);
    build(out);
    let length = out.len().saturating_sub(at + HEADER);
    if length < FULL {
        if let Some(place) = out.get_mut(at..at + HEADER) {
            place.copy_from_slice(&header(length, sequence));
        }
        return sequence.wrapping_add(1);
    }
    let long = out.split_off(at);
    split(out, sequence, long.get(HEADER..).unwrap_or_default())
}

/// Appends a payload that needs several packets.
fn split(out: &mut Vec<u8>, sequence: u8, payload: &[u8]) -> u8 {
    let (mut rest, mut next) = (payload, sequence);
    loop {
        let (head, tail) = rest.split_at_checked(FULL).unwrap_or((rest, &[]));
        out.extend_from_slice(&header(head.len(), next));
        out.extend_from_slice(head);
        next = next.wrapping_add(1);
        if head.len() < FULL {
            return next;
        }
        rest = tail;
    }
}

/// A packet's header.
pub fn header(length: usize, sequence: u8) -> [u8; HEADER] {
    let [low, middle, high, _] = (length as u32).to_le_bytes();
    [low, middle, high, sequence]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(length: usize, sequence: u8) -> Vec<u8> {
        let mut out = b"before".to_vec();
        packets(&mut out, sequence, |out| out.resize(out.len() + length, 7));
        out.split_off(6)
    }

    #[test]
    fn a_payload_comes_back_whatever_its_length() {
        for (length, count) in [
            (0, 1),
            (1, 1),
            (FULL - 1, 1),
            (FULL, 2),
            (FULL + 1, 2),
            (2 * FULL, 3),
        ] {
            let wire = framed(length, 254);
            assert_eq!(wire.len(), length + HEADER * count);
            match payload(&wire, 254, LONGEST) {
                Gathered::Payload { body, total, next } => {
                    assert!(body.len() == length && body.iter().all(|byte| *byte == 7));
                    assert_eq!(total, wire.len());
                    assert_eq!(next, 254u8.wrapping_add(count as u8));
                    assert_eq!(matches!(body, Cow::Borrowed(_)), count == 1);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_payload_is_waited_for_to_its_last_packet() {
        let wire = framed(FULL, 0);
        for end in [0, 3, 4, 5, FULL, FULL + 4, FULL + 7] {
            assert_eq!(payload(&wire[..end], 0, LONGEST), Gathered::NeedMore);
        }
        assert_eq!(body(b"\x05\0\0\0ab", 9), b"ab");
    }

    #[test]
    fn what_is_too_long_or_out_of_turn_is_known_by_its_header() {
        assert_eq!(payload(b"\x05\0\0\0", 0, 4), Gathered::TooLong);
        assert_eq!(payload(b"\x05\0\0\0", 0, 5), Gathered::NeedMore);
        assert_eq!(payload(b"\x05\0\0\x01", 0, 5), Gathered::OutOfOrder);
        let mut wire = framed(FULL, 0);
        wire[FULL + HEADER + 3] = 2;
        assert_eq!(payload(&wire, 0, LONGEST), Gathered::OutOfOrder);
        assert_eq!(payload(&framed(FULL + 1, 0), 0, FULL), Gathered::TooLong);
    }
}
