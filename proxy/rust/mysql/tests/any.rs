//! Anything at all: no input makes a parser panic, what is written is read back, and a payload that comes in
//! drops is the one that comes whole.

use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::frame::{packets, payload, peek, Gathered, Peek, LONGEST};
use dbproxy_mysql::message::session_track::{Change, Transaction};
use dbproxy_mysql::message::*;
use proptest::prelude::*;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

/// Without a NUL.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8.., 0..300)
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    (any::<u32>(), any::<u32>()).prop_map(|(common, more)| Capabilities::from_wire(common, more))
}

fn opening() -> impl Strategy<Value = ssl_request::Opening> {
    (capabilities(), any::<u32>(), any::<u8>()).prop_map(
        |(capabilities, longest_packet, collation)| ssl_request::Opening {
            capabilities: capabilities.with(PROTOCOL_41),
            longest_packet,
            collation,
        },
    )
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// Everything reads it; whether it is anything doesn't matter.
fn read(input: &[u8], agreed: Capabilities) {
    greeting::parse(input);
    ssl_request::parse(input);
    if let Some(response) = handshake_response::parse(input) {
        response.attributes.map(|all| all.iter().count());
    }
    auth_switch::parse(input);
    auth_more_data::parse(input);
    for tag in [ok::TAG, ok::END_OF_ROWS] {
        ok::parse(input, tag, agreed);
    }
    session_track::parse(input);
    error::parse(input, agreed);
    eof::parse(input);
    result_set::head(input);
    column::parse(input);
    payload(input, 0, LONGEST);
}

proptest! {
    #[test]
    fn no_input_panics(input in bytes(400), agreed in capabilities()) {
        read(&input, agreed);
        for tag in [0, 1, 10, 0xfb, 0xfe, 0xff] {
            read(&[&[tag], &input[..]].concat(), agreed);
        }
    }

    #[test]
    fn a_greeting_is_read_back(
        version in text(),
        thread_id in any::<u32>(),
        scramble in any::<[u8; 20]>(),
        capabilities in capabilities(),
        (collation, status) in any::<(u8, u16)>(),
        plugin in text(),
        cut in any::<prop::sample::Index>(),
    ) {
        let capabilities = capabilities.with(SECURE_CONNECTION);
        let greeting = greeting::Greeting {
            version: &version,
            thread_id,
            scramble,
            capabilities,
            collation,
            status,
            plugin: if capabilities.has(PLUGIN_AUTH) { &plugin } else { b"" },
        };
        let wire = written(|out| greeting.write(out));
        prop_assert_eq!(greeting::parse(&wire), Some(greeting));
        read(&wire[..cut.index(wire.len())], capabilities);
    }

    #[test]
    fn an_ssl_request_is_read_back(opening in opening()) {
        let wire = written(|out| ssl_request::write(&opening, out));
        let read = ssl_request::parse(&wire).unwrap();
        prop_assert_eq!(read.capabilities, opening.capabilities.with(SSL));
        prop_assert_eq!(read.longest_packet, opening.longest_packet);
        prop_assert_eq!(read.collation, opening.collation);
    }

    #[test]
    fn a_response_is_read_back(
        opening in opening(),
        user in text(),
        proof in prop::collection::vec(1u8.., 0..256),
        database in prop::option::of(text()),
        plugin in prop::option::of(text()),
        pairs in prop::option::of(prop::collection::vec((bytes(300), bytes(300)), 0..4)),
        zstd_level in any::<Option<u8>>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let attributes = pairs.as_ref().map(|pairs| {
            written(|out| {
                for (name, value) in pairs {
                    handshake_response::Attributes::put(out, name, value);
                }
            })
        });
        let response = handshake_response::HandshakeResponse {
            opening,
            user: &user,
            proof: if opening.capabilities.has(PLUGIN_AUTH_LENENC) { &proof } else { &proof[..proof.len().min(255)] },
            database: database.as_deref(),
            plugin: plugin.as_deref(),
            attributes: attributes.as_deref().map(handshake_response::Attributes::new),
            zstd_level,
        };
        let wire = written(|out| response.write(out));
        let read_back = handshake_response::parse(&wire).unwrap();
        let capabilities = read_back.opening.capabilities;
        let said = [CONNECT_WITH_DB, PLUGIN_AUTH, CONNECT_ATTRS, ZSTD_COMPRESSION];
        let there = [database.is_some(), plugin.is_some(), attributes.is_some(), zstd_level.is_some()];
        prop_assert_eq!(said.map(|one| capabilities.has(one)), there);
        let expected = handshake_response::HandshakeResponse { opening: read_back.opening, ..response };
        prop_assert_eq!(read_back, expected);
        let read_pairs: Option<Vec<_>> = read_back.attributes.map(|all| {
            all.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
        });
        prop_assert_eq!(read_pairs, pairs);
        read(&wire[..cut.index(wire.len())], capabilities);
    }

    #[test]
    fn an_auth_switch_is_read_back(plugin in text(), data in bytes(100)) {
        let switch = auth_switch::AuthSwitch { plugin: &plugin, data: &data };
        let wire = written(|out| switch.write(out));
        prop_assert_eq!(auth_switch::parse(&wire), Some(switch));
        let wire = written(|out| auth_more_data::write(&data, out));
        prop_assert_eq!(auth_more_data::parse(&wire), Some(&data[..]));
    }

    #[test]
    fn an_ok_is_read_back(
        (affected, last_insert_id, status, warnings) in any::<(u64, u64, u16, u16)>(),
        info in bytes(300),
        changes in prop::option::of(bytes(300)),
        agreed in capabilities(),
        cut in any::<prop::sample::Index>(),
    ) {
        let tracks = agreed.has(SESSION_TRACK);
        let ok = ok::Ok { affected, last_insert_id, status, warnings, info: &info, changes: changes.as_deref() };
        for tag in [ok::TAG, ok::END_OF_ROWS] {
            let wire = written(|out| ok.write(tag, agreed, out));
            let changes = ok.changes.filter(|_| tracks);
            let changed = if changes.is_some() { status::SESSION_STATE_CHANGED } else { 0 };
            let status = status & !status::SESSION_STATE_CHANGED | changed;
            prop_assert_eq!(ok::parse(&wire, tag, agreed), Some(ok::Ok { status, changes, ..ok }));
            read(&wire[..cut.index(wire.len())], agreed);
        }
    }

    #[test]
    fn changes_are_read_back(
        texts in prop::collection::vec((0..7u8, bytes(300), bytes(20)), 0..6),
        letters in any::<[u8; 8]>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let changes: Vec<Change> = texts
            .iter()
            .map(|(kind, text, name)| match kind {
                0 => Change::Variable { name, value: text },
                1 => Change::Schema(text),
                2 => Change::State(name.len() > 10),
                3 => Change::Gtids(text),
                4 => Change::Characteristics(text),
                5 => Change::Transaction(Transaction(letters)),
                _ => Change::Unknown { kind: 200, data: text },
            })
            .collect();
        let wire = written(|out| changes.iter().for_each(|change| change.write(out)));
        prop_assert_eq!(session_track::parse(&wire), Some(changes));
        session_track::parse(&wire[..cut.index(wire.len() + 1)]);
    }

    #[test]
    fn an_error_is_read_back(code in ..0xffffu16, state in any::<Option<[u8; 5]>>(), message in bytes(300)) {
        prop_assume!(state.is_some() || message.first() != Some(&b'#'));
        let report = error::Report { code, state, message: &message };
        let wire = written(|out| report.write(out));
        prop_assert_eq!(error::parse(&wire, MARIADB_PROGRESS), Some(report));
        prop_assert_eq!(result_set::head(&wire), Some(result_set::Head::Error));
    }

    #[test]
    fn the_parts_of_a_result_are_read_back(
        (warnings, status, columns) in (any::<u16>(), any::<u16>(), 1u16..),
        names in prop::collection::vec(bytes(300), 5),
        (collation, length, kind, flags, decimals) in any::<(u16, u32, u8, u16, u8)>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let eof = eof::Eof { warnings, status };
        prop_assert_eq!(eof::parse(&written(|out| eof.write(out))), Some(eof));
        let head = written(|out| result_set::write(columns, out));
        prop_assert_eq!(result_set::head(&head), Some(result_set::Head::Columns(columns)));
        let column = column::Column {
            schema: &names[0], table: &names[1], org_table: &names[2], name: &names[3], org_name: &names[4],
            collation, length, kind, flags, decimals,
        };
        let wire = written(|out| column.write(out));
        prop_assert_eq!(column::parse(&wire), Some(column));
        prop_assert_eq!(column::parse(&wire[..cut.index(wire.len())]), None);
    }

    #[test]
    fn a_payload_in_drops_is_the_one_that_comes_whole(
        payloads in prop::collection::vec(bytes(40), 1..5),
        first in any::<u8>(),
        longest in 0usize..40,
    ) {
        let mut wire = Vec::new();
        let mut sequence = first;
        for one in &payloads {
            sequence = packets(&mut wire, sequence, |out| out.extend_from_slice(one));
        }
        let (mut start, mut sequence, mut found) = (0, first, Vec::new());
        for end in 0..=wire.len() {
            let whole = payload(&wire[start..end], sequence, LONGEST);
            let Gathered::Payload { body, total, next } = whole else {
                prop_assert_eq!(whole, Gathered::NeedMore);
                continue;
            };
            prop_assert_eq!(total, end - start);
            found.push(body.into_owned());
            (start, sequence) = (end, next);
        }
        prop_assert_eq!(found, payloads.clone());
        // Too long is too long from the header on.
        let all: Vec<_> = (0..=wire.len()).map(|end| payload(&wire[..end], first, longest)).collect();
        let refused = all.iter().position(|one| *one == Gathered::TooLong);
        prop_assert_eq!(refused, (payloads[0].len() > longest).then_some(4));
        let header = Peek::Packet { sequence: first, total: 4 + payloads[0].len(), continues: false };
        prop_assert_eq!(peek(&wire), header);
    }

    #[test]
    fn a_length_encoded_integer_is_read_back(value in any::<u64>(), shift in 0u32..64, text in bytes(70_000)) {
        use dbproxy_engine::Reader;
        let value = value >> shift;
        let wire = written(|out| {
            lenenc::put_integer(out, value);
            lenenc::put_string(out, &text);
        });
        let mut reader = Reader::new(&wire);
        prop_assert_eq!(lenenc::integer(&mut reader), Some(value));
        prop_assert_eq!(lenenc::string(&mut reader), Some(&text[..]));
        prop_assert!(reader.is_empty());
    }
}
