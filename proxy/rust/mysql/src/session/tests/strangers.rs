//! What another client's trigger may have left in a user variable is told to nobody else.

use super::pair::{Pair, MARIADB, MYSQL};
use crate::message::capability::DEPRECATE_EOF;

const OK: &str = "00000002000000";

/// A client, and a backend in which others' statements have run.
fn pair(version: &str) -> Pair {
    let mut pair = Pair::new(version, DEPRECATE_EOF);
    if let Some(link) = &mut pair.spare {
        link.used = true;
    }
    pair
}

/// Whether it is reset before anything else.
fn resets(asked: &[String]) -> bool {
    let is_setup = |text: &String| text.starts_with("SET session_track_schema");
    asked.iter().take(2).any(is_setup)
}

#[test]
fn who_reads_a_variable_has_a_backend_that_is_as_new() {
    for version in [MYSQL, MARIADB] {
        let mut pair = pair(version);
        let asked = pair.asks("SELECT @a");
        assert!(resets(&asked), "{asked:?}");
        pair.gives(OK);
        pair.gives(OK);
        assert_eq!(pair.asked(), ["SELECT @a"]);
        let mut new = Pair::new(version, DEPRECATE_EOF);
        assert_eq!(new.asks("SELECT @a"), ["SELECT @a"]);
    }
}

#[test]
fn from_then_on_it_is_given_no_other() {
    let mut pair = pair(MYSQL);
    pair.asks("SELECT @a");
    pair.gives(OK);
    pair.gives(OK);
    pair.gives(OK);
    assert!(pair.link.is_none());
    pair.asked();
    let mut link = super::pair::link(MYSQL, DEPRECATE_EOF);
    link.used = true;
    pair.spare = Some(link);
    assert!(resets(&pair.asks("SELECT 1")));
}

#[test]
fn amid_a_transaction_it_is_told_null_of_what_it_has_not_set() {
    let mut pair = pair(MYSQL);
    assert_eq!(pair.asks("BEGIN"), ["BEGIN"]);
    pair.gives("00000003000000");
    assert_eq!(
        pair.asks("SELECT @a, @B, @a, @@a"),
        ["SET @`a`=NULL, @`b`=NULL"]
    );
    pair.gives("00000003000000");
    assert_eq!(pair.asked(), ["SELECT @a, @B, @a, @@a"]);
    pair.gives("00000003000000");
    assert_eq!(pair.asks("SELECT @a"), ["SELECT @a"]);
}

#[test]
fn what_its_own_statements_may_have_set_is_left() {
    let mut pair = pair(MYSQL);
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    pair.asks("INSERT INTO t VALUES (1)");
    pair.gives("00010003000000");
    assert_eq!(pair.asks("SELECT @a"), ["SELECT @a"]);
}
