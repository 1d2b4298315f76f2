//! Log-ins to the databases: cut, given up, refused, at addresses that don't answer.

use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::clients::USERS;
use crate::desired::{database_at, nowhere, WRITE_PORT};

#[test]
fn cutting_a_log_in_begins_no_other_one() {
    let mut stage = Stage::new();
    stage.desired.addresses[0] = vec![nowhere(), database_at(0)];
    stage.apply();
    let client = stage.dial(WRITE_PORT, "shop");
    stage.until("begun", |stage| stage.held("db0") == 1);
    stage.name_writer("db1");
    stage.until("drained", |s| s.drained("db0", 2) == Some(true));
    stage.until("served", |stage| stage.person(client).ready == 1);
    stage.pass(Duration::from_secs(30));
    assert_eq!(stage.databases[0].1.admitted(), 0);
}

#[test]
fn a_log_in_that_is_cut_counts_until_the_server_lets_go() {
    let mut stage = Stage::new();
    stage.dial(WRITE_PORT, "shop");
    let host = stage.databases[0].0;
    stage.until("connected", |stage| {
        stage.network.links().iter().any(|link| link.to == host)
    });
    stage.mute(0, true);
    stage.pass(Duration::from_millis(50));
    stage.name_writer("db1");
    stage.pass(Duration::from_secs(3));
    assert_eq!(stage.held("db0"), 1);
    assert_eq!(stage.drained("db0", 2), None);
    stage.mute(0, false);
    stage.until("drained", |s| s.drained("db0", 2) == Some(true));
    assert_eq!(stage.sessions(0), 0);
}

#[test]
fn an_address_that_does_not_answer_leaves_time_for_the_next() {
    let mut stage = Stage::new();
    stage.desired.addresses[0] = vec![nowhere(), database_at(0)];
    stage.apply();
    let begun = stage.network.now();
    let client = stage.join(WRITE_PORT);
    assert_eq!(stage.served_by(client), 0);
    assert!(stage.network.now().since(begun) < Duration::from_secs(10));
}

#[test]
fn the_address_that_answered_last_is_tried_first() {
    let mut stage = Stage::new();
    stage.desired.addresses[0] = vec![nowhere(), database_at(0)];
    stage.apply();
    stage.join(WRITE_PORT);
    let begun = stage.network.now();
    let other = stage.dial(WRITE_PORT, "till");
    stage.until("the log-in", |stage| stage.person(other).ready == 1);
    assert!(stage.network.now().since(begun) < Duration::from_secs(1));
}

#[test]
fn the_address_that_answered_one_worker_is_tried_first_by_all() {
    let mut stage = Stage::with(1, 3);
    stage.desired.addresses[0] = vec![nowhere(), database_at(0)];
    stage.apply();
    stage.join(WRITE_PORT);
    let begun = stage.network.now();
    for (user, database) in [(USERS[0], "till"), (USERS[1], "shop"), (USERS[1], "till")] {
        stage.join_as(user, WRITE_PORT, database);
    }
    assert!(stage.network.now().since(begun) < Duration::from_secs(1));
}

#[test]
fn an_address_that_never_answers_keeps_nobody_from_one_that_is_back() {
    let mut stage = Stage::new();
    stage.desired.addresses[0] = vec![database_at(0), nowhere()];
    stage.apply();
    let client = stage.join(WRITE_PORT);
    stage.databases[0].1.crash();
    stage.pass(Duration::from_millis(100));
    let before = stage.person(client).ready;
    stage.ask(client, "SELECT ?");
    stage.pass(Duration::from_millis(500));
    stage.databases[0].1.start();
    let back = stage.network.now();
    stage.until("answered", |stage| stage.person(client).ready > before);
    assert!(stage.network.now().since(back) < Duration::from_secs(5));
}

#[test]
fn clients_that_are_in_hear_soon_that_the_database_refuses_their_log_in() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    assert_eq!(stage.served_by(client), 0);
    stage.databases[0].1.refuses = Some(USERS[0]);
    stage.databases[0].1.shut_down_sessions();
    stage.pass(Duration::from_millis(100));
    let begun = stage.network.now();
    let error = stage.query(client, "SELECT ?");
    assert_eq!(error.as_deref(), Some("08006"));
    assert!(stage.network.now().since(begun) < Duration::from_secs(3));
    // It stays, and works again when the database lets it in.
    stage.databases[0].1.refuses = None;
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.served_by(client), 0);
}

#[test]
fn one_refused_log_in_is_tried_again_before_clients_hear_of_it() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    assert_eq!(stage.served_by(client), 0);
    let failed = |stage: &Stage| {
        let notices = stage.notices.iter();
        notices.filter(|n| n.event == "backend_failed").count()
    };
    stage.databases[0].1.refuses = Some(USERS[0]);
    stage.databases[0].1.shut_down_sessions();
    stage.pass(Duration::from_millis(100));
    stage.ask(client, "SELECT ?");
    stage.until("refused", |stage| failed(stage) == 1);
    stage.databases[0].1.refuses = None;
    stage.until("answered", |stage| stage.person(client).ready == 2 + 1);
    assert!(stage.person(client).errors.is_empty());
}
