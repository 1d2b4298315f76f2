//! What operators limit is obeyed, and obeyed where it harms nobody.

use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::desired::WRITE_PORT;

const LIMIT: Duration = Duration::from_secs(5);

fn idles_for_a_while() -> Stage {
    let mut stage = Stage::with_one_connection();
    stage.desired.limits.idle_in_transaction_timeout = Some(LIMIT);
    stage.apply();
    stage.pass(Duration::from_millis(20));
    stage
}

#[test]
fn who_idles_in_a_transaction_is_told_so_and_its_transaction_rolled_back() {
    let mut stage = idles_for_a_while();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.query(client, "INSERT INTO orders VALUES (?)");
    stage.until("the end", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["25P03"]);
    assert_eq!(stage.closed_for("idle_in_transaction_timeout"), 1);
    // The only connection is somebody else's now, and nothing was committed.
    let other = stage.join(WRITE_PORT);
    assert_eq!(stage.query(other, "SELECT ?"), None);
    assert!(stage.witness.borrow().ledgers[0].is_empty());
}

#[test]
fn who_idles_in_a_failed_transaction_goes_too() {
    let mut stage = idles_for_a_while();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.query(client, "SELECT nowhere, ?");
    stage.until("the end", |stage| stage.person(client).closed);
    let told = stage.person(client).errors.last().cloned();
    assert_eq!(told.as_deref(), Some("25P03"));
}

#[test]
fn who_goes_on_with_its_transaction_in_time_stays() {
    let mut stage = idles_for_a_while();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    for _ in 0..6 {
        stage.pass(Duration::from_secs(3));
        assert_eq!(stage.query(client, "SELECT ?"), None);
    }
    assert_eq!(stage.query(client, "COMMIT"), None);
}

#[test]
fn who_waits_for_a_long_statement_or_is_idle_outside_of_a_transaction_stays() {
    let mut stage = idles_for_a_while();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.ask(client, "SELECT pg_sleep(20), ?");
    stage.pass(Duration::from_secs(19));
    stage.until("the answer", |stage| stage.person(client).ready == 3);
    stage.query(client, "COMMIT");
    stage.pass(Duration::from_secs(20));
    assert_eq!(stage.query(client, "SELECT ?"), None);
}
