//! A client that always has a request under way doesn't keep a backend from the others.

use std::net::SocketAddr;

use dbproxy_driver::sim::{Network, Random};
use dbproxy_driver::Duration;

use crate::clients::USERS;
use crate::desired::{ip, READ_PORT};
use crate::plan::Plan;
use crate::postgres::Fleet;
use crate::witness::Class;

const READS: Class = Class {
    user: USERS[0],
    database: "shop",
    writes: false,
};

/// Requests of the client that never pauses: it doesn't come to its end, however long the other one
/// thinks in its transactions.
const WITHOUT_END: u64 = u64::MAX;

/// Whether a client with a few requests comes to its end beside one that never pauses, where there
/// is one connection for both.
fn lets_pass(seed: u64, workers: usize, class: Class) -> Result<(), String> {
    let plan = Plan {
        workers,
        budget: 1,
        ..Plan::empty()
    };
    let mut fleet = Fleet::with_plan(Network::new(seed), plan, Random::new(seed));
    fleet
        .databases
        .iter_mut()
        .for_each(|d| d.1.max_sessions = 1);
    let address = SocketAddr::new(ip(1), READ_PORT);
    fleet.clients.1.calm = true;
    fleet.clients.1.add_pipeliner(address, READS, WITHOUT_END);
    fleet.clients.1.add(address, class, 5);
    fleet.open();
    let passed = fleet.run_until(Duration::from_secs(15), &mut 0, |f| f.clients.1.is_done(1));
    let violations = fleet.witness.borrow().violations.clone();
    if passed && violations.is_empty() {
        Ok(())
    } else {
        Err(format!("seed {seed}: {passed} {violations:?}"))
    }
}

#[test]
fn a_pipelining_client_lets_another_of_its_worker_pass() {
    (0..5).for_each(|seed| assert_eq!(lets_pass(seed, 1, READS), Ok(())));
}

#[test]
fn a_pipelining_client_lets_one_of_another_worker_pass() {
    (0..5).for_each(|seed| assert_eq!(lets_pass(seed, 2, READS), Ok(())));
}

#[test]
fn a_pipelining_client_lets_one_of_another_key_pass() {
    let database = "till";
    let class = Class { database, ..READS };
    (0..5).for_each(|seed| assert_eq!(lets_pass(seed, 1, class), Ok(())));
    (0..5).for_each(|seed| assert_eq!(lets_pass(seed, 2, class), Ok(())));
}
