//! What a backend has of one client that another must not see.

use crate::message::capability::*;
use crate::message::session_track::Change;

use super::pair::{link, Pair, MARIADB, MYSQL};
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
