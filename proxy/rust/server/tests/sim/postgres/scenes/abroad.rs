//! Cancels that come to another pod than their client's.

use std::net::SocketAddr;
use std::sync::Arc;

use dbproxy_driver::sim::{HostId, Random, SimDriver};
use dbproxy_driver::{Driver, Duration, Token};
use dbproxy_postgres::Postgres;
use dbproxy_server::{EndpointSum, Front, Notices, Peers, Worker};

use super::stage::Stage;
use crate::desired::{ip, WRITE_PORT};
use crate::postgres::{wire, Desired, Proxy};

const PEER_PORT: u16 = 15431;
const SECRET: &[u8] = b"the fleet's";

/// A pod beside that of the stage: with one worker, and a front thread of its own.
pub struct Pod {
    shared: Arc<Proxy>,
    front: (HostId, Front<Postgres, SimDriver>),
    worker: (HostId, Worker<Postgres, SimDriver>),
}

impl Pod {
    pub fn is(&self, host: HostId) -> bool {
        host == self.front.0 || host == self.worker.0
    }

    pub fn turn(&mut self, host: HostId) {
        match host == self.front.0 {
            true => self.front.1.turn(),
            false => self.worker.1.turn(),
        }
    }

    fn new(stage: &Stage, seed: u64) -> Self {
        let (front_host, front_driver) = stage.network.host("other front", ip(2));
        let (worker_host, worker_driver) = stage.network.host("other worker", ip(2));
        let wakers = vec![worker_driver.waker()];
        let notices = Notices::new(Arc::new(|| ()));
        let shared = Proxy::new(front_driver.waker(), wakers, notices).found_at(ip(2));
        let shared = Arc::new(shared);
        let mut random = Random::new(seed ^ 0xabad);
        let mut bytes = || -> dbproxy_server::Random {
            let mut random = random.fork();
            Box::new(move |buffer| random.fill(buffer))
        };
        let front = Front::new(front_driver, shared.clone(), ip(2), bytes());
        let worker = Worker::new(0, worker_driver, shared.clone(), bytes());
        Desired::new(&shared).apply(&shared);
        Self {
            shared,
            front: (front_host, front),
            worker: (worker_host, worker),
        }
    }
}

/// Two pods, of one fleet if their secrets are the same; the clients are the first one's.
fn pods(seed: u64, workers: usize, others_secret: &[u8]) -> Stage {
    let mut stage = Stage::with(seed, workers);
    let other = Pod::new(&stage, seed);
    let peers = |secret, at| Peers::new(secret, PEER_PORT, vec![ip(at)]).expect("a key");
    stage.shared.meet(peers(SECRET, 2));
    other.shared.meet(peers(others_secret, 1));
    stage.other = Some(other);
    stage.pass(Duration::from_millis(20));
    stage
}

/// Somebody brings a client's key to the other pod.
fn cancel_there(stage: &mut Stage, (id, secret): (u32, u32)) -> Token {
    let address = SocketAddr::new(ip(2), WRITE_PORT);
    stage.connect_to(address, "shop", wire::cancel(id, secret))
}

/// What the other pod's endpoint counted.
fn counted(stage: &Stage) -> EndpointSum {
    let other = stage.other.as_ref().expect("another pod");
    let orders = other.shared.stats.endpoints().remove("orders");
    orders.expect("an endpoint")
}

#[test]
fn a_cancel_that_comes_to_another_pod_strikes_its_statement_and_nobody_elses() {
    for seed in 0..20 {
        let mut stage = pods(seed, 3, SECRET);
        let clients: Vec<_> = (0..3).map(|_| stage.join(WRITE_PORT)).collect();
        for client in &clients {
            stage.ask(*client, "SELECT pg_sleep(1), ?");
        }
        stage.pass(Duration::from_millis(50));
        let key = stage.person(clients[1]).key;
        let cancel = cancel_there(&mut stage, key);
        stage.until("over", |stage| stage.person(cancel).closed);
        stage.until("answered", |stage| {
            clients
                .iter()
                .all(|client| stage.person(*client).ready == 2)
        });
        let errors = clients
            .iter()
            .map(|client| stage.person(*client).errors.len());
        assert_eq!(errors.collect::<Vec<_>>(), [0, 1, 0], "seed {seed}");
        assert_eq!(stage.person(clients[1]).errors, ["57014"]);
        assert_eq!(counted(&stage).cancels_forwarded, 1);
    }
}

#[test]
fn a_client_that_is_queued_is_cancelled_from_another_pod() {
    let mut stage = pods(1, 1, SECRET);
    stage.desired.budget = 1;
    stage.apply();
    let (holder, waiter) = (stage.join(WRITE_PORT), stage.join(WRITE_PORT));
    stage.query(holder, "BEGIN");
    stage.ask(waiter, "SELECT ?");
    stage.pass(Duration::from_millis(50));
    let key = stage.person(waiter).key;
    let cancel = cancel_there(&mut stage, key);
    stage.until("over", |stage| stage.person(cancel).closed);
    stage.until("told", |stage| stage.person(waiter).ready == 2);
    assert_eq!(stage.person(waiter).errors, ["57014"]);
}

/// When its connection is closed, a cancel is over, wherever it was brought.
#[test]
fn a_cancel_abroad_that_is_over_strikes_no_later_statement() {
    for seed in 0..100 {
        let mut stage = pods(seed, 1, SECRET);
        let mut random = Random::new(seed);
        let client = stage.join(WRITE_PORT);
        stage.query(client, "BEGIN");
        let ready = stage.person(client).ready;
        stage.ask(client, "SELECT pg_sleep(1), ?");
        stage.pass(Duration::from_micros(random.between(288_000, 304_000)));
        let key = stage.person(client).key;
        let cancel = cancel_there(&mut stage, key);
        stage.until("over", |stage| {
            stage.person(cancel).closed && stage.person(client).ready > ready
        });
        let next = stage.query(client, "SELECT pg_sleep(1), ?");
        assert_ne!(next.as_deref(), Some("57014"), "seed {seed}");
    }
}

#[test]
fn a_cancel_for_a_pod_that_does_not_answer_is_void_in_time_and_counted() {
    let mut stage = pods(1, 1, SECRET);
    let client = stage.join(WRITE_PORT);
    let key = stage.person(client).key;
    stage.network.mute(stage.front.0, true);
    let begun = stage.network.now();
    let cancel = cancel_there(&mut stage, key);
    stage.until("over", |stage| stage.person(cancel).closed);
    assert!(stage.network.now().since(begun) < Duration::from_secs(4));
    let counted = counted(&stage);
    assert_eq!(
        (counted.cancels_undelivered, counted.cancels_forwarded),
        (1, 0)
    );
}

#[test]
fn pods_of_another_fleet_are_not_heard() {
    let mut stage = pods(1, 1, b"another fleet's");
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT pg_sleep(1), ?");
    stage.pass(Duration::from_millis(50));
    let key = stage.person(client).key;
    let cancel = cancel_there(&mut stage, key);
    stage.until("over", |stage| stage.person(cancel).closed);
    stage.until("answered", |stage| stage.person(client).ready == 2);
    let errors = &stage.person(client).errors;
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(counted(&stage).cancels_undelivered, 1);
}

#[test]
fn a_key_that_no_pod_gave_out_is_counted_where_it_was_brought() {
    let mut stage = pods(1, 1, SECRET);
    let client = stage.join(WRITE_PORT);
    let (id, secret) = stage.person(client).key;
    for wrong in [(id, secret ^ 1), (id ^ (1 << 30), secret)] {
        let cancel = cancel_there(&mut stage, wrong);
        stage.until("over", |stage| stage.person(cancel).closed);
    }
    let counted = counted(&stage);
    assert_eq!(
        (counted.cancels_unknown, counted.cancels_undelivered),
        (2, 0)
    );
}

/// Anybody may bring cancels: they lead to no more connections than they came by, and to only so many
/// a second.
#[test]
fn a_flood_of_cancels_is_passed_on_in_part() {
    let mut stage = pods(1, 1, SECRET);
    let client = stage.join(WRITE_PORT);
    let (id, secret) = stage.person(client).key;
    for _ in 0..10 {
        let flood: Vec<_> = (0..50)
            .map(|_| cancel_there(&mut stage, (id, secret ^ 1)))
            .collect();
        stage.until("over", |stage| {
            flood.iter().all(|cancel| stage.person(*cancel).closed)
        });
    }
    let counted = counted(&stage);
    assert_eq!(counted.cancels_unknown + counted.cancels_undelivered, 500);
    assert!(counted.cancels_undelivered > 0);
    assert!(counted.cancels_unknown >= 200);
}
