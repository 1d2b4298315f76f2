//! However a stream is cut, the same comes of it; whatever a server says, nothing breaks.

use proptest::prelude::*;

use crate::message::capability::*;
use crate::message::command;

use super::pair::{bare, hex, packet, query, Pair, MARIADB, MYSQL};
use super::*;

/// Of the first statement that was prepared, which is the server's first, too.
fn execute() -> Vec<u8> {
    packet(0, b"\x17\x01\0\0\0\0\x01\0\0\0")
}

fn close() -> Vec<u8> {
    packet(0, b"\x19\x01\0\0\0")
}

/// What each side says, in turns, and how it went on the whole.
fn dialogue() -> Vec<(Vec<u8>, Vec<u8>)> {
    let ok = packet(1, &hex("00000002000000"));
    let changed = hex("1f0000010000000a400000001600110974696d655f7a6f6e65062b30353a3030020131");
    let rows = hex("0100000101 050000020364656661 020000030131 07000004fe000002000000");
    let more = hex("0100000201 050000030364656661 020000040131 07000005fe000002000000");
    vec![
        (query("SELECT a FROM t"), rows.clone()),
        (query("SET time_zone='+05:00'; SELECT 1"), [&changed[..], &more].concat()),
        (query("BEGIN"), packet(1, &hex("00000003000000"))),
        (bare(command::PING), packet(1, &hex("00000003000000"))),
        (query("COMMIT"), ok.clone()),
        (query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"), packet(1, b"\xfbx")),
        ([packet(2, b"1\n"), packet(3, b"")].concat(), packet(4, &hex("00020002000000"))),
        (packet(0, b"\x16SELECT 1"), hex("0c000001000100000001000000000000 17000002036465660000000131000c3f0002000000088100000000")),
        (execute(), rows.clone()),
        ([close(), query("SELECT a FROM t")].concat(), rows),
        (query("SELECT 1"), packet(1, &hex("ff1e04 23 3432533232 61"))),
    ]
}

fn run(cuts: &[usize]) -> (Vec<u8>, Vec<u8>, Vec<Release>) {
    let mut pair = Pair::new(
        MYSQL,
        DEPRECATE_EOF.with(LOCAL_FILES).with(MULTI_STATEMENTS),
    );
    let (mut server, mut client) = (Vec::new(), Vec::new());
    let mut cuts = cuts.iter().cycle();
    for (said, answered) in dialogue() {
        for (bytes, from_client) in [(said, true), (answered, false)] {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (head, tail) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
                rest = tail;
                match from_client {
                    true => server.extend(pair.says(head)),
                    false => client.extend(pair.answers(head)),
                }
                server.append(&mut pair.server);
                client.append(&mut pair.client);
            }
        }
    }
    (client, server, pair.released)
}

#[test]
fn a_dialogue_goes_through() {
    let (client, server, released) = run(&[usize::MAX]);
    let answers: Vec<u8> = dialogue()
        .into_iter()
        .flat_map(|(_, answer)| answer)
        .collect();
    let changed = hex("1f0000010000000a400000001600110974696d655f7a6f6e65062b30353a3030020131");
    let at = answers
        .windows(changed.len())
        .position(|part| part == changed)
        .unwrap();
    let mut told = answers[..at].to_vec();
    told.extend(packet(1, &hex("0000000a000000")));
    told.extend(&answers[at + changed.len()..]);
    assert_eq!(client, told);
    // The statement stays where it is.
    let said = dialogue().into_iter().map(|(said, _)| said);
    let sent: Vec<u8> = said
        .flat_map(|said| match said.strip_prefix(&close()[..]) {
            Some(rest) => rest.to_vec(),
            None => said,
        })
        .collect();
    assert_eq!(server, sent);
    assert_eq!(released, [Release::Clean; 3][..released.len()]);
}

proptest! {
    #[test]
    fn however_it_is_cut_the_same_comes_of_it(cuts in prop::collection::vec(1usize..30, 1..6)) {
        prop_assert_eq!(run(&cuts), run(&[usize::MAX]));
    }

    #[test]
    fn whatever_a_server_says_nothing_breaks(
        mariadb in any::<bool>(),
        old in any::<bool>(),
        text in prop::sample::select(vec!["SELECT 1", "BEGIN", "LOAD DATA LOCAL INFILE 'x' INTO TABLE t", "CALL p()"]),
        first in prop::sample::select(vec![0u8, 1, 0xfb, 0xfe, 0xff]),
        said in prop::collection::vec((0u8..4, prop::collection::vec(any::<u8>(), 0..30)), 1..6),
    ) {
        let agreed = if old { LOCAL_FILES } else { LOCAL_FILES.with(DEPRECATE_EOF) };
        let version = if mariadb { MARIADB } else { MYSQL };
        let mut pair = Pair::new(version, agreed.with(SESSION_TRACK));
        pair.says(&query(text));
        pair.answers(&packet(1, &[&[first], &said[0].1[..]].concat()));
        for (number, payload) in said {
            if pair.link.is_none() {
                break;
            }
            pair.answers(&packet(number, &payload));
        }
    }

    #[test]
    fn whatever_a_client_says_nothing_breaks(
        said in prop::collection::vec((0u8..3, prop::collection::vec(any::<u8>(), 0..20)), 1..8),
        raw in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut pair = Pair::new(MYSQL, DEPRECATE_EOF.with(QUERY_ATTRIBUTES));
        for (number, payload) in said {
            pair.says(&packet(number, &payload));
            if pair.closed.is_some() {
                return Ok(());
            }
            if pair.link.is_some() {
                pair.answers(&packet(1, &hex("00000002000000")));
            }
        }
        if pair.link.is_none() && pair.spare.is_none() {
            return Ok(());
        }
        pair.says(&raw);
    }
}
