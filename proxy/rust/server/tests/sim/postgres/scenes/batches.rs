//! Batches whose end is long in coming.

use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::desired::WRITE_PORT;
use crate::postgres::wire;

#[test]
fn a_message_that_fails_is_answered_before_its_batch_ends() {
    let mut stage = Stage::with_one_connection();
    let client = stage.join(WRITE_PORT);
    stage.send(client, wire::bind("missing", None));
    stage.until("told", |stage| !stage.person(client).errors.is_empty());
    assert_eq!(stage.person(client).errors, ["26000"]);
    let before = stage.person(client).ready;
    stage.send(client, wire::sync());
    stage.until("ready", |stage| stage.person(client).ready == before + 1);
    assert_eq!(stage.query(client, "SELECT ?"), None);
}

#[test]
fn rows_come_before_their_batch_ends() {
    let mut stage = Stage::with_one_connection();
    let client = stage.join(WRITE_PORT);
    let query = stage
        .person_mut(client)
        .statement("SELECT * FROM big WHERE t = ?");
    let batch = [
        wire::parse("", wire::text_at(&query[5..])),
        wire::bind("", None),
        wire::execute(),
    ];
    stage.send(client, batch.concat());
    stage.until("a row", |stage| stage.person(client).heard_any(b'D'));
    let before = stage.person(client).ready;
    stage.send(client, wire::sync());
    stage.until("ready", |stage| stage.person(client).ready == before + 1);
}

#[test]
fn what_fails_is_answered_also_where_its_message_was_long_in_coming() {
    let mut stage = Stage::with_one_connection();
    let client = stage.join(WRITE_PORT);
    let bind = wire::bind("missing", None);
    let (half, rest) = bind.split_at(8);
    stage.send(client, half.to_vec());
    stage.pass(Duration::from_secs(1));
    stage.send(client, rest.to_vec());
    stage.until("told", |stage| !stage.person(client).errors.is_empty());
}

#[test]
fn a_message_that_is_long_in_coming_holds_no_connection() {
    let mut stage = Stage::with_one_connection();
    let (client, other) = (stage.join(WRITE_PORT), stage.join(WRITE_PORT));
    let batch = [wire::parse("", "SELECT 1"), wire::sync()].concat();
    let (half, rest) = batch.split_at(8);
    stage.send(client, half.to_vec());
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.query(other, "BEGIN"), None);
    assert_eq!(stage.query(other, "COMMIT"), None);
    let before = stage.person(client).ready;
    stage.send(client, rest.to_vec());
    stage.until("ready", |stage| stage.person(client).ready == before + 1);
}

#[test]
fn what_was_begun_long_ago_wakes_nobody() {
    let mut stage = Stage::with_one_connection();
    let client = stage.join(WRITE_PORT);
    let begun = |stage: &mut Stage, ready| {
        let query = stage.person_mut(client).statement("SELECT ?");
        let (half, rest) = query.split_at(8);
        stage.send(client, half.to_vec());
        stage.pass(Duration::from_micros(300));
        stage.send(client, rest.to_vec());
        stage.until("ready", |stage| stage.person(client).ready == ready);
    };
    let first = stage.person(client).ready + 1;
    let before = stage.idle_turns();
    (first..first + 1000).for_each(|ready| begun(&mut stage, ready));
    let more = stage.idle_turns() - before;
    assert!(more < 500, "{more} turns for nothing");
}
