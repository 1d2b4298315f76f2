//! Random inputs of each kind, a fixed number of them.

use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes that look like messages often enough to get anywhere.
fn messages(tags: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let tag = proptest::sample::select(tags.as_bytes());
    let text = prop_oneof![
        Just("BEGIN"),
        Just("COMMIT"),
        Just("SELECT 1"),
        Just("SELECT lastval()"),
        Just("INSERT INTO t VALUES (1)"),
        Just("SET a TO b"),
        Just(""),
        Just("I"),
        Just("T"),
        Just("S\0"),
        Just("P\0"),
        Just("\0\0\0\0\0\0\0\0"),
        Just("SERROR\0C22012\0\0"),
        Just("SFATAL\0C57P01\0\0"),
        Just("a\0b"),
    ];
    let one = (tag, text, 0..3usize, any::<bool>()).prop_map(|(tag, text, nuls, lead)| {
        let mut body = if lead { vec![0] } else { Vec::new() };
        body.extend_from_slice(text.as_bytes());
        body.extend(vec![0; nuls]);
        let mut out = vec![tag];
        out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        out.extend(body);
        out
    });
    vec(one, 0..8).prop_map(|parts| parts.concat())
}

fn turns() -> impl Strategy<Value = Vec<u8>> {
    let turn = prop_oneof![
        messages("QPBEDCSHFdcfX").prop_map(|bytes| (0u8, bytes)),
        messages("ZZZCETDGHdc123SANnst").prop_map(|bytes| (1u8, bytes)),
    ];
    vec(turn, 0..10).prop_map(|turns| {
        let mut out = Vec::new();
        for (who, bytes) in turns {
            for chunk in bytes.chunks(127) {
                out.push(who | (chunk.len() as u8) << 1);
                out.extend_from_slice(chunk);
            }
        }
        out
    })
}

/// Texts that set something, to values of any kind.
fn sets() -> impl Strategy<Value = String> {
    let names = proptest::sample::select(vec![
        "work_mem",
        "timezone",
        "datestyle",
        "search_path",
        "application_name",
        "role",
        "my.tenant",
        "lock_timeout",
        "standard_conforming_strings",
    ]);
    let quoted = ".{0,20}".prop_map(|text| format!("'{}'", text.replace('\'', "''")));
    let value = prop_oneof![
        quoted,
        "E'[ -~]{0,12}'",
        "[a-zA-Z_]{1,8}",
        "\"[ -~&&[^\"]]{1,8}\"",
        "-?[0-9]{1,4}",
        Just("DEFAULT".to_owned()),
    ];
    let set = (names, vec(value, 1..4)).prop_map(|(name, values)| match values.len() {
        3 => format!("SELECT set_config('{name}', {}, false)", values[0]),
        _ => format!("SET {name} TO {}", values.join(", ")),
    });
    vec(set, 1..3).prop_map(|all| all.join("; "))
}

#[test]
fn a_backend_that_says_more_than_it_owes_is_not_lent_again_however_that_comes() {
    let message = |tag: u8, body: &[u8]| {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[tag][..], &length, body].concat()
    };
    let ready = message(b'Z', b"I");
    // For the client's name, the query and the batch; then one more.
    let batch = [
        message(b'1', b""),
        message(b'2', b""),
        message(b'C', b"SELECT 1\0"),
    ];
    super::backend(&[ready.repeat(2), batch.concat(), ready.repeat(2)].concat());
}

proptest! {
    #[test]
    fn any_statement(input in vec(any::<u8>(), 0..100)) {
        super::statement(&input);
    }

    #[test]
    fn any_client_log_in(first: u8, input in vec(any::<u8>(), 0..100)) {
        super::client_login(&[&[first][..], &input].concat());
        let length = (input.len() as u32 + 9).to_be_bytes();
        super::client_login(&[&[first][..], &length, &[0, 3, 0, 0], &input, &[0]].concat());
    }

    #[test]
    fn any_backend_log_in(first: u8, input in messages("RRRSKZEN")) {
        super::backend_login(&[&[first][..], &input].concat());
    }

    #[test]
    fn any_frontend(input in messages("QPBEDCSHFdcfX")) {
        super::frontend(&input);
    }

    #[test]
    fn any_backend(input in messages("ZZZCETDGHdc123SANnst")) {
        super::backend(&input);
    }

    #[test]
    fn any_setting(text in sets()) {
        super::replayed(text.as_bytes());
    }

    #[test]
    fn any_pins(input in vec(any::<u8>(), 0..40)) {
        super::pins(&input);
    }

    #[test]
    fn any_texts_again(input in vec(prop_oneof![Just(0), any::<u8>()], 0..100)) {
        super::remembered(&input);
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
