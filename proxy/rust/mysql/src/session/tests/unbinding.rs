//! What a session sets by name, and when what binds it is over.

use dbproxy_engine::{Rules, Session as _};

use crate::message::capability::*;
use crate::message::session_track::{Change, Transaction};

use super::pair::{hex, link, packet, Pair, MARIADB, MYSQL};
use super::*;

const OK: &str = "00000002000000";
const ERROR: &str = "ff7a04233432533032 61";

/// A result of one number.
fn row(value: u8) -> Vec<u8> {
    let column = hex("0364656600000001780000 0c3f00 15000000 08 8000 00 0000");
    let packets = [
        packet(1, &[1]),
        packet(2, &column),
        packet(3, &[1, value]),
        packet(4, &hex("fe000002000000")),
    ];
    packets.concat()
}

fn unpinned(pair: &mut Pair) -> bool {
    if pair.link.is_some() {
        assert_eq!(pair.asked(), ["SET last_insert_id = LAST_INSERT_ID()"]);
        let (name, value) = (&b"last_insert_id"[..], &b"2"[..]);
        pair.reports(2, &[Change::Variable { name, value }, Change::State(true)]);
    }
    pair.notes.last() == Some(&Note::Unpinned(None))
        && pair.released.last() == Some(&Release::Reset)
        && pair.link.is_none()
}

#[test]
fn user_variables_are_set_again_on_another_backend() {
    for version in [MYSQL, MARIADB] {
        let mut pair = Pair::new(version, DEPRECATE_EOF);
        pair.asks("SET @a = 5, @B = 'x'");
        pair.reports(2, &[Change::State(true)]);
        assert_eq!(
            pair.released,
            [Release::Reset],
            "nobody else is to see them"
        );
        assert!(pair.notes.is_empty());
        pair.spare = Some(link(version, DEPRECATE_EOF));
        // And waited for.
        assert_eq!(pair.asks("SELECT @a"), ["SET @`a`=5, @`b`='x'"]);
        pair.gives(OK);
        assert_eq!(pair.asked(), ["SELECT @a"]);
        pair.gives(OK);
        assert_eq!(pair.released, [Release::Reset; 2]);
    }
}

#[test]
fn a_variable_that_is_set_otherwise_binds() {
    for text in [
        "SET @a = 1 + 1",
        "SET @a = 1, time_zone = 'SYSTEM'",
        "SET @a = @b",
    ] {
        let mut pair = Pair::mysql();
        pair.asks(text);
        assert_eq!(pair.pinned(), Some(PinReason::UserVariable), "{text}");
    }
    // Nobody knows what an error or a warning has left.
    for answer in [ERROR, "00000002000100"] {
        let mut pair = Pair::mysql();
        pair.asks("SET @a = 1");
        pair.gives(answer);
        assert_eq!(pair.pinned(), Some(PinReason::UserVariable));
    }
    // A string is read otherwise from there on.
    for (text, binds) in [("SET @a = 'x'", true), ("SET @a = 5", false)] {
        let mut pair = Pair::mysql();
        pair.asks(text);
        pair.reports(2, &[Change::State(true)]);
        pair.asks("SET sql_mode = 'ANSI'");
        pair.gives(OK);
        pair.asked();
        let (name, value) = (&b"sql_mode"[..], &b"ANSI"[..]);
        pair.reports(2, &[Change::Variable { name, value }, Change::State(true)]);
        assert_eq!(pair.pinned().is_some(), binds, "{text}");
    }
}

#[test]
fn locked_tables_bind_until_they_are_unlocked() {
    let mut pair = Pair::mysql();
    pair.asks("LOCK TABLES t READ");
    pair.reports(2, &[Change::Transaction(Transaction(*b"_______L"))]);
    assert_eq!(pair.pinned(), Some(PinReason::LockedTables));
    pair.asks("UNLOCK TABLES");
    pair.reports(2, &[Change::Transaction(Transaction(*b"________"))]);
    assert!(unpinned(&mut pair), "{:?}", pair.notes);
    // Of another lock it doesn't tell.
    let mut pair = Pair::mysql();
    for text in ["LOCK INSTANCE FOR BACKUP", "UNLOCK TABLES"] {
        pair.asks(text);
        pair.gives(OK);
    }
    assert_eq!(pair.pinned(), Some(PinReason::LockedTables));
}

#[test]
fn a_lock_binds_until_the_server_says_that_it_was_the_last() {
    let mut pair = Pair::mysql();
    for (text, value, left) in [
        ("SELECT GET_LOCK('x', 0)", b'1', true),
        ("SELECT GET_LOCK('y', 0)", b'1', true),
        ("SELECT RELEASE_LOCK('z')", b'0', true),
        ("SELECT RELEASE_LOCK('x')", b'1', true),
        ("SELECT RELEASE_LOCK('y')", b'1', false),
    ] {
        pair.asks(text);
        pair.answers(&row(value));
        assert_eq!(pair.pinned().is_some(), left, "{text}");
    }
    assert!(unpinned(&mut pair));
    for (text, left) in [
        ("SELECT GET_LOCK('x', 0), GET_LOCK('y', 0)", true),
        ("SELECT RELEASE_LOCK('x')", true),
        ("SELECT RELEASE_ALL_LOCKS()", false),
    ] {
        pair.asks(text);
        pair.answers(&row(b'1'));
        assert_eq!(pair.pinned().is_some(), left, "{text}");
    }
}

#[test]
fn temporary_tables_bind_until_as_many_are_dropped() {
    let mut pair = Pair::mysql();
    for (text, changed, left) in [
        ("CREATE TEMPORARY TABLE a (n INT)", true, true),
        ("CREATE TEMPORARY TABLE b LIKE t", true, true),
        ("DROP TEMPORARY TABLE IF EXISTS c", false, true),
        ("DROP TEMPORARY TABLE IF EXISTS a", true, true),
        ("DROP TEMPORARY TABLE d.b", true, false),
    ] {
        pair.asks(text);
        match changed {
            true => pair.reports(2, &[Change::State(true)]),
            false => pair.gives(OK),
        };
        assert_eq!(pair.pinned().is_some(), left, "{text} {:?}", pair.notes);
    }
    assert!(unpinned(&mut pair));
    // One that isn't made is none.
    pair.asks("CREATE TEMPORARY TABLE a (n INT)");
    pair.gives(ERROR);
    assert_eq!(pair.pinned(), None);
    let mut pair = Pair::mysql();
    for text in [
        "CREATE TEMPORARY TABLE IF NOT EXISTS a (n INT)",
        "DROP TEMPORARY TABLE a",
    ] {
        pair.asks(text);
        pair.gives(OK);
    }
    assert_eq!(pair.pinned(), Some(PinReason::TemporaryObject));
}

#[test]
fn what_is_set_for_the_next_transaction_holds_to_its_end() {
    for version in [MYSQL, MARIADB] {
        let mut pair = Pair::new(version, DEPRECATE_EOF);
        for (text, answer) in [
            ("SET TRANSACTION READ ONLY", OK),
            ("SELECT 1", OK),
            ("BEGIN", "00000003200000"),
            ("SELECT 1", "00000003200000"),
        ] {
            pair.asks(text);
            pair.gives(answer);
            assert!(pair.link.is_some() && pair.pinned().is_none(), "{text}");
        }
        pair.asks("COMMIT");
        pair.gives(OK);
        assert_eq!(pair.released, [Release::Reset]);
    }
    let mut pair = Pair::mysql();
    pair.asks("SET TRANSACTION READ ONLY");
    pair.gives(OK);
    let (outcome, _) = pair.lost();
    assert_eq!(outcome, Outcome::Closes(CloseReason::PinnedBackendLost));
}

#[test]
fn by_the_operators_rules_nothing_that_is_set_binds() {
    let (name, value) = (&b"timestamp"[..], &b"5.000000"[..]);
    for (text, changes) in [
        (
            "SET timestamp = 5",
            vec![Change::Variable { name, value }, Change::State(true)],
        ),
        ("SET @a = 1 + 1", vec![Change::State(true)]),
        (
            "SET @a = 1, time_zone = 'SYSTEM'",
            vec![Change::State(true)],
        ),
    ] {
        let mut pair = Pair::mysql();
        pair.rules = Rules {
            excludes_settings: true,
            ..Rules::default()
        };
        pair.asks(text);
        pair.reports(2, &changes);
        pair.asked();
        assert_eq!(pair.pinned(), None, "{text}");
        let link = pair.link.take().or(pair.spare.take()).expect("a backend");
        assert_eq!(link.leave, Leave::Dirty, "{text}");
    }
}

#[test]
fn a_write_that_gives_rows_may_have_made_an_id() {
    let mut pair = Pair::new(MARIADB, DEPRECATE_EOF);
    pair.asks("INSERT INTO t(x) VALUES (1) RETURNING id");
    pair.answers(&row(1));
    assert_eq!(pair.asked(), ["SET last_insert_id = LAST_INSERT_ID()"]);
}

/// An error doesn't say whether a transaction is open.
#[test]
fn who_is_bound_has_begun_something_where_its_statement_failed_with_autocommit_off() {
    let mut pair = Pair::mysql();
    pair.asks("LOCK TABLES t READ");
    pair.gives("00000002000000");
    pair.asks("SET autocommit=0");
    pair.gives("00000000000000");
    assert!(pair.pinned().is_some() && pair.session.at_boundary());
    pair.asks("SELECT a FROM t");
    pair.gives("ff 2505 23 3730313030 73");
    assert!(!pair.session.at_boundary());
    pair.asks("ROLLBACK");
    pair.gives("00000000000000");
    assert!(pair.session.at_boundary());
}
