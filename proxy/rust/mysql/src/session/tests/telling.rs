//! What a client is told: by servers, of what they report, and by the proxy itself.

use dbproxy_engine::Session as _;

use crate::message::capability::*;
use crate::message::session_track::{Change, Transaction};
use crate::message::{command, ok, session_track};

use super::pair::{bare, hex, packet, payloads, query, reported, Pair, MARIADB, MYSQL, OWN_ID};
use super::*;

const OK: &str = "00000002000000";

fn variable<'a>(name: &'a str, value: &'a str) -> Change<'a> {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    Change::Variable { name, value }
}

/// What of such an OK a client hears that tracks its session.
fn heard(pair: &mut Pair, changes: &[Change<'_>]) -> Vec<String> {
    pair.asks("SET x");
    let told = pair.reports(2, changes);
    let payload = payloads(&told).remove(0);
    let ok = ok::parse(&payload, ok::TAG, SESSION_TRACK).unwrap();
    let changes = session_track::parse(ok.changes.unwrap_or_default()).unwrap();
    changes.iter().map(|change| format!("{change:?}")).collect()
}

#[test]
fn who_does_not_track_the_session_is_told_nothing_of_it() {
    let mut pair = Pair::mysql();
    pair.asks("SET time_zone='+01:00'");
    let told = pair.reports(2, &[variable("time_zone", "+01:00"), Change::State(true)]);
    assert_eq!(told, packet(1, &hex(OK)));
    // A text for people stands there with its length all the same.
    pair.asks("UPDATE t SET a = 1");
    assert_eq!(
        pair.gives("00000002000000 05 526f777321"),
        packet(1, &hex("00000002000000 05 526f777321"))
    );
}

#[test]
fn who_tracks_it_is_told_what_servers_tell_by_default() {
    let mut pair = Pair::new(MYSQL, SESSION_TRACK);
    let all = [
        variable("time_zone", "+01:00"),
        variable("sql_mode", ""),
        variable("last_gtid", "0-1-1"),
        Change::Schema(b"shop"),
        Change::State(true),
    ];
    let kept: Vec<String> = [&all[0], &all[3]]
        .iter()
        .map(|change| format!("{change:?}"))
        .collect();
    assert_eq!(heard(&mut pair, &all), kept);
    let told = pair.reports(2, &[]);
    assert_eq!(told, b"", "nothing was asked");
}

#[test]
fn who_tracks_it_is_told_of_no_change_without_one() {
    let mut pair = Pair::new(MARIADB, SESSION_TRACK);
    // As MariaDB reports a SET TRANSACTION: something has changed, and nothing of it.
    pair.asks("SET TRANSACTION READ ONLY");
    assert_eq!(pair.reports(2, &[]), packet(1, &hex(OK)));
}

#[test]
fn mysql_tells_of_transactions_that_begin_by_name() {
    let state = |letters: &[u8; 8]| Change::Transaction(Transaction(*letters));
    let mut pair = Pair::new(MYSQL, SESSION_TRACK);
    let (begun, read, none) = (state(b"T_______"), state(b"T_R___S_"), state(b"________"));
    assert_eq!(heard(&mut pair, &[begun]).len(), 1);
    assert_eq!(heard(&mut pair, &[read]).len(), 0);
    assert_eq!(heard(&mut pair, &[none]).len(), 1);
    assert_eq!(heard(&mut pair, &[state(b"I_R___S_")]).len(), 0);
    assert_eq!(heard(&mut pair, &[none]).len(), 0);
    let mut pair = Pair::new(MARIADB, SESSION_TRACK);
    assert_eq!(heard(&mut pair, &[begun]).len(), 0);
}

#[test]
fn what_needs_no_database_is_answered_without_one() {
    let mut pair = Pair::mysql();
    pair.spare = None;
    let all = [bare(command::PING), bare(command::RESET_CONNECTION)].concat();
    pair.says(&all);
    let ok = packet(1, &hex(OK));
    assert_eq!(std::mem::take(&mut pair.client), [&ok[..], &ok].concat());
    for (kind, code) in [
        (command::BINLOG_DUMP, 1235),
        (command::PROCESS_KILL, 1835),
        (command::CREATE_DB, 1047),
        (command::STMT_BULK_EXECUTE, 1047),
        (command::SLEEP, 1047),
    ] {
        pair.says(&packet(0, &[kind, 1, 2, 3]));
        assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, code);
    }
    pair.says(&packet(0, b""));
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1047);
    // Of statements that aren't there; nothing answers.
    assert_eq!(pair.says(&packet(0, b"\x19\x05\0\0\0")), b"");
    assert_eq!(pair.client, b"");
    pair.says(&bare(command::QUIT));
    assert_eq!(pair.closed, Some(CloseReason::ClientLeft));
}

#[test]
fn a_connection_has_the_number_of_its_greeting() {
    for agreed in [SSL, DEPRECATE_EOF] {
        let mut pair = Pair::new(MYSQL, agreed);
        pair.says(&query("SELECT CONNECTION_ID()"));
        let told = payloads(&std::mem::take(&mut pair.client));
        assert_eq!(told.len(), if agreed == SSL { 5 } else { 4 });
        assert_eq!(
            told[told.len() - 2],
            [b"\x07", OWN_ID.to_string().as_bytes()].concat()
        );
    }
}

#[test]
fn packets_out_of_order_end_a_client() {
    let mut pair = Pair::mysql();
    pair.says(&packet(3, b"\x0e"));
    assert_eq!(Pair::error(&pair.client).0, 1156);
    assert_eq!(pair.closed, Some(CloseReason::ProtocolViolation));
}

#[test]
fn a_file_goes_from_the_client_to_the_server() {
    let mut pair = Pair::new(MYSQL, LOCAL_FILES);
    pair.asks("LOAD DATA LOCAL INFILE 'x' INTO TABLE t");
    assert_eq!(pair.gives("fb78"), packet(1, b"\xfbx"));
    let file = [packet(2, b"1\n"), packet(3, b"")].concat();
    assert_eq!(pair.says(&file), file);
    let done = packet(4, &hex("00020002000000"));
    assert_eq!(pair.answers(&done), done);
    // Its OK doesn't tell which id it has made.
    assert_eq!(pair.asked(), ["SET last_insert_id = LAST_INSERT_ID()"]);
    pair.reports(2, &[variable("last_insert_id", "7"), Change::State(true)]);
    assert!(pair.is_free());
    // Without a client nobody has it.
    pair.asks("LOAD DATA LOCAL INFILE 'x' INTO TABLE t");
    let mut link = pair.link.take().unwrap();
    let mut steps = Steps::new();
    assert_eq!(pair.session.abandon(&mut link), Abandoned::Running);
    Session::feed_server(None, &mut link, &packet(1, b"\xfbx"), &mut steps);
    assert_eq!(
        steps,
        [Step::Release(Release::Kill(KillReason::ClientLost))]
    );
}

#[test]
fn a_server_that_asks_for_a_file_unasked_is_out_of_step() {
    let out_of_step = Release::Kill(KillReason::OutOfStep);
    for text in [
        "SELECT 1",
        "INSERT INTO t VALUES ('LOAD DATA LOCAL')",
        "CALL p()",
    ] {
        let mut pair = Pair::new(MYSQL, LOCAL_FILES);
        pair.asks(text);
        assert_eq!(pair.gives("fb2f6574632f706173737764"), b"", "{text}");
        assert_eq!(pair.released, [out_of_step], "{text}");
        // What it is told instead has the number of what it isn't.
        pair.link = pair.spare.take();
        assert_eq!(pair.lost().1.get(3), Some(&1), "{text}");
    }
    // A client that sends no files is asked for none.
    let mut pair = Pair::mysql();
    pair.asks("LOAD DATA LOCAL INFILE 'x' INTO TABLE t");
    assert_eq!(pair.gives("fb78"), b"");
    assert_eq!(pair.released, [out_of_step]);
    // MariaDB prepares such a statement, in either way.
    let mut pair = Pair::new(MARIADB, LOCAL_FILES);
    pair.asks("EXECUTE loads");
    assert_eq!(pair.gives("fb78"), packet(1, b"\xfbx"));
    let mut pair = Pair::new(MARIADB, LOCAL_FILES);
    pair.says(&packet(0, b"\x16LOAD DATA LOCAL INFILE 'x' INTO TABLE t"));
    pair.gives("00 01000000 0000 0000 00 0000");
    pair.says(&packet(0, &hex("1701000000 00 01000000")));
    assert_eq!(pair.gives("fb78"), packet(1, b"\xfbx"));
}

#[test]
fn a_server_that_is_no_writer_any_more_is_doubted() {
    for (code, text, doubted) in [
        (1290u16, "the --read-only option", true),
        (1290, "the --secure-file-priv option", false),
        (1836, "", true),
        (1792, "", true),
        (1053, "", true),
        (1062, "", false),
    ] {
        let mut pair = Pair::mysql();
        pair.asks("DELETE FROM t");
        let [low, high] = code.to_le_bytes();
        let error = [&[0xff, low, high], &b"#HY000"[..], text.as_bytes()].concat();
        assert_eq!(pair.answers(&packet(1, &error)), packet(1, &error));
        assert_eq!(
            pair.notes.contains(&Note::WriterDoubted),
            doubted,
            "{code} {text}"
        );
    }
    // Its client asked for a transaction that only reads.
    let mut pair = Pair::mysql();
    pair.asks("START TRANSACTION READ ONLY");
    pair.gives("00000003200000");
    pair.asks("DELETE FROM t");
    pair.gives("ff0007 23 3235303036");
    assert!(pair.notes.is_empty());
}

#[test]
fn a_backend_out_of_step_is_no_use() {
    for answer in [packet(2, &hex(OK)), packet(1, b""), packet(1, b"\x01\x01")] {
        let mut pair = Pair::mysql();
        pair.asks("SELECT 1");
        pair.answers(&answer);
        assert_eq!(pair.released, [Release::Kill(KillReason::OutOfStep)]);
    }
    let mut pair = Pair::mysql();
    pair.asks("SELECT 1");
    pair.answers(&[packet(1, &hex(OK)), packet(0, &hex(OK))].concat());
    assert_eq!(pair.released, [Release::Kill(KillReason::SpokeWhileIdle)]);
    let mut pair = Pair::mysql();
    pair.asks("BEGIN");
    pair.answers(&reported(3, &[]));
    pair.answers(&packet(0, &hex("ff1d04 23 3038533031")));
    assert_eq!(pair.released, [Release::Kill(KillReason::ServerClosed)]);
    assert!(pair.notes.contains(&Note::WriterDoubted));
}

/// A server may say that a packet is too large before it has all of it.
#[test]
fn an_error_before_the_command_is_whole_ends_the_client() {
    let mut pair = Pair::mysql();
    let long = query(&format!("INSERT INTO t VALUES ('{}')", "a".repeat(1 << 19)));
    pair.says(&long[..1 << 18]);
    let error = packet(1, &hex("ff8104 23 3038533031"));
    assert_eq!(pair.answers(&error), error);
    assert_eq!(pair.closed, Some(CloseReason::BackendFatal));
}

/// A command of several packets is answered with the number behind its last one.
#[test]
fn a_command_of_16_mib_goes_through_and_is_answered() {
    let mut pair = Pair::mysql();
    let long = query(&format!("SELECT '{}'", "a".repeat(1 << 24)));
    let mut sent = Vec::new();
    for piece in long.chunks(1 << 20) {
        sent.extend(pair.says(piece));
    }
    assert!(sent == long);
    let ok = packet(2, &hex(OK));
    assert_eq!(pair.answers(&ok), ok);
    assert_eq!(pair.pinned(), Some(PinReason::StatementTooLarge));
}

#[test]
fn who_resets_its_connection_has_the_status_of_its_log_in() {
    let mut pair = Pair::mysql();
    pair.asks("SET autocommit=0");
    pair.reports(0, &[variable("autocommit", "OFF"), Change::State(true)]);
    assert!(pair.is_free());
    pair.says(&bare(command::RESET_CONNECTION));
    assert_eq!(std::mem::take(&mut pair.client), packet(1, &hex(OK)));
}
