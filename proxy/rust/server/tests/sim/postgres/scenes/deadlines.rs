//! No state of a backend lasts for ever.

use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::desired::WRITE_PORT;
use crate::postgres::wire;

#[test]
fn a_reset_that_is_never_answered_gives_its_place_back() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "LISTEN ?");
    stage.mute(0, true);
    stage.send(client, wire::message(b'X', &[]));
    stage.pass(Duration::from_secs(25));
    assert_eq!(stage.held("db0"), 0);
}

#[test]
fn an_orphan_that_never_ends_gives_its_place_back() {
    let mut stage = Stage::new();
    let client = stage.join_and_write_in_vain();
    stage.leave(client);
    stage.pass(Duration::from_secs(3700));
    assert_eq!(stage.held("db0"), 0);
}
