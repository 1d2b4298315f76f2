//! A target is an address, not a name: what becomes of connections when it moves.

use std::sync::Arc;

use dbproxy_driver::Duration;
use dbproxy_server::TlsMode;

use super::stage::Stage;
use crate::desired::{database_at, READ_PORT, WRITE_PORT};
use crate::postgres::backend::INIT_QUERY;

#[test]
fn an_idle_connection_to_an_address_of_before_serves_nobody() {
    let mut stage = Stage::new();
    let reader = stage.join(READ_PORT);
    assert_eq!(stage.served_by(reader), 1);
    stage.desired.addresses[1] = vec![database_at(2)];
    stage.apply();
    stage.until("closed", |stage| stage.sessions(1) == 0);
    assert_eq!(stage.served_by(reader), 2);
}

#[test]
fn a_lent_connection_to_a_reader_that_moved_goes_at_its_release() {
    let mut stage = Stage::new();
    let reader = stage.join(READ_PORT);
    stage.query(reader, "BEGIN");
    stage.desired.addresses[1] = vec![database_at(2)];
    stage.apply();
    stage.pass(Duration::from_millis(50));
    assert_eq!(stage.served_by(reader), 1);
    stage.query(reader, "COMMIT");
    assert_eq!(stage.served_by(reader), 2);
    stage.until("closed", |stage| stage.sessions(1) == 0);
}

#[test]
fn a_pinned_session_does_not_go_on_where_the_writer_was() {
    for new_epoch in [true, false] {
        let mut stage = Stage::new();
        let client = stage.join(WRITE_PORT);
        stage.query(client, "LISTEN ?");
        stage.desired.addresses[0] = vec![database_at(2)];
        match new_epoch {
            true => stage.name_writer("db0"),
            false => stage.apply(),
        }
        let epoch = stage.desired.writer.epoch;
        stage.until("closed", |stage| stage.person(client).closed);
        assert_eq!(stage.person(client).errors, ["57P01"]);
        stage.until("drained", |s| s.drained("db0", epoch) == Some(true));
        assert_eq!(stage.sessions(0), 0);
        let other = stage.join(WRITE_PORT);
        assert_eq!(stage.served_by(other), 2);
    }
}

#[test]
fn a_transaction_is_told_that_its_writer_moved() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.query(client, "INSERT INTO orders VALUES (?)");
    stage.desired.addresses[0] = vec![database_at(2)];
    stage.name_writer("db0");
    stage.until("drained", |s| s.drained("db0", 2) == Some(true));
    let lost = stage.query(client, "SELECT ?");
    assert_eq!(lost.as_deref(), Some("40001"));
    stage.query(client, "ROLLBACK");
    assert_eq!(stage.served_by(client), 2);
    assert!(stage.witness.borrow().ledgers[0].is_empty());
}

#[test]
fn a_new_epoch_of_the_writer_where_it_was_disturbs_nobody() {
    let mut stage = Stage::new();
    let (pinned, busy) = (stage.join(WRITE_PORT), stage.join(WRITE_PORT));
    stage.query(pinned, "LISTEN ?");
    stage.query(busy, "BEGIN");
    let sessions = stage.sessions(0);
    stage.name_writer("db0");
    stage.until("acknowledged", |s| s.drained("", 2) == Some(true));
    assert_eq!(stage.served_by(pinned), 0);
    assert_eq!(stage.query(busy, "COMMIT"), None);
    assert_eq!(stage.sessions(0), sessions);
    // They are the former writer's all the same when there is another one.
    stage.name_writer("db1");
    stage.until("cut", |stage| stage.person(pinned).closed);
    stage.until("drained", |s| s.drained("db0", 3) == Some(true));
    assert_eq!(stage.sessions(0), 0);
}

#[test]
fn of_several_addresses_only_the_one_that_left_is_cut() {
    let mut stage = Stage::new();
    let stays = stage.join(WRITE_PORT);
    stage.query(stays, "LISTEN ?");
    stage.desired.addresses[0] = vec![database_at(0), database_at(2)];
    stage.name_writer("db0");
    stage.until("acknowledged", |s| s.drained("", 2) == Some(true));
    stage.databases[0].1.let_nobody_in();
    let goes = stage.join(WRITE_PORT);
    stage.query(goes, "LISTEN ?");
    assert_eq!(stage.served_by(goes), 2);
    stage.desired.addresses[0] = vec![database_at(0), database_at(3)];
    stage.name_writer("db0");
    stage.until("cut", |stage| stage.person(goes).closed);
    stage.until("drained", |s| s.drained("db0", 3) == Some(true));
    assert_eq!(stage.served_by(stays), 0);
    assert_eq!(stage.sessions(2), 0);
}

#[test]
fn a_name_that_cannot_be_resolved_for_a_while_cuts_nobody() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "LISTEN ?");
    stage.desired.addresses[0] = Vec::new();
    stage.apply();
    stage.pass(Duration::from_millis(50));
    assert_eq!(stage.served_by(client), 0);
    stage.desired.addresses[0] = vec![database_at(2)];
    stage.apply();
    stage.until("cut", |stage| stage.person(client).closed);
}

#[test]
fn connections_of_other_settings_than_now_serve_nobody() {
    let changes: [fn(&mut Stage); 3] = [
        |stage| stage.desired.init_query = Some(INIT_QUERY),
        |stage| stage.desired.server_tls = TlsMode::Required,
        |stage| stage.desired.users = Arc::default(),
    ];
    for change in changes {
        let mut stage = Stage::new();
        let client = stage.join(WRITE_PORT);
        stage.query(client, "BEGIN");
        change(&mut stage);
        stage.apply();
        stage.pass(Duration::from_millis(50));
        assert_eq!(stage.served_by(client), 0, "a transaction was disturbed");
        stage.query(client, "COMMIT");
        stage.until("closed", |stage| stage.sessions(0) == 0);
    }
}

#[test]
fn settings_that_are_handed_down_again_close_nothing() {
    let mut stage = Stage::new();
    stage.desired.init_query = Some(INIT_QUERY);
    stage.desired.server_tls = TlsMode::Disabled;
    stage.apply();
    stage.pass(Duration::from_millis(20));
    let client = stage.join(WRITE_PORT);
    assert_eq!(stage.served_by(client), 0);
    let session = stage.person(client).session.clone();
    stage.apply();
    stage.pass(Duration::from_millis(50));
    assert_eq!(stage.served_by(client), 0);
    assert_eq!(stage.person(client).session, session);
}

#[test]
fn a_session_that_began_with_other_defaults_serves_nobody_after_its_release() {
    let mut stage = Stage::new();
    stage.desired.defaults = "before";
    stage.apply();
    stage.pass(Duration::from_millis(20));
    let [holds, idle] = [0; 2].map(|_| stage.join(WRITE_PORT));
    stage.query(holds, "BEGIN");
    stage.query(holds, "SELECT ?");
    let held = stage.person(holds).session.clone();
    stage.query(idle, "SELECT ?");
    let before = stage.person(idle).session.clone();
    stage.desired.defaults = "after";
    stage.apply();
    stage.pass(Duration::from_millis(20));
    stage.query(idle, "SELECT ?");
    assert_ne!(stage.person(idle).session, before);
    stage.query(holds, "SELECT ?");
    assert_eq!(stage.person(holds).session, held, "lost in its transaction");
    stage.query(holds, "COMMIT");
    stage.until("its end", |stage| stage.sessions(0) == 1);
    // What isn't known ends nothing.
    stage.query(idle, "SELECT ?");
    let after = stage.person(idle).session.clone();
    for defaults in ["", "after"] {
        stage.desired.defaults = defaults;
        stage.apply();
        stage.pass(Duration::from_millis(20));
        stage.query(idle, "SELECT ?");
        assert_eq!(stage.person(idle).session, after);
    }
}
