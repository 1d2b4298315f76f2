//! How many connections lie idle: some at all times, and not more than may.

use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::clients::{NAMES, USERS};
use crate::desired::WRITE_PORT;

fn stage(workers: usize, budget: u32, min_idle: u32) -> Stage {
    let mut stage = Stage::with(1, workers);
    stage.desired.budget = budget;
    stage.desired.min_idle = min_idle;
    stage.apply();
    stage.pass(Duration::from_millis(20));
    stage
}

#[test]
fn as_many_connections_are_idle_as_are_to_be() {
    for workers in [1, 3] {
        let mut stage = stage(workers, 12, 5);
        stage.pass(Duration::from_secs(3));
        assert_eq!(stage.sessions(0), 0, "nobody ever came");
        let client = stage.join(WRITE_PORT);
        stage.until("stock", |stage| stage.sessions(0) == 5);
        // Lent ones are not idle.
        stage.query(client, "BEGIN");
        stage.until("one more", |stage| stage.sessions(0) == 6);
        stage.query(client, "COMMIT");
        stage.pass(Duration::from_secs(20));
        assert_eq!(stage.sessions(0), 6, "and no more than that");
        assert_eq!(stage.sessions(1), 0, "nobody read");
    }
}

#[test]
fn what_ends_is_replaced() {
    let mut stage = stage(1, 12, 3);
    stage.join(WRITE_PORT);
    stage.until("stock", |stage| stage.sessions(0) == 3);
    stage.databases[0].1.shut_down_sessions();
    stage.until("the end", |stage| stage.sessions(0) == 0);
    stage.until("stock", |stage| stage.sessions(0) == 3);
}

#[test]
fn stock_is_never_beyond_the_budget_nor_taken_from_who_waits() {
    let mut stage = stage(1, 2, 2);
    let first = stage.join(WRITE_PORT);
    stage.until("stock", |stage| stage.sessions(0) == 2);
    let other = stage.join_as(USERS[1], WRITE_PORT, NAMES[1]);
    for client in [first, other] {
        stage.query(client, "BEGIN");
        assert_eq!(stage.query(client, "SELECT ?"), None);
    }
    stage.pass(Duration::from_secs(5));
    assert_eq!(stage.sessions(0), 2);
}

#[test]
fn a_key_that_is_refused_is_not_tried_again_without_need() {
    let mut stage = stage(1, 12, 3);
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.databases[0].1.refuses = Some(NAMES[0]);
    stage.pass(Duration::from_secs(10));
    let failed = stage.notices.iter().filter(|n| n.event == "backend_failed");
    assert!(failed.count() <= 4, "it is tried again and again");
    stage.query(client, "COMMIT");
}

#[test]
fn as_many_stay_idle_as_may_whatever_the_number_of_workers() {
    for workers in [1, 2, 3] {
        let mut stage = stage(workers, 14, 0);
        stage.desired.limits.idle_backend_timeout = Duration::from_secs(5);
        stage.apply();
        let clients: Vec<_> = (0..11).map(|_| stage.join(WRITE_PORT)).collect();
        for client in &clients {
            stage.query(*client, "BEGIN");
        }
        for client in &clients {
            stage.query(*client, "COMMIT");
        }
        stage.until("what may stay", |stage| stage.sessions(0) == 7);
        stage.pass(Duration::from_secs(20));
        assert_eq!(stage.sessions(0), 7);
    }
}
