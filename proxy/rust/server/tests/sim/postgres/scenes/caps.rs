//! How many connections one user may have, and one database: who waits for one of those is helped by
//! what its own give back, and by nothing else.

use dbproxy_driver::{Duration, Token};
use dbproxy_server::Caps;

use super::stage::Stage;
use crate::clients::{NAMES, USERS};
use crate::desired::WRITE_PORT;

const APP: &str = USERS[0];
const OPS: &str = USERS[1];
const SHOP: &str = NAMES[0];
const TILL: &str = NAMES[1];
/// Longer than it takes to be woken and to log in; shorter than the next look around.
const SOON: Duration = Duration::from_millis(40);

fn stage(workers: usize, of_user: Option<u32>, of_database: Option<u32>) -> Stage {
    let mut stage = Stage::with(1, workers);
    stage.desired.limits.caps = Caps {
        of_user,
        of_database,
    };
    stage.apply();
    stage.pass(Duration::from_millis(20));
    stage
}

/// A client that holds a connection.
fn holder(stage: &mut Stage, user: &'static str, database: &'static str) -> Token {
    let client = stage.join_as(user, WRITE_PORT, database);
    assert_eq!(stage.query(client, "BEGIN"), None);
    client
}

fn answered(stage: &mut Stage, client: Token) -> bool {
    stage.pass(SOON);
    stage.person(client).ready > 1
}

#[test]
fn a_user_has_so_many_connections_and_others_are_served() {
    let mut stage = stage(1, Some(1), None);
    let waits = stage.join_as(APP, WRITE_PORT, SHOP);
    let other = stage.join_as(OPS, WRITE_PORT, SHOP);
    let holds = holder(&mut stage, APP, SHOP);
    stage.ask(waits, "SELECT ?");
    assert_eq!(stage.query(other, "SELECT ?"), None);
    assert!(!answered(&mut stage, waits));
    assert_eq!(stage.sessions(0), 2);
    stage.ask(holds, "COMMIT");
    assert!(answered(&mut stage, waits));
}

#[test]
fn a_database_has_so_many_connections_and_others_are_served() {
    let mut stage = stage(1, None, Some(1));
    let waits = stage.join_as(APP, WRITE_PORT, SHOP);
    let other = stage.join_as(APP, WRITE_PORT, TILL);
    let holds = holder(&mut stage, OPS, SHOP);
    stage.ask(waits, "SELECT ?");
    assert_eq!(stage.query(other, "SELECT ?"), None);
    assert!(!answered(&mut stage, waits));
    assert_eq!(stage.sessions(0), 2);
    stage.query(holds, "COMMIT");
    stage.until("its turn", |stage| stage.person(waits).ready == 2);
}

#[test]
fn an_idle_connection_of_the_same_user_elsewhere_makes_room() {
    for workers in [1, 2] {
        let mut stage = stage(workers, Some(1), None);
        let shop = stage.join_as(APP, WRITE_PORT, SHOP);
        let till = stage.join_as(APP, WRITE_PORT, TILL);
        for client in [shop, till, shop] {
            let begun = stage.network.now();
            assert_eq!(stage.query(client, "SELECT ?"), None);
            let took = stage.network.now().since(begun);
            assert!(took < Duration::from_millis(300), "{took:?}");
        }
    }
}

#[test]
fn nobody_elses_connection_is_closed_for_one_that_is_barred() {
    for workers in [1, 2] {
        let mut stage = stage(workers, Some(1), None);
        stage.desired.budget = 3;
        stage.apply();
        for database in [SHOP, TILL] {
            let idle = stage.join_as(OPS, WRITE_PORT, database);
            stage.query(idle, "SELECT ?");
        }
        let waits = stage.join_as(APP, WRITE_PORT, SHOP);
        holder(&mut stage, APP, SHOP);
        let before = stage.databases[0].1.admitted();
        stage.ask(waits, "SELECT ?");
        stage.pass(Duration::from_secs(5));
        assert_eq!(stage.databases[0].1.admitted(), before);
        assert_eq!(stage.person(waits).ready, 1);
    }
}

#[test]
fn who_waits_on_another_worker_is_woken_by_what_its_user_gives_back() {
    let mut stage = stage(2, Some(1), None);
    // The clients of one worker, then of the other, in turns.
    let waiting = [SHOP, TILL].map(|database| stage.join_as(APP, WRITE_PORT, database));
    let holds = holder(&mut stage, APP, SHOP);
    for client in waiting {
        stage.ask(client, "SELECT ?");
    }
    stage.pass(Duration::from_secs(1));
    stage.query(holds, "COMMIT");
    for client in waiting {
        let served = |stage: &Stage| stage.person(client).ready == 2;
        stage.until("its turn", served);
    }
}

#[test]
fn who_is_barred_hides_nobody_who_is_not() {
    let mut stage = stage(1, Some(1), None);
    stage.desired.budget = 2;
    stage.apply();
    let barred = stage.join_as(APP, WRITE_PORT, SHOP);
    let other = stage.join_as(OPS, WRITE_PORT, TILL);
    holder(&mut stage, APP, SHOP);
    let last = stage.join_as(OPS, WRITE_PORT, SHOP);
    stage.query(last, "SELECT ?");
    stage.ask(barred, "SELECT ?");
    stage.pass(Duration::from_millis(200));
    // It needs the place of the idle connection to the other database.
    stage.ask(other, "SELECT ?");
    stage.until("its turn", |stage| stage.person(other).ready == 2);
    assert_eq!(stage.person(barred).ready, 1);
}

#[test]
fn a_lowered_cap_closes_what_is_above_it_and_a_raised_one_lets_in_at_once() {
    let mut stage = stage(1, Some(2), None);
    let first = holder(&mut stage, APP, SHOP);
    let second = holder(&mut stage, APP, SHOP);
    stage.desired.limits.caps.of_user = Some(1);
    stage.apply();
    stage.pass(Duration::from_millis(20));
    assert_eq!(stage.sessions(0), 2, "nobody is cut in a transaction");
    stage.query(first, "COMMIT");
    stage.until("one", |stage| stage.sessions(0) == 1);
    stage.ask(first, "SELECT ?");
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.person(first).ready, 3, "it waits");
    stage.desired.limits.caps.of_user = None;
    stage.apply();
    stage.pass(SOON);
    assert_eq!(stage.person(first).ready, 4);
    stage.query(second, "COMMIT");
}

/// Asks again as soon as it was answered.
fn keep_asking(stage: &mut Stage, clients: &[Token], asked: &mut [usize]) {
    for (client, asked) in clients.iter().zip(asked) {
        if stage.person(*client).ready == *asked {
            stage.ask(*client, "SELECT ?");
            *asked += 1;
        }
    }
    stage.pass(Duration::from_millis(1));
}

#[test]
fn who_needs_room_of_its_user_and_its_database_gets_both_in_the_end() {
    for workers in [1, 2] {
        let mut stage = stage(workers, Some(1), Some(1));
        let waits = stage.join_as(APP, WRITE_PORT, TILL);
        let busy = [(APP, SHOP), (OPS, TILL), (APP, SHOP), (OPS, TILL)];
        let busy = busy.map(|(user, database)| stage.join_as(user, WRITE_PORT, database));
        let mut asked = [1; 4];
        (0..100).for_each(|_| keep_asking(&mut stage, &busy, &mut asked));
        for turn in 2..6 {
            stage.ask(waits, "SELECT ?");
            let begun = stage.network.now();
            while stage.person(waits).ready < turn {
                keep_asking(&mut stage, &busy, &mut asked);
                let took = stage.network.now().since(begun);
                assert!(took < Duration::from_secs(5), "it starves");
            }
        }
    }
}
