//! COM_CHANGE_USER: what a session does before its client logs in again.

use crate::login::MOST_FAILURES;
use crate::message::command;

use super::pair::{packet, Pair, MARIADB};
use super::*;

fn change_user() -> Vec<u8> {
    packet(0, &[&[command::CHANGE_USER], &b"app\0\0\0"[..]].concat())
}

#[test]
fn without_a_backend_none_is_asked_for() {
    let mut pair = Pair::mysql();
    assert_eq!(pair.says(&change_user()), b"");
    assert!(pair.again && pair.link.is_none() && pair.client.is_empty());
}

#[test]
fn amid_a_transaction_the_backend_is_left_to_be_cleaned() {
    let mut pair = Pair::mysql();
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    assert_eq!(pair.says(&change_user()), b"");
    assert!(pair.again && pair.client.is_empty());
    let link = pair.link.as_mut().expect("a backend");
    let left = dbproxy_engine::Session::abandon(&mut pair.session, link);
    assert_eq!(left, Abandoned::Free(Release::Reset));
}

#[test]
fn what_was_asked_before_is_answered_first() {
    let mut pair = Pair::mysql();
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    pair.asks("SELECT 1");
    pair.says(&change_user());
    assert!(!pair.again);
    pair.gives("00000003000000");
    assert!(pair.again);
}

#[test]
fn after_too_many_failures_there_is_no_other_try() {
    for begun in [false, true] {
        let mut pair = Pair::new(MARIADB, Capabilities::default());
        pair.session.failures = MOST_FAILURES;
        if begun {
            pair.asks("BEGIN");
            pair.gives("00000003000000");
            pair.client.clear();
        }
        pair.says(&change_user());
        assert!(!pair.again);
        assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1047);
    }
}
