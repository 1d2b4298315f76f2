//! What a backend has of one client that another must not see.

use crate::message::capability::*;
use crate::message::session_track::Change;

use super::pair::{hex, link, Pair, MARIADB, MYSQL};
use super::*;

const DENIED: &str = "ff7a04233432533032 61";

#[test]
fn what_somebody_else_may_have_left_is_never_told() {
    let mut pair = Pair::mysql();
    for _ in 0..2 {
        pair.asks("GET DIAGNOSTICS @a = NUMBER");
        let told = std::mem::take(&mut pair.client);
        assert_eq!(Pair::error(&told).0, 1235);
        pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    }
}

/// Only a statement with a table takes them away there.
#[test]
fn mariadbs_warnings_are_taken_away_before_the_next_client_has_the_backend() {
    let mut pair = Pair::new(MARIADB, DEPRECATE_EOF);
    pair.asks("DO missing()");
    pair.gives(DENIED);
    let mut soiled = pair.link.take().expect("it is asked what was set");
    soiled.owed.clear();
    for (clean, wanted) in [
        (false, "SET last_insert_id = (SELECT 0 FROM (SELECT 1) t)"),
        (true, "BEGIN"),
    ] {
        let mut other = Pair::new(MARIADB, DEPRECATE_EOF);
        soiled.warned = !clean;
        let spare = std::mem::replace(&mut soiled, link(MARIADB, DEPRECATE_EOF));
        other.spare = Some(spare);
        assert_eq!(other.asks("BEGIN")[0], wanted);
    }
}

/// What was set for the transaction that this ends stays for the next one, and no report tells of it.
#[test]
fn autocommit_that_ends_a_transaction_leaves_a_backend_to_be_cleaned() {
    for (asked, released) in [(Some("SELECT 1"), Release::Reset), (None, Release::Clean)] {
        let mut pair = Pair::mysql();
        pair.asks("SET autocommit=0");
        let (name, off, on) = (&b"autocommit"[..], &b"OFF"[..], &b"ON"[..]);
        pair.reports(
            0,
            &[Change::Variable { name, value: off }, Change::State(true)],
        );
        if let Some(text) = asked {
            pair.asks(text);
            pair.gives("00000000000000");
        }
        pair.asks("SET autocommit=1");
        pair.reports(
            2,
            &[Change::Variable { name, value: on }, Change::State(true)],
        );
        assert_eq!(pair.released.last(), Some(&released));
    }
}

/// One row of a write on MariaDB, whose end says that something has changed.
const WRITTEN: &str =
    "0100000101 050000020364656661 05000003fe00000200 020000040131 05000005fe00000240";

/// Its flag says that something changed, which its own commit does; what else there is it tells when it is asked.
#[test]
fn mariadbs_rows_of_a_write_bind_only_if_it_has_left_something() {
    let rows = WRITTEN;
    let begins = ["BEGIN", "ROLLBACK AND NO CHAIN NO RELEASE"];
    for (left, pinned) in [(false, None), (true, Some(PinReason::Untracked))] {
        let mut pair = Pair::new(MARIADB, Capabilities::default());
        pair.asks("INSERT INTO t(x) VALUES (1) RETURNING x");
        pair.answers(&hex(rows));
        assert_eq!(pair.pinned(), None);
        let id = "SET last_insert_id = LAST_INSERT_ID()";
        assert_eq!(pair.asked(), [begins[0], begins[1], id]);
        let begun = [Change::State(true)];
        let (name, value) = (&b"last_insert_id"[..], &b"3"[..]);
        pair.reports(1, &begun[..usize::from(left)]);
        pair.reports(2, &[]);
        pair.reports(2, &[Change::Variable { name, value }, Change::State(true)]);
        assert_eq!((pair.pinned(), pair.is_free()), (pinned, !left));
    }
}

/// Where another statement comes between, it could hide what was left.
#[test]
fn mariadbs_rows_of_a_write_bind_where_more_is_done() {
    for first in [
        "INSERT INTO t(x) VALUES (1) RETURNING x; SET time_zone = '+01:00'",
        "SELECT f()",
    ] {
        let mut pair = Pair::new(MARIADB, MULTI_STATEMENTS);
        pair.asks(first);
        let more = WRITTEN.strip_suffix("0240").unwrap().to_owned() + "0a40";
        pair.answers(&hex(&more));
        assert_eq!(pair.pinned(), Some(PinReason::Untracked), "{first}");
    }
    let mut pair = Pair::new(MARIADB, Capabilities::default());
    pair.asks("BEGIN");
    pair.reports(3, &[]);
    pair.asks("INSERT INTO t(x) VALUES (1) RETURNING x");
    pair.answers(&hex(
        &(WRITTEN.strip_suffix("0240").unwrap().to_owned() + "0340")
    ));
    assert_eq!((pair.pinned(), pair.asked()), (None, vec![]));
}

/// What the client asks behind it commits by itself.
#[test]
fn the_transaction_that_tells_what_is_left_is_not_the_clients() {
    let mut pair = Pair::new(MARIADB, Capabilities::default());
    pair.asks("INSERT INTO t(x) VALUES (1) RETURNING x");
    pair.answers(&hex(WRITTEN));
    pair.reports(3, &[]);
    pair.asks("INSERT INTO t(x) VALUES (2)");
    let (outcome, told) = pair.lost();
    assert_eq!(outcome, Outcome::Closes(CloseReason::OutcomeUnknown));
    assert_eq!(Pair::error(&told).0, 1158);
}
