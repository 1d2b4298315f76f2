//! Random inputs of each kind, a fixed number of them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::view::packet;

/// Payloads that look like what is said often enough to get anywhere.
fn payload(firsts: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    const TEXTS: [&[u8]; 14] = [
        b"BEGIN",
        b"COMMIT",
        b"SELECT 1",
        b"SELECT LAST_INSERT_ID()",
        b"INSERT INTO t VALUES (1)",
        b"SET time_zone = '+01:00'",
        b"LOAD DATA LOCAL INFILE 'x' INTO TABLE t",
        b"\0\0\x02\0\0\0",
        b"\0\0\x03\0\0\0",
        b"\0\0\x0a\0\0\0",
        b"\0\0\x02\x40\0\0\0\x05\x02\x01\x31",
        b"\x48\x04#42000no",
        b"\0\0\x02\0",
        b"",
    ];
    let text = proptest::sample::select(&TEXTS[..]);
    let first = proptest::sample::select(firsts);
    let random = vec(any::<u8>(), 0..20);
    (first, text, random, 0..8u8).prop_map(|(first, text, random, how)| {
        let rest = if how == 0 { &random[..] } else { text };
        [&[first][..], rest].concat()
    })
}

/// What a client says: commands, now and then with a number that isn't its turn.
fn commands() -> impl Strategy<Value = Vec<u8>> {
    const FIRSTS: &[u8] = &[
        0, 1, 2, 3, 3, 3, 3, 3, 4, 9, 0x0a, 0x0e, 0x11, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c,
        0x1f,
    ];
    let one = (payload(FIRSTS), 0..12u8)
        .prop_map(|(payload, number)| packet(number.saturating_sub(8), &payload));
    vec(one, 1..3).prop_map(|all| all.concat())
}

/// What a server says: packets numbered from 1 on, mostly.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    const FIRSTS: &[u8] = &[0, 0, 0, 1, 1, 3, 0xfb, 0xfe, 0xfe, 0xff];
    vec((payload(FIRSTS), 0..16u8), 1..6).prop_map(|all| {
        let mut out = Vec::new();
        for (at, (payload, slip)) in all.iter().enumerate() {
            let slip = u8::from(*slip == 0);
            out.extend(packet(at as u8 + 1 + slip, payload));
        }
        out
    })
}

fn turns() -> impl Strategy<Value = Vec<u8>> {
    let turn = prop_oneof![
        commands().prop_map(|bytes| (0u8, bytes)),
        answers().prop_map(|bytes| (1u8, bytes)),
    ];
    (any::<u8>(), vec(turn, 0..10)).prop_map(|(first, turns)| {
        let mut out = vec![first];
        for (who, bytes) in turns {
            for chunk in bytes.chunks(127) {
                out.push(who | (chunk.len() as u8) << 1);
                out.extend_from_slice(chunk);
            }
        }
        out
    })
}

/// A greeting, and what may follow it.
fn log_in_answers() -> impl Strategy<Value = Vec<u8>> {
    const GREETING: &[u8] = b"\x0a8.0.31\0\x07\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_password\0";
    const SWITCH: &[u8] = b"\xfemysql_native_password\0abcdefghijklmnopqrst\0";
    let next = prop_oneof![
        Just(SWITCH.to_vec()),
        Just(vec![1, 3]),
        Just(vec![1, 4]),
        Just(b"\0\0\0\x02\0\0\0".to_vec()),
        payload(&[0, 1, 0xfe, 0xff]),
    ];
    (vec(next, 0..6), 0..8u8, 0..8u8).prop_map(|(rest, greets, slip)| {
        let greeting = if greets == 0 {
            Vec::new()
        } else {
            packet(0, GREETING)
        };
        let mut out = greeting;
        for (at, payload) in rest.iter().enumerate() {
            out.extend(packet(2 * at as u8 + 2 + u8::from(slip == 0), payload));
        }
        out
    })
}

proptest! {
    #[test]
    fn any_statement(input in vec(any::<u8>(), 0..100)) {
        super::statement(&input);
    }

    #[test]
    fn any_client_log_in(first: u8, input in vec(any::<u8>(), 0..100), number in 1..3u8) {
        super::client_login(&[&[first][..], &input].concat());
        let response = [&[0x0d, 0xa2, 0x3a, 0, 0, 0, 0, 1, 45][..], &[0; 23], b"u\0", &input].concat();
        super::client_login(&[&[first][..], &packet(number, &response), &packet(3, &input)].concat());
    }

    #[test]
    fn any_backend_log_in(first: u8, input in log_in_answers()) {
        super::backend_login(&[&[first][..], &input].concat());
    }

    #[test]
    fn any_replies(first: u8, input in answers()) {
        super::replies(&[&[first][..], &input].concat());
    }

    #[test]
    fn any_dialogue(input in vec(any::<u8>(), 0..40)) {
        super::dialogue(&input);
    }

    #[test]
    fn any_session(input in turns()) {
        super::session(&input);
    }
}

#[test]
fn what_a_server_says_at_length_is_not_kept() {
    // An OK of 16 MiB, an error, a name of a file: by their first bytes it is known that nobody says such.
    for tag in [0, 0xff, 0xfb] {
        let mut said = vec![0xfe, 0xff, 0xff, 1, tag];
        said.resize(1 << 21, b'x');
        super::replies(&[&[0x31][..], &said].concat());
    }
}
