//! KILL, by the number of a client of the proxy's and by any other.

use dbproxy_engine::{Kill, Session as _, CLIENT_IDS};

use crate::message::{command, ok};

use super::pair::{packet, payloads, query, Pair, MARIADB, MYSQL, OWN_ID};
use super::*;

const OTHER: u32 = CLIENT_IDS.start + 5;

fn ok(status: u8) -> Vec<Vec<u8>> {
    vec![vec![ok::TAG, 0, 0, status, 0, 0, 0]]
}

#[test]
fn whom_the_proxy_has_given_a_number_it_looks_for_and_no_database_is_asked() {
    let process_kill = packet(
        0,
        &[&[command::PROCESS_KILL], &OTHER.to_le_bytes()[..]].concat(),
    );
    for (said, whole) in [
        (query(&format!("KILL QUERY {OTHER}")), false),
        (query(&format!("KILL {OTHER}")), true),
        (process_kill, true),
    ] {
        let mut pair = Pair::mysql();
        assert_eq!(pair.says(&said), b"");
        assert!(pair.link.is_none() && pair.client.is_empty());
        assert_eq!(pair.kills, [Kill { id: OTHER, whole }]);
        assert_eq!(payloads(&pair.killed(Killed::Done)), ok(2));
    }
}

#[test]
fn it_is_told_what_became_of_it() {
    for (outcome, code) in [
        (Killed::Unknown, 1094),
        (Killed::NotOwner, 1095),
        (Killed::Ambiguous, 1235),
        (Killed::Undelivered, 1105),
    ] {
        let mut pair = Pair::mysql();
        pair.asks(&format!("KILL {OTHER}"));
        assert_eq!(Pair::error(&pair.killed(outcome)).0, code);
        assert_eq!(pair.closed, None);
    }
}

#[test]
fn until_it_is_told_nothing_else_is_looked_at_and_it_is_not_let_go() {
    let mut pair = Pair::mysql();
    let kill = format!("KILL QUERY {OTHER}");
    let both = [query(&kill), query("SELECT 1")].concat();
    assert_eq!(pair.says(&both), b"");
    assert!(!pair.session.at_boundary());
    assert_eq!(payloads(&pair.killed(Killed::Done)), ok(2));
    assert_eq!(pair.asked(), ["SELECT 1"]);
    // One that comes late is nobody's.
    assert_eq!(pair.killed(Killed::Done), b"");
}

#[test]
fn amid_a_transaction_the_backend_stays_and_hears_nothing_of_it() {
    let mut pair = Pair::mysql();
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    assert_eq!(pair.asks(&format!("KILL {OTHER}")), Vec::<String>::new());
    assert!(pair.link.is_some());
    assert_eq!(payloads(&pair.killed(Killed::Done)), ok(3));
    assert_eq!(pair.asks("COMMIT"), ["COMMIT"]);
}

/// Who waits reads an answer to its KILL, not to nothing.
#[test]
fn a_backend_that_is_lost_meanwhile_is_told_of_in_turn() {
    let mut pair = Pair::mysql();
    pair.asks("SELECT GET_LOCK('a', 1)");
    pair.gives("00000002000000");
    pair.asks(&format!("KILL {OTHER}"));
    let (outcome, told) = pair.lost();
    assert_eq!(outcome, Outcome::Closes(CloseReason::PinnedBackendLost));
    assert_eq!(told[3], 1);
    assert_eq!(pair.killed(Killed::Done), b"");
}

#[test]
fn who_kills_itself_is_told_as_its_server_tells_it() {
    for (version, whole, code) in [
        (MYSQL, false, 1317),
        (MYSQL, true, 1317),
        (MARIADB, false, 1317),
        (MARIADB, true, 1927),
    ] {
        let mut pair = Pair::new(version, Capabilities::default());
        let what = if whole { "CONNECTION" } else { "QUERY" };
        pair.asks(&format!("KILL {what} {OWN_ID}"));
        let told = std::mem::take(&mut pair.client);
        assert_eq!(Pair::error(&told).0, code);
        assert_eq!(pair.closed, whole.then_some(CloseReason::Killed));
    }
}

#[test]
fn a_number_of_the_databases_own_is_for_it_to_judge() {
    for number in [0, 57, u64::from(CLIENT_IDS.start) - 1, 1 << 31, 1 << 40] {
        let mut pair = Pair::mysql();
        let text = format!("KILL QUERY {number}");
        assert_eq!(pair.asks(&text), [text]);
        assert_eq!(pair.kills, []);
    }
    let mut pair = Pair::mysql();
    let said = packet(0, &[command::PROCESS_KILL, 57, 0, 0, 0]);
    assert_eq!(pair.says(&said), said);
    assert_eq!(payloads(&pair.gives("00000002000000")), ok(2));
    assert!(pair.is_free());
}

#[test]
fn what_cannot_be_translated_reaches_no_database() {
    for (said, code) in [
        (query("KILL USER app"), 1235),
        (query("KILL QUERY ID 5"), 1235),
        (query("KILL 1 + 1"), 1235),
        (
            packet(0, &[&[command::STMT_PREPARE], &b"KILL 5"[..]].concat()),
            1235,
        ),
        (packet(0, &[command::PROCESS_KILL, 57, 0, 0]), 1835),
    ] {
        let mut pair = Pair::mysql();
        assert_eq!(pair.says(&said), b"");
        let told = std::mem::take(&mut pair.client);
        assert_eq!(Pair::error(&told).0, code);
    }
}
