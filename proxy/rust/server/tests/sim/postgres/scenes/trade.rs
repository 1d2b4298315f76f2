//! Who gets a connection, where several want one.

use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::desired::{READ_PORT, WRITE_PORT};

/// The first log-in of a client of `shop`, and how long it took.
fn log_in(stage: &mut Stage) -> Duration {
    let begun = stage.network.now();
    stage.join(WRITE_PORT);
    stage.network.now().since(begun)
}

#[test]
fn refused_log_ins_of_one_key_pause_no_others() {
    let mut stage = Stage::new();
    stage.databases[0].1.refuses = Some("nowhere");
    for _ in 0..8 {
        let client = stage.dial(WRITE_PORT, "nowhere");
        stage.until("told", |stage| stage.person(client).closed);
        assert_eq!(stage.person(client).errors, ["42501"]);
    }
    // As many failures make the longest pause, of a second.
    let took = log_in(&mut stage);
    assert!(took < Duration::from_millis(200), "{took:?}");
}

#[test]
fn a_breach_of_the_protocol_at_the_log_ins_of_one_key_pauses_no_others() {
    let mut stage = Stage::new();
    stage.databases[0].1.refuses = Some("nowhere");
    stage.databases[0].1.refusal = "08P01";
    stage.dial(WRITE_PORT, "nowhere");
    let failed = |stage: &Stage| {
        let notices = stage.notices.iter();
        notices.filter(|n| n.event == "backend_failed").count()
    };
    // As many failures make the longest pause, of a second.
    stage.until("paused", |stage| failed(stage) == 8);
    let took = log_in(&mut stage);
    assert!(took < Duration::from_millis(200), "{took:?}");
}

#[test]
fn a_refused_log_in_is_told_its_reason_each_time_and_soon() {
    let mut stage = Stage::new();
    stage.databases[0].1.refuses = Some("nowhere");
    for _ in 0..8 {
        let begun = stage.network.now();
        let clients = [0; 3].map(|_| stage.dial(WRITE_PORT, "nowhere"));
        for client in clients {
            stage.until("told", |stage| stage.person(client).closed);
            assert_eq!(stage.person(client).errors, ["42501"]);
        }
        let took = stage.network.now().since(begun);
        assert!(took < Duration::from_millis(1_300), "{took:?}");
    }
}

#[test]
fn a_reader_that_refuses_a_key_keeps_nobody_from_the_others() {
    let mut stage = Stage::new();
    stage.desired = stage.desired.clone().with_databases(&stage.shared, 3);
    stage.databases[1].1.refuses = Some("till");
    stage.apply();
    for _ in 0..5 {
        let begun = stage.network.now();
        let client = stage.dial(READ_PORT, "till");
        stage.until("in", |stage| stage.person(client).ready == 1);
        assert_eq!(stage.served_by(client), 2);
        let took = stage.network.now().since(begun);
        assert!(took < Duration::from_millis(300), "{took:?}");
    }
}

#[test]
fn two_keys_on_one_connection_do_not_log_in_for_each_query() {
    let mut stage = Stage::new();
    stage.desired.budget = 1;
    stage.apply();
    let one = stage.join(WRITE_PORT);
    let other = stage.dial(WRITE_PORT, "till");
    stage.until("in", |stage| stage.person(other).ready == 1);
    let (begun, before) = (stage.network.now(), stage.databases[0].1.admitted());
    let clients = [one, other];
    let mut asked = clients.map(|client| stage.person(client).ready);
    let mut answers = 0;
    while stage.network.now().since(begun) < Duration::from_secs(5) {
        for (client, asked) in clients.iter().zip(&mut asked) {
            if stage.person(*client).ready == *asked {
                stage.ask(*client, "SELECT ?");
                *asked += 1;
                answers += 1;
            }
        }
        stage.pass(Duration::from_millis(1));
    }
    let log_ins = stage.databases[0].1.admitted() - before;
    assert!(log_ins > 10, "neither may starve: {log_ins} log-ins");
    assert!(log_ins <= 50, "{log_ins} log-ins for {answers} queries");
}

#[test]
fn a_slow_reader_gives_way_to_a_client_of_another_worker() {
    let mut stage = Stage::with(1, 2);
    stage.desired.budget = 1;
    stage.apply();
    let slow = stage.join(WRITE_PORT);
    stage.reads(slow, false);
    for _ in 0..10 {
        stage.ask(slow, "SELECT * FROM big WHERE t = ?");
    }
    stage.pass(Duration::from_secs(1));
    let other = stage.dial(WRITE_PORT, "shop");
    stage.until("in", |stage| stage.person(other).ready == 1);
    // Sooner than it would be refused.
    assert_eq!(stage.query(other, "SELECT ?"), None);
}
