//! Prepared statements that clients share: numbers, types, limits; `ahead`: what is kept by the server.

mod ahead;

use dbproxy_engine::Session as _;

use crate::message::capability::*;
use crate::message::command::{
    QUERY, RESET_CONNECTION, STMT_CLOSE, STMT_EXECUTE, STMT_FETCH, STMT_PREPARE, STMT_RESET,
    STMT_SEND_LONG_DATA,
};
use crate::message::frame::FULL;
use crate::message::session_track::Change;

use super::pair::{bare, hex, link, packet, payloads, query, Pair, MARIADB, MYSQL};
use super::*;

const OK: &str = "00000002000000";
const LONGLONG: &[u8] = b"\x08\0";

fn command(kind: u8, number: u32, rest: &[u8]) -> Vec<u8> {
    packet(0, &[&[kind], &number.to_le_bytes()[..], rest].concat())
}

/// Of one parameter; `types`: those that are sent along.
fn execute(number: u32, types: Option<&[u8]>) -> Vec<u8> {
    with_flags(0, number, types)
}

fn with_flags(flags: u8, number: u32, types: Option<&[u8]>) -> Vec<u8> {
    let typed = match types {
        Some(types) => [&[1], types].concat(),
        None => vec![0],
    };
    let rest = [&[flags, 1, 0, 0, 0, 0][..], &typed, b"value"].concat();
    command(STMT_EXECUTE, number, &rest)
}

fn prepare(text: &str) -> Vec<u8> {
    packet(0, &[&[STMT_PREPARE], text.as_bytes()].concat())
}

/// A server's answer of that number, with so many parameters and a column.
fn prepared(id: u32, parameters: u16) -> Vec<u8> {
    let head = [
        &[0],
        &id.to_le_bytes()[..],
        &[1, 0],
        &parameters.to_le_bytes(),
        &[0, 0, 0],
    ];
    let mut out = packet(1, &head.concat());
    for number in 0..parameters + 1 {
        out.extend(packet(2 + number as u8, b"\x03def"));
    }
    out
}

/// The server's numbers in commands that name a statement.
fn ids(sent: &[u8]) -> Vec<(u8, u32)> {
    let id = |payload: &[u8]| u32::from_le_bytes(payload[1..5].try_into().unwrap());
    payloads(sent)
        .iter()
        .map(|payload| (payload[0], id(payload)))
        .collect()
}

/// A client that has prepared a text with one parameter, as the server's 5.
fn with_statement(text: &str) -> Pair {
    with_statement_of(MYSQL, text)
}

fn with_statement_of(version: &str, text: &str) -> Pair {
    let mut pair = Pair::new(version, DEPRECATE_EOF);
    pair.says(&prepare(text));
    let told = pair.answers(&prepared(5, 1));
    assert_eq!(told, prepared(1, 1), "the number is the proxy's");
    assert!(pair.is_free());
    pair
}

#[test]
fn a_statement_is_executed_where_it_is_and_prepared_where_it_is_not() {
    let mut pair = with_statement("SELECT ?");
    let sent = pair.says(&execute(1, Some(LONGLONG)));
    assert_eq!(sent, execute(5, Some(LONGLONG)));
    pair.gives(OK);
    assert!(pair.is_free() && pair.notes.is_empty());
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    let sent = pair.says(&execute(1, Some(LONGLONG)));
    assert_eq!(sent, prepare("SELECT ?"), "the execution waits");
    assert_eq!(pair.answers(&prepared(9, 1)), b"");
    let sent = std::mem::take(&mut pair.server);
    assert_eq!(sent, execute(9, Some(LONGLONG)));
    pair.gives(OK);
    // Nothing of the server's is closed with the client's.
    assert_eq!(pair.says(&command(STMT_CLOSE, 1, b"")), b"");
    pair.says(&execute(1, Some(LONGLONG)));
    let told = std::mem::take(&mut pair.client);
    assert_eq!(Pair::error(&told).0, 1243);
    assert!(pair.is_free());
}

#[test]
fn a_text_that_is_prepared_anew_takes_the_place_of_the_older_one() {
    let mut pair = with_statement("SELECT ?");
    assert_eq!(pair.says(&prepare("SELECT ?")), prepare("SELECT ?"));
    assert_eq!(pair.answers(&prepared(6, 1)), prepared(2, 1));
    assert_eq!(ids(&std::mem::take(&mut pair.server)), [(STMT_CLOSE, 5)]);
    for number in [1, 2] {
        let sent = pair.says(&execute(number, Some(LONGLONG)));
        assert_eq!(ids(&sent), [(STMT_EXECUTE, 6)]);
        pair.gives(OK);
    }
}

#[test]
fn types_that_a_client_relies_on_are_put_in_where_another_one_sent_others() {
    let mut pair = with_statement_of(MARIADB, "SELECT ?");
    pair.says(&execute(1, None));
    let told = std::mem::take(&mut pair.client);
    assert_eq!(Pair::error(&told).0, 1210, "they were never sent");
    pair.says(&execute(1, Some(LONGLONG)));
    pair.gives(OK);
    assert_eq!(pair.says(&execute(1, None)), execute(5, None));
    pair.gives(OK);
    // Another client uses it with other types.
    let mut other = Pair::new(MARIADB, DEPRECATE_EOF);
    other.spare = pair.spare.take();
    other.says(&prepare("SELECT ?"));
    other.answers(&prepared(6, 1));
    other.server.clear();
    let sent = other.says(&execute(1, Some(b"\xfd\0")));
    assert_eq!(ids(&sent), [(STMT_EXECUTE, 6)]);
    other.gives(OK);
    pair.spare = other.spare.take();
    assert_eq!(pair.says(&execute(1, None)), execute(6, Some(LONGLONG)));
    pair.gives(OK);
    assert_eq!(pair.says(&execute(1, None)), execute(6, None));
}

/// MySQL goes by the parameters of the execution before.
#[test]
fn each_kind_of_parameters_has_a_statement_of_its_own_on_mysql() {
    let mut pair = with_statement("SELECT ?");
    assert_eq!(
        ids(&pair.says(&execute(1, Some(LONGLONG)))),
        [(STMT_EXECUTE, 5)]
    );
    pair.gives(OK);
    assert_eq!(pair.says(&execute(1, Some(b"\xfd\0"))), prepare("SELECT ?"));
    pair.answers(&prepared(6, 1));
    assert_eq!(ids(&std::mem::take(&mut pair.server)), [(STMT_EXECUTE, 6)]);
    pair.gives(OK);
    for (types, id) in [(LONGLONG, 5), (b"\xfd\0", 6)] {
        assert_eq!(
            ids(&pair.says(&execute(1, Some(types)))),
            [(STMT_EXECUTE, id)]
        );
        pair.gives(OK);
    }
    // What had a cursor is of no use without one: the server loses its step.
    pair.says(&with_flags(1, 1, Some(LONGLONG)));
    pair.answers(&hex("0100000101 0400000203646566 07000003fe000042000000"));
    let sent = pair.says(&execute(1, Some(b"\xfd\0")));
    assert_eq!(ids(&sent), [(STMT_CLOSE, 5), (STMT_EXECUTE, 6)]);
    pair.gives(OK);
    assert!(pair.is_free());
    assert_eq!(pair.says(&execute(1, Some(LONGLONG))), prepare("SELECT ?"));
}

#[test]
fn an_execution_is_what_its_text_is() {
    let mut pair = with_statement("INSERT INTO t VALUES (?)");
    pair.says(&execute(1, Some(LONGLONG)));
    assert_eq!(pair.lost().0, Outcome::Closes(CloseReason::OutcomeUnknown));
    let mut pair = with_statement("SELECT ?");
    pair.says(&execute(1, Some(LONGLONG)));
    assert_eq!(pair.lost().0, Outcome::Stays);
    // A text that reads a variable of the user's is one backend's.
    let mut pair = Pair::mysql();
    pair.says(&prepare("SELECT @a + ?"));
    assert_eq!(pair.pinned(), Some(PinReason::NamedStatement));
    pair.answers(&prepared(5, 1));
    assert_eq!(
        pair.says(&execute(1, Some(LONGLONG))),
        execute(5, Some(LONGLONG))
    );
}

#[test]
fn what_a_server_does_not_prepare_is_the_answer_to_its_execution() {
    let mut pair = with_statement("SELECT a FROM t WHERE b = ?");
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    pair.says(&execute(1, Some(LONGLONG)));
    let told = pair.gives("ff 7a04 23 3432533032 6e6f6e65");
    assert_eq!(Pair::error(&told), (1146, "none".into()));
    assert!(pair.link.is_none(), "{:?}", pair.released);
    assert_ne!(
        pair.released.last(),
        Some(&Release::Kill(KillReason::ResetFailed))
    );
    // Nothing answers a piece of a parameter: the execution has it.
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    pair.says(&command(STMT_SEND_LONG_DATA, 1, b"\0\0abc"));
    assert_eq!(pair.gives("ff 7a04 23 3432533032 6e6f6e65"), b"");
    pair.says(&execute(1, Some(b"\xfc\0")));
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1146);
}

#[test]
fn a_server_without_room_is_given_some() {
    let mut pair = with_statement("SELECT ?");
    let full = "ff b505 23 3432303030 66756c6c";
    pair.says(&prepare("SELECT 2"));
    assert_eq!(pair.gives(full), b"");
    let sent = std::mem::take(&mut pair.server);
    assert_eq!(
        sent,
        [command(STMT_CLOSE, 5, b""), prepare("SELECT 2")].concat()
    );
    assert_eq!(
        Pair::error(&pair.gives(full)).0,
        1461,
        "there is nothing left to close"
    );
    // The same where the proxy asks.
    let mut pair = with_statement("SELECT ?");
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    pair.says(&execute(1, Some(LONGLONG)));
    assert_eq!(Pair::error(&pair.gives(full)).0, 1461);
}

#[test]
fn it_is_prepared_as_the_client_did_and_shared_with_who_reads_alike() {
    let mut pair = with_statement("SELECT ?");
    let mode = || Change::Variable {
        name: b"sql_mode",
        value: b"ANSI_QUOTES",
    };
    pair.asks("SET sql_mode = 'ANSI_QUOTES'");
    pair.reports(2, &[mode(), Change::State(true)]);
    assert!(pair.is_free());
    let sent = pair.says(&execute(1, Some(LONGLONG)));
    let kinds: Vec<u8> = payloads(&sent).iter().map(|payload| payload[0]).collect();
    assert_eq!(kinds, [QUERY, STMT_PREPARE, QUERY]);
    let texts = payloads(&sent);
    assert_eq!(texts[0], b"\x03SET @@session.sql_mode=@@global.sql_mode");
    assert_eq!(texts[2], b"\x03SET @@session.sql_mode='ANSI_QUOTES'");
    let ok = packet(1, &hex(OK));
    pair.answers(&[&ok[..], &prepared(7, 1), &ok].concat());
    assert_eq!(ids(&std::mem::take(&mut pair.server)), [(STMT_EXECUTE, 7)]);
    pair.gives(OK);
    // Autocommit is nothing to a text.
    pair.asks("SET autocommit = 0");
    let off = Change::Variable {
        name: b"autocommit",
        value: b"OFF",
    };
    pair.reports(0, &[off, Change::State(true)]);
    assert_eq!(
        ids(&pair.says(&execute(1, Some(LONGLONG)))),
        [(STMT_EXECUTE, 7)]
    );
}

#[test]
fn a_reset_forgets_the_statements_of_both() {
    let mut pair = with_statement("SELECT ?");
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    pair.says(&bare(RESET_CONNECTION));
    pair.gives(OK);
    pair.says(&execute(1, Some(LONGLONG)));
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1243);
    let table = &mut pair.spare.as_mut().unwrap().statements;
    assert_eq!(table.drains(), []);
}

#[test]
fn each_server_words_its_errors_and_mariadb_has_a_last_statement() {
    let mut pair = Pair::new(MARIADB, DEPRECATE_EOF);
    for (sent, code, text) in [
        (execute(9, None), 1243, "(9) given to mysqld_stmt_execute"),
        (
            command(STMT_FETCH, 9, b"\x01\0\0\0"),
            1243,
            "(9) given to mysqld_stmt_fetch",
        ),
        (
            command(STMT_RESET, 9, b""),
            1243,
            "(9) given to mysqld_stmt_reset",
        ),
        (packet(0, b"\x17\0"), 1835, "Malformed communication packet"),
    ] {
        assert_eq!(pair.says(&sent), b"");
        let (told, message) = Pair::error(&std::mem::take(&mut pair.client));
        assert!(told == code && message.ends_with(text), "{message}");
    }
    pair.says(&prepare("SELECT ?"));
    pair.answers(&prepared(5, 1));
    let sent = pair.says(&execute(u32::MAX, Some(LONGLONG)));
    assert_eq!(sent, execute(5, Some(LONGLONG)));
    pair.gives(OK);
    let mut pair = with_statement("SELECT ?");
    pair.says(&execute(u32::MAX, Some(LONGLONG)));
    let (code, message) = Pair::error(&std::mem::take(&mut pair.client));
    assert_eq!(code, 1243);
    assert!(message.ends_with("(4294967295) given to mysql_stmt_precheck"));
}

#[test]
fn a_statement_that_is_too_large_to_be_kept_binds() {
    let mut pair = Pair::mysql();
    let long = prepare(&format!("SELECT '{}'", "a".repeat(1 << 19)));
    pair.says(&long[..1 << 18]);
    assert_eq!(pair.pinned(), Some(PinReason::StatementTooLarge));
    pair.says(&long[1 << 18..]);
    pair.answers(&prepared(5, 0));
    let sent = pair.says(&command(STMT_EXECUTE, 1, b"\0\x01\0\0\0"));
    assert_eq!(ids(&sent), [(STMT_EXECUTE, 5)]);
}

/// Only its head is another.
#[test]
fn a_large_execution_streams() {
    let mut pair = with_statement("SELECT ?");
    let mut value = vec![7; FULL + 5];
    value.splice(0..0, *b"\0\x01\0\0\0\0\x01\xfc\0");
    let sent = pair.says(&command(STMT_EXECUTE, 1, &value));
    assert_eq!(sent, command(STMT_EXECUTE, 5, &value));
    pair.answers(&packet(2, &hex(OK)));
    // There is no room for types in it.
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    value.splice(6..9, *b"\0");
    pair.says(&command(STMT_EXECUTE, 1, &value));
    let told = pair.answers(&prepared(9, 1));
    assert_eq!(Pair::error(&told).0, 1235);
    assert_eq!(pair.says(&query("SELECT 1")), query("SELECT 1"));
}
