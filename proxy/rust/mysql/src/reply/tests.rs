//! Answers that MySQL 8.0.31 and MariaDB 10.11.19 gave (`captured.txt`: the server, what ends rows, a name, the
//! shape, the bytes), and some that only a few servers give, or none.

use proptest::prelude::*;

use crate::message::capability::SESSION_TRACK;

use super::*;

const OK: &str = "0700000100000002000000";
const FILE: Shape = Shape::Results;

struct Captured {
    name: String,
    shape: Shape,
    agreed: Capabilities,
    /// The number of its first packet.
    first: u8,
    bytes: Vec<u8>,
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|digit| *digit != ' ').collect();
    let pairs = digits.chunks(2);
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    pairs.map(byte).collect()
}

fn captured() -> Vec<Captured> {
    let lines = include_str!("captured.txt").lines();
    lines
        .map(|line| {
            let [server, end, name, shape, bytes] = line
                .split(' ')
                .collect::<Vec<_>>()
                .try_into()
                .expect("five words");
            let bytes = hex(bytes);
            Captured {
                name: format!("{server} {end} {name}"),
                shape: match shape {
                    "Plain" => Shape::Plain,
                    "Prepared" => Shape::Prepared,
                    "Rows" => Shape::Rows,
                    "Text" => Shape::Text,
                    "File" => FILE,
                    _ => Shape::Results,
                },
                agreed: SESSION_TRACK.set(DEPRECATE_EOF, end == "ok"),
                first: bytes[3],
                bytes,
            }
        })
        .collect()
}

/// What a reader of pieces makes of an answer.
#[derive(Default, PartialEq, Eq, Debug)]
struct Read {
    looks: Vec<String>,
    ended: bool,
    used: usize,
    broken: bool,
}

/// Feeds it so much more at a time as `cuts` say, over and over.
fn read(mut reply: Reply, bytes: &[u8], cuts: &[usize]) -> Read {
    let mut read = Read::default();
    let mut there = 0;
    let mut cuts = cuts.iter().cycle();
    while there < bytes.len() {
        there = (there + cuts.next().unwrap().max(&1)).min(bytes.len());
        while read.used <= there {
            let look = reply.look(&bytes[read.used..there]);
            let total = match &look {
                Look::NeedMore => break,
                Look::File { total, .. } => *total,
                Look::Part { total, last } | Look::Said { total, last, .. } => {
                    read.ended = *last;
                    *total
                }
                Look::OutOfStep => {
                    read.broken = true;
                    return read;
                }
            };
            read.looks.push(format!("{look:?}"));
            read.used += total;
        }
    }
    read.ended &= read.used <= there;
    read
}

#[test]
fn what_servers_answered_ends_where_it_ends() {
    for one in captured() {
        let reply = || Reply::new(one.shape, one.agreed, one.first);
        let whole = read(reply(), &one.bytes, &[usize::MAX / 2]);
        let file = one.name.ends_with(" file");
        assert!(
            !whole.broken && whole.used == one.bytes.len(),
            "{}",
            one.name
        );
        assert!(whole.ended != file, "{}: {whole:?}", one.name);
        assert_eq!(whole, read(reply(), &one.bytes, &[1]), "{}", one.name);
        // Nothing may stand behind it, and nothing be missing of it.
        let longer = [&one.bytes[..], &hex("010000ff00")].concat();
        assert!(
            read(reply(), &longer, &[usize::MAX / 2]).broken,
            "{}",
            one.name
        );
        for end in 0..one.bytes.len() {
            assert!(!read(reply(), &one.bytes[..end], &[usize::MAX / 2]).ended);
        }
    }
}

#[test]
fn a_packet_out_of_its_turn_is_noticed_wherever_it_stands() {
    for one in captured() {
        let mut at = 0;
        while let Peek::Packet { total, .. } = frame::peek(&one.bytes[at..]) {
            let mut bytes = one.bytes.clone();
            bytes[at + 3] = bytes[at + 3].wrapping_add(1);
            let reply = Reply::new(one.shape, one.agreed, one.first);
            let read = read(reply, &bytes, &[usize::MAX / 2]);
            assert!(read.broken && read.used == at, "{} at {at}", one.name);
            at += total;
        }
    }
}

fn results(agreed: Capabilities) -> Reply {
    Reply::new(Shape::Results, agreed, 1)
}

/// Reads what must be an answer, and answers what was said last.
fn ends(reply: Reply, bytes: &[u8]) -> String {
    let read = read(reply, bytes, &[usize::MAX / 2]);
    assert!(read.ended && read.used == bytes.len(), "{read:?}");
    read.looks.last().unwrap().clone()
}

/// MySQL without DEPRECATE_EOF says only in front of a CALL's OUT row that an OK follows.
#[test]
fn an_ok_follows_out_parameters() {
    let row = "0100000101 050000020364656661 05000003fe00000a10 0200000400000500 0005fe00000200";
    let bytes = hex(&format!("{row} 0700000600000002000000"));
    let said = ends(results(SESSION_TRACK), &bytes);
    assert!(said.contains("Ok("), "{said}");
}

#[test]
fn a_cursor_has_no_rows() {
    let bytes = hex("0100000101 050000020364656661 05000003fe00004200");
    ends(results(SESSION_TRACK), &bytes);
}

/// A row whose first value has 16 MiB and more begins like an EOF.
#[test]
fn a_long_row_is_no_end() {
    for agreed in [SESSION_TRACK, SESSION_TRACK.with(DEPRECATE_EOF)] {
        let old = !agreed.has(DEPRECATE_EOF);
        let mut bytes = hex("0100000101 050000020364656661");
        let mut sequence = 3;
        if old {
            bytes.extend(hex("05000003fe00000200"));
            sequence += 1;
        }
        let sequence = frame::packets(&mut bytes, sequence, |out| {
            out.push(eof::TAG);
            out.resize(out.len() + FULL + 5, 0xfe);
        });
        let end: &[u8] = match old {
            true => b"\xfe\0\0\x02\0",
            false => b"\xfe\0\0\x02\0\0\0",
        };
        frame::packets(&mut bytes, sequence, |out| out.extend_from_slice(end));
        ends(results(agreed), &bytes);
    }
}

#[test]
fn an_error_may_stand_among_columns_and_rows() {
    let error = |sequence: &str| format!("090000{sequence}ff2605233730313030");
    for agreed in [SESSION_TRACK, SESSION_TRACK.with(DEPRECATE_EOF)] {
        ends(
            results(agreed),
            &hex(&format!("0100000102 050000020364656661 {}", error("03"))),
        );
    }
    let rows = format!("0100000101 050000020364656661 020000030131 {}", error("04"));
    ends(results(SESSION_TRACK.with(DEPRECATE_EOF)), &hex(&rows));
}

#[test]
fn what_can_not_stand_there_is_out_of_step() {
    let both = [SESSION_TRACK, SESSION_TRACK.with(DEPRECATE_EOF)];
    for (shape, bytes) in [
        (Shape::Results, "00000001"),
        (Shape::Results, "01000001fe"),
        (Shape::Results, "020000010100"),
        // Columns that end too early; rows that end like none.
        (Shape::Results, "0100000101 05000002fe00000200"),
        (
            Shape::Results,
            "0100000101 050000020364656661 06000003fe0000020000",
        ),
        (Shape::Plain, "0100000101"),
        (Shape::Plain, "0300000100ff00"),
        (Shape::Prepared, "0b00000100010000000000000000 00"),
        // Longer than anything that is read whole.
        (Shape::Plain, "0100100100"),
        (Shape::Results, "ffffff0100"),
    ] {
        for agreed in both {
            let reply = Reply::new(shape, agreed, 1);
            let read = read(reply, &hex(bytes), &[usize::MAX / 2]);
            assert!(read.broken, "{shape:?} {bytes} {read:?}");
        }
    }
}

#[test]
fn nothing_comes_while_a_file_is_awaited() {
    let mut reply = results(SESSION_TRACK);
    let asks = hex("02000001fb78");
    assert_eq!(reply.look(&asks), Look::File { total: 6, next: 2 });
    assert_eq!(
        reply.clone().look(&hex("0700000200000002000000")),
        Look::OutOfStep
    );
    reply.had_file(4);
    assert!(matches!(
        reply.look(&hex("0700000400000002000000")),
        Look::Said { last: true, .. }
    ));
}

#[test]
fn numbers_begin_anew_behind_255() {
    let mut reply = Reply::new(Shape::Results, SESSION_TRACK.with(DEPRECATE_EOF), 254);
    for (bytes, next) in [
        ("010000fe01", 255),
        ("050000ff0364656661", 0),
        ("020000000131", 1),
    ] {
        assert!(matches!(reply.look(&hex(bytes)), Look::Part { .. }));
        assert_eq!(reply.next(), next);
    }
}

#[test]
fn every_command_has_a_shape_or_none() {
    assert_eq!(Shape::of(command::QUERY), Some(Shape::Results));
    assert_eq!(Shape::of(command::STMT_CLOSE), None);
    assert_eq!(Shape::of(command::QUIT), None);
    ends(Reply::new(Shape::Plain, SESSION_TRACK, 1), &hex(OK));
}

proptest! {
    #[test]
    fn pieces_are_read_like_the_whole(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cuts in prop::collection::vec(1usize..40, 1..8),
    ) {
        let all = captured();
        let one = which.get(&all);
        let mut bytes = one.bytes.clone();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let reply = || Reply::new(one.shape, one.agreed, one.first);
        let whole = read(reply(), &bytes, &[usize::MAX / 2]);
        prop_assert_eq!(whole, read(reply(), &bytes, &cuts));
    }
}
