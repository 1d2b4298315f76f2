//! What a client is told when its backend is gone.

use dbproxy_engine::{Link as _, Session as _};

use crate::message::capability::*;

use super::pair::{hex, link, packet, payloads, query, Pair, MYSQL};
use super::*;

/// A client in a transaction that has done this.
fn in_transaction() -> Pair {
    let mut pair = Pair::mysql();
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    pair
}

#[test]
fn an_idle_client_notices_nothing() {
    let mut pair = Pair::mysql();
    pair.asks("SELECT 1");
    pair.gives("00000002000000");
    assert!(pair.is_free() && !pair.session.untold);
}

#[test]
fn a_transaction_that_was_surely_not_committed_may_be_retried() {
    let mut pair = in_transaction();
    pair.asks("INSERT INTO t VALUES (1)");
    let (outcome, told) = pair.lost();
    assert_eq!((outcome, Pair::error(&told).0), (Outcome::Stays, 1213));
    assert_eq!(told[3], 1);
    // The next one begins anew.
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    assert_eq!(pair.asks("BEGIN"), ["BEGIN"]);
}

#[test]
fn who_waits_in_a_transaction_is_told_at_its_next_statement() {
    let mut pair = in_transaction();
    let (outcome, told) = pair.lost();
    assert_eq!((outcome, &told[..]), (Outcome::Stays, &b""[..]));
    assert!(!pair.session.at_boundary());
    assert_eq!(pair.says(&query("COMMIT")), b"");
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1213);
    assert!(pair.session.at_boundary());
    // One that only asks whether it is there isn't told so by a flag.
    let mut pair = in_transaction();
    pair.lost();
    pair.says(&packet(0, b"\x0e"));
    assert_eq!(payloads(&pair.client), [hex("00000003000000")]);
    // A ROLLBACK finds what it wants.
    let mut pair = in_transaction();
    pair.lost();
    pair.says(&query("rollback;"));
    assert_eq!(payloads(&pair.client), [hex("00000002000000")]);
}

#[test]
fn what_may_have_been_committed_is_said_to_be_unknown() {
    for (text, in_trans) in [
        ("COMMIT", true),
        ("CREATE TABLE a(b int)", true),
        ("INSERT INTO t VALUES (1)", false),
        ("SELECT f()", false),
    ] {
        let mut pair = if in_trans {
            in_transaction()
        } else {
            Pair::mysql()
        };
        pair.asks(text);
        let (outcome, told) = pair.lost();
        assert_eq!(
            outcome,
            Outcome::Closes(CloseReason::OutcomeUnknown),
            "{text}"
        );
        assert_eq!(Pair::error(&told).0, 1158);
        assert!(told.windows(5).any(|state| state == b"08S01"));
    }
    let mut pair = Pair::mysql();
    pair.asks("SELECT 1");
    assert_eq!(pair.lost().0, Outcome::Stays, "a read may be asked again");
}

#[test]
fn a_bound_client_lost_its_state() {
    let mut pair = Pair::mysql();
    pair.asks("LOCK TABLES t READ");
    pair.gives("00000002000000");
    let (outcome, told) = pair.lost();
    assert_eq!(outcome, Outcome::Closes(CloseReason::PinnedBackendLost));
    assert_eq!((Pair::error(&told).0, told[3]), (1053, 0));
}

#[test]
fn the_error_has_its_number_in_the_answer() {
    let mut pair = Pair::mysql();
    pair.asks("SELECT 1");
    pair.answers(&hex("0100000101 050000020364656661 020000030131"));
    let (outcome, told) = pair.lost();
    assert_eq!((outcome, told[3]), (Outcome::Stays, 4));
    // In the middle of a row there is no place for one.
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    pair.asks("SELECT 1");
    pair.answers(&hex("0100000101 050000020364656661 0200000301"));
    let (outcome, told) = pair.lost();
    assert_eq!(outcome, Outcome::Closes(CloseReason::ReplyCutShort));
    assert_eq!(told, b"");
}

#[test]
fn nothing_of_a_request_that_waits_was_sent() {
    let mut pair = Pair::inside(MYSQL, DEPRECATE_EOF, Some("shop"));
    pair.asks("DELETE FROM t");
    assert_eq!(pair.lost(), (Outcome::Requeue, Vec::new()));
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    pair.says(b"");
}

#[test]
fn a_command_that_went_out_in_part_ran_not_at_all() {
    let mut pair = Pair::mysql();
    let long = query(&format!("INSERT INTO t VALUES ('{}')", "a".repeat(1 << 19)));
    let sent = pair.says(&long[..1 << 18]);
    assert_eq!(sent.len(), 1 << 18);
    let (outcome, _) = pair.lost();
    // It was too long to look at, so that it is bound.
    assert_eq!(outcome, Outcome::Closes(CloseReason::PinnedBackendLost));
}

/// What is cut is cancelled for that: the client asked for no such thing.
#[test]
fn who_is_interrupted_by_the_cut_is_told_of_the_cut() {
    let struck = "ff 2505 23 3730313030 496e746572727570746564";
    let mut pair = in_transaction();
    pair.asks("SELECT SLEEP(9)");
    pair.link.as_mut().expect("a backend").cut();
    assert_eq!(pair.gives(struck), b"", "not that");
    assert_eq!(pair.released, [Release::Kill(KillReason::WriterLost)]);
    // Of what commits by itself that is the truth.
    let mut pair = Pair::mysql();
    pair.asks("CALL p()");
    pair.link.as_mut().expect("a backend").cut();
    assert_eq!(Pair::error(&pair.gives(struck)).0, 1317);
}

/// A client whose transaction is lost behind an INSERT, and that knows so.
fn without_an_id() -> Pair {
    let mut pair = Pair::mysql();
    pair.asks("INSERT INTO t(x) VALUES (1)");
    pair.gives("00010102000000");
    pair.tells_id(b"1");
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    pair.asks("INSERT INTO t(x) VALUES (1)");
    pair.gives("00010203000000");
    assert_eq!(pair.lost().0, Outcome::Stays);
    pair.says(&query("ROLLBACK"));
    pair.client.clear();
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    pair
}

#[test]
fn the_id_of_an_insert_that_was_lost_is_refused_until_there_is_another() {
    let mut pair = without_an_id();
    assert_eq!(pair.says(&query("SELECT LAST_INSERT_ID()")), b"");
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1235);
    assert_eq!(
        pair.asks("INSERT INTO t(x) VALUES (1)"),
        ["INSERT INTO t(x) VALUES (1)"]
    );
    pair.gives("00010202000000");
    pair.tells_id(b"2");
    assert!(pair.is_free());
    assert_eq!(
        pair.asks("SELECT LAST_INSERT_ID()"),
        ["SELECT LAST_INSERT_ID()"]
    );
}

/// Its next INSERT may make one, or say itself which it is.
#[test]
fn whether_there_is_another_is_asked_before_that_is_told_in_a_transaction() {
    for (id, told) in [("2", Ok(())), ("0", Err(1235))] {
        let mut pair = without_an_id();
        pair.asks("BEGIN");
        pair.gives("00000003000000");
        pair.asks("INSERT INTO t(x) VALUES (1)");
        pair.gives("00010203000000");
        pair.client.clear();
        let asks = "SET last_insert_id = LAST_INSERT_ID()";
        assert_eq!(pair.asks("SELECT LAST_INSERT_ID()"), [asks]);
        let answer = pair.tells_id(id.as_bytes());
        match told {
            Ok(()) => assert_eq!(pair.asked(), ["SELECT LAST_INSERT_ID()"]),
            Err(code) => assert_eq!(Pair::error(&answer).0, code),
        }
    }
}

/// One that inserts first asks for its own; who reads it where nobody sees that is told none.
#[test]
fn no_other_rows_id_takes_the_place_of_one_that_was_lost() {
    let none = "SET last_insert_id = 0";
    for (text, asked) in [
        (
            "INSERT INTO t(x) VALUES (1); SELECT LAST_INSERT_ID()",
            Some(none),
        ),
        ("SELECT f()", Some(none)),
        ("INSERT INTO t(x) VALUES (LAST_INSERT_ID())", None),
        ("INSERT INTO t(x) VALUES (LAST_INSERT_ID()); SELECT 1", None),
    ] {
        let mut pair = without_an_id();
        let agreed = DEPRECATE_EOF.and(MULTI_STATEMENTS);
        pair.session.dialect.multi_statements = true;
        let mut other = link(MYSQL, agreed);
        other.insert_id = Some(7);
        pair.spare = Some(other);
        let first = pair.asks(text).first().cloned();
        assert_eq!(first.as_deref(), asked, "{text}");
        assert_eq!(pair.client.is_empty(), asked.is_some(), "{text}");
    }
}

#[test]
fn behind_an_error_that_has_ended_its_transaction_a_write_may_be_committed() {
    let mut pair = Pair::new(super::pair::MARIADB, DEPRECATE_EOF);
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    pair.asks("UPDATE t SET a = 1");
    pair.gives("ff bd04 23 3430303031 64");
    pair.asked();
    assert_eq!(
        pair.asks("INSERT INTO t VALUES (1)"),
        ["INSERT INTO t VALUES (1)"]
    );
    assert_ne!(pair.lost().0, Outcome::Stays);
}
