//! COM_RESET_CONNECTION: what it makes new, and what not.

use dbproxy_engine::Session as _;

use crate::message::command;
use crate::message::session_track::Change;

use super::pair::{bare, hex, packet, query, Pair, MARIADB};
use super::*;

const OK: &str = "00000002000000";
const OFF: &str = "00000000000000";

fn resets(pair: &mut Pair) -> Vec<u8> {
    pair.says(&bare(command::RESET_CONNECTION));
    std::mem::take(&mut pair.client)
}

#[test]
fn each_statement_is_a_transaction_again() {
    let mut pair = Pair::mysql();
    pair.asks("SET autocommit = 0");
    let (name, value) = (&b"autocommit"[..], &b"OFF"[..]);
    pair.reports(0, &[Change::Variable { name, value }]);
    assert!(pair.is_free());
    pair.says(&bare(command::PING));
    assert_eq!(std::mem::take(&mut pair.client), packet(1, &hex(OFF)));
    assert_eq!(resets(&mut pair), packet(1, &hex(OK)));
}

#[test]
fn mysql_takes_its_own_character_set_and_mariadb_that_of_the_log_in() {
    let mut pair = Pair::mysql();
    resets(&mut pair);
    assert_eq!(
        pair.asks("SELECT 1"),
        [
            "SET @@session.character_set_client=DEFAULT, @@session.character_set_results=DEFAULT, \
          @@session.collation_connection=DEFAULT"
        ]
    );
    assert_eq!(pair.session.dialect().charset, Charset::Utf8);
    let mut pair = Pair::new(MARIADB, Capabilities::default());
    resets(&mut pair);
    assert_eq!(pair.asks("SELECT 1"), ["SELECT 1"]);
}

#[test]
fn several_statements_in_a_query_stay_as_they_were_set() {
    let mut pair = Pair::mysql();
    pair.says(&packet(0, &[command::SET_OPTION, 1, 0]));
    pair.gives("fe000002000000");
    assert!(pair.session.pinned());
    pair.says(&bare(command::RESET_CONNECTION));
    pair.gives(OK);
    assert!(pair.session.pinned());
    // What it changes is reported again.
    assert_eq!(pair.asked(), [crate::SETUP]);
    assert_eq!(pair.gives(OK), b"");
    assert_eq!(pair.says(&query("SELECT 1")), query("SELECT 1"));
}
