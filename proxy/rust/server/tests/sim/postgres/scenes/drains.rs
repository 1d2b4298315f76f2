//! What a former writer, or a pod that goes, still has of ours.

use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::desired::WRITE_PORT;

#[test]
fn after_an_acknowledgement_no_byte_reaches_the_former_writer() {
    let mut stage = Stage::new();
    let client = stage.join_and_write_in_vain();
    stage.name_writer("db1");
    stage.until("told", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["08007"]);
    stage.until("given up", |s| s.drained("db0", 2) == Some(false));
    stage.witness.borrow_mut().forbidden.insert((0, 0));
    stage.mute(0, false);
    stage.pass(Duration::from_secs(30));
    assert_eq!(stage.sessions(0), 0);
    assert!(stage.witness.borrow().ledgers[0].is_empty());
}

#[test]
fn a_cancel_under_way_ends_with_its_backend() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT pg_sleep(1), ?");
    stage.pass(Duration::from_millis(50));
    stage.mute(0, true);
    stage.name_writer("db1");
    stage.pass(Duration::from_millis(200));
    stage.reset_links_to(0);
    stage.until("drained", |s| s.drained("db0", 2) == Some(true));
    stage.mute(0, false);
    stage.pass(Duration::from_secs(10));
    assert_eq!(stage.databases[0].1.cancels, 0);
}

#[test]
fn a_server_that_is_gone_gets_no_cancel() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT pg_sleep(1), ?");
    stage.pass(Duration::from_millis(50));
    stage.reset_links_to(0);
    stage.until("told", |stage| !stage.person(client).errors.is_empty());
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.databases[0].1.cancels, 0);
}

#[test]
fn a_pod_that_goes_lets_go_of_idle_connections_at_once() {
    let mut stage = Stage::new();
    let busy = stage.join(WRITE_PORT);
    let idle = stage.join(WRITE_PORT);
    stage.query(busy, "BEGIN");
    assert_eq!(stage.served_by(idle), 0);
    assert_eq!(stage.held("db0"), 2);
    stage.shared.drain();
    stage.until("let go", |stage| stage.held("db0") == 1);
    stage.query(busy, "COMMIT");
    stage.until("let go", |stage| stage.held("db0") == 0);
}

#[test]
fn a_client_that_leaves_while_its_connection_is_cut_holds_no_drain_up() {
    let mut stage = Stage::new();
    let client = stage.join_and_write_in_vain();
    stage.name_writer("db1");
    stage.pass(Duration::from_millis(200));
    stage.leave(client);
    stage.until("drained", |s| s.drained("db0", 2).is_some());
}
