//! Log-ins to the databases: cut, given up, refused, at addresses that don't answer.

use std::net::SocketAddr;

use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::desired::{database_at, ip, DATABASE_PORT, WRITE_PORT};

/// Nobody has this address: what is sent there is never answered.
fn nowhere() -> SocketAddr {
    SocketAddr::new(ip(99), DATABASE_PORT)
}

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
