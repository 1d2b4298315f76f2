//! Cancels: what they strike, and when they are over.

use dbproxy_driver::sim::Random;
use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::desired::WRITE_PORT;

/// When its connection is closed, a cancel is over: drivers go on with the transaction then.
#[test]
fn a_cancel_that_is_over_strikes_no_later_statement() {
    for seed in 0..300 {
        let mut stage = Stage::with(seed, 1);
        let mut random = Random::new(seed);
        let client = stage.join(WRITE_PORT);
        stage.query(client, "BEGIN");
        let ready = stage.person(client).ready;
        stage.ask(client, "SELECT pg_sleep(1), ?");
        stage.pass(Duration::from_micros(random.between(292_000, 306_000)));
        let cancel = stage.cancel(client);
        stage.until("over", |stage| {
            stage.person(cancel).closed && stage.person(client).ready > ready
        });
        let next = stage.query(client, "SELECT pg_sleep(1), ?");
        assert_ne!(next.as_deref(), Some("57014"), "seed {seed}");
    }
}

#[test]
fn a_cancel_that_strikes_nothing_is_over_at_once() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    let begun = stage.network.now();
    let cancel = stage.cancel(client);
    stage.until("over", |stage| stage.person(cancel).closed);
    assert!(stage.network.now().since(begun) < Duration::from_secs(1));
}

#[test]
fn a_cancel_that_the_database_never_confirms_is_over_all_the_same() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT pg_sleep(1), ?");
    stage.pass(Duration::from_millis(50));
    stage.mute(0, true);
    let cancel = stage.cancel(client);
    stage.pass(Duration::from_secs(2));
    assert!(!stage.person(cancel).closed, "nothing was delivered yet");
    stage.until("over", |stage| stage.person(cancel).closed);
}
