//! Clients that send no more: what they are still told, and what becomes of their connections.

use dbproxy_driver::{Duration, Token};

use super::stage::Stage;
use crate::desired::WRITE_PORT;
use crate::postgres::wire;

/// Another client's statement, and how long it took.
fn served(stage: &mut Stage, other: Token) -> Duration {
    let begun = stage.network.now();
    assert_eq!(stage.query(other, "SELECT ?"), None);
    stage.network.now().since(begun)
}

#[test]
fn a_client_that_closed_its_side_gets_the_answers_to_what_it_sent() {
    let mut stage = Stage::with_one_connection();
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT pg_sleep(1), ?");
    stage.ask(client, "INSERT INTO orders VALUES (?)");
    stage.ask(client, "SELECT ?");
    stage.finish(client);
    stage.until("closed", |stage| stage.person(client).closed);
    let person = stage.person(client);
    assert_eq!((person.ready, person.errors.len()), (4, 0));
    assert_eq!(stage.witness.borrow().ledgers[0].len(), 1);
}

#[test]
fn what_stands_before_a_goodbye_is_answered() {
    let mut stage = Stage::with_one_connection();
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT pg_sleep(1), ?");
    stage.ask(client, "SELECT * FROM big WHERE t = ?");
    stage.send(client, wire::message(b'X', &[]));
    stage.finish(client);
    stage.until("closed", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).ready, 3);
}

#[test]
fn a_request_of_a_client_that_closed_its_side_waits_for_a_connection_for_a_short_time() {
    for (waits, answers) in [(1, 2), (3, 1)] {
        let mut stage = Stage::with_one_connection();
        let (holder, client) = (stage.join(WRITE_PORT), stage.join(WRITE_PORT));
        stage.query(holder, "BEGIN");
        stage.ask(client, "INSERT INTO orders VALUES (?)");
        stage.finish(client);
        stage.pass(Duration::from_secs(waits));
        assert_eq!(stage.person(client).closed, waits > 2);
        stage.query(holder, "COMMIT");
        stage.until("closed", |stage| stage.person(client).closed);
        assert_eq!(stage.person(client).ready, answers);
        stage.pass(Duration::from_secs(2));
        let written = stage.witness.borrow().ledgers[0].len();
        assert_eq!(written, answers - 1, "after {waits} s");
    }
}

#[test]
fn a_transaction_that_a_client_leaves_open_is_rolled_back_at_once() {
    for copies in [false, true] {
        let mut stage = Stage::with_one_connection();
        let (client, other) = (stage.join(WRITE_PORT), stage.join(WRITE_PORT));
        stage.query(client, "BEGIN");
        stage.query(client, "INSERT INTO orders VALUES (?)");
        if copies {
            stage.ask(client, "COPY ? FROM STDIN");
            stage.pass(Duration::from_millis(50));
        }
        stage.finish(client);
        stage.until("closed", |stage| stage.person(client).closed);
        let took = served(&mut stage, other);
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(stage.witness.borrow().ledgers[0].is_empty());
    }
}

#[test]
fn a_client_that_is_gone_altogether_holds_its_connection_for_a_while_only() {
    let mut stage = Stage::with_one_connection();
    let (client, other) = (stage.join(WRITE_PORT), stage.join(WRITE_PORT));
    stage.ask(client, "SELECT pg_sleep(60), ?");
    stage.pass(Duration::from_millis(50));
    stage.leave(client);
    let took = served(&mut stage, other);
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn an_answer_shows_that_a_client_is_gone() {
    let mut stage = Stage::with_one_connection();
    let (client, other) = (stage.join(WRITE_PORT), stage.join(WRITE_PORT));
    stage.ask(client, "SELECT endless, ?");
    stage.pass(Duration::from_millis(50));
    stage.leave(client);
    let took = served(&mut stage, other);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn an_answer_may_take_as_long_as_it_is_read() {
    let mut stage = Stage::with_one_connection();
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT endless, ?");
    stage.finish(client);
    stage.pass(Duration::from_secs(5));
    assert!(!stage.person(client).closed);
    assert!(stage.databases[0].1.is_sending());
    stage.leave(client);
    stage.until("ended", |stage| !stage.databases[0].1.is_sending());
}
