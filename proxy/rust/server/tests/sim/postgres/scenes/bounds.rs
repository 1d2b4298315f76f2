//! What one client can make the proxy hold, and for how long: each scene is one client that does
//! its worst. The stage itself watches that no queue takes more than [`QUEUE_LIMIT`].

use dbproxy_driver::{Duration, Token};

use super::stage::Stage;
use crate::desired::WRITE_PORT;
use crate::fleet::QUEUE_LIMIT;
use crate::postgres::wire;

/// What floods last at most, and much more than the proxy may take in for one that doesn't read.
const FLOOD: usize = 4 << 20;

/// What the proxy may take of a client that doesn't read its answers: two kernels' buffers each
/// way, and its own marks.
const TAKEN: usize = 2 * QUEUE_LIMIT;

/// Each scene is played under some seeds (they shape the network), by a client that is logged in.
fn scenes(play: impl Fn(&mut Stage, Token)) {
    for seed in 0..6 {
        let mut stage = Stage::with(seed, 1);
        let client = stage.join(WRITE_PORT);
        stage.person_mut(client).heard.clear();
        play(&mut stage, client);
    }
}

fn floods_without_reading(stage: &mut Stage, client: Token, request: &[u8]) {
    stage.reads(client, false);
    let taken = stage.flood(client, request, FLOOD);
    assert!(
        taken < TAKEN,
        "{taken} bytes were read for a client that reads nothing"
    );
}

#[test]
fn who_sends_syncs_and_reads_nothing_is_not_read_any_more() {
    scenes(|stage, client| floods_without_reading(stage, client, &wire::sync()));
}

#[test]
fn who_sends_empty_queries_and_reads_nothing_is_not_read_any_more() {
    scenes(|stage, client| floods_without_reading(stage, client, &wire::query("")));
}

#[test]
fn who_sends_queries_into_an_aborted_transaction_and_reads_nothing_is_not_read_any_more() {
    scenes(|stage, client| {
        stage.query(client, "BEGIN");
        stage.databases[0].1.crash();
        stage.pass(Duration::from_secs(1));
        assert!(stage.query(client, "SELECT ?").is_some());
        let query = stage.person_mut(client).statement("SELECT ?");
        floods_without_reading(stage, client, &query);
    });
}

#[test]
fn who_pipelines_without_end_behind_a_slow_statement_is_not_read_any_more() {
    scenes(|stage, client| {
        stage.ask(client, "SELECT pg_sleep(60), ?");
        let taken = stage.flood(client, &wire::sync(), FLOOD);
        assert!(taken < TAKEN, "{taken} bytes of unanswered requests");
    });
}

#[test]
fn flushes_cost_nothing() {
    scenes(|stage, client| {
        stage.reads(client, false);
        let flush = wire::message(b'H', &[]);
        assert!(stage.flood(client, &flush, FLOOD) >= FLOOD);
    });
}

#[test]
fn who_reads_again_gets_every_answer() {
    scenes(|stage, client| {
        stage.reads(client, false);
        let taken = stage.flood(client, &wire::sync(), FLOOD);
        stage.reads(client, true);
        stage.until("all answers", |stage| {
            stage.person(client).ready > taken / 5
        });
    });
}

#[test]
fn who_holds_no_backend_and_doesnt_read_is_closed_after_the_write_timeout() {
    scenes(|stage, client| {
        stage.reads(client, false);
        stage.flood(client, &wire::sync(), FLOOD);
        stage.until("the end", |stage| stage.person(client).closed);
        stage.until("its place", |stage| stage.shared.clients() == 0);
    });
}

#[test]
fn notifications_to_a_listener_that_reads_nothing_wait_in_the_database() {
    scenes(|stage, client| {
        stage.query(client, "LISTEN ?");
        stage.reads(client, false);
        for _ in 0..40 {
            stage.databases[0].1.notify_often(500);
            stage.pass(Duration::from_millis(300));
        }
    });
}

#[test]
fn any_number_of_silent_connections_keep_nobody_out() {
    for seed in 0..3 {
        let mut stage = Stage::with(seed, 1);
        for _ in 0..3000 {
            stage.call(WRITE_PORT);
        }
        stage.pass(Duration::from_secs(1));
        stage.join(WRITE_PORT);
        assert!(stage.closed_for("crowded_out") > 0);
        assert_eq!(stage.closed_for("too_many_clients"), 0);
    }
}

#[test]
fn who_says_nothing_at_first_is_closed_within_seconds() {
    let mut stage = Stage::new();
    let client = stage.call(WRITE_PORT);
    stage.pass(Duration::from_secs(6));
    assert!(stage.person(client).closed);
    assert_eq!(stage.closed_for("login_timeout"), 1);
}

#[test]
fn who_doesnt_finish_its_log_in_is_closed_within_half_a_minute() {
    let mut stage = Stage::new();
    let client = stage.call(WRITE_PORT);
    let mut startup = wire::startup("app", "shop");
    startup.truncate(startup.len() / 2);
    stage.send(client, startup);
    stage.pass(Duration::from_secs(20));
    assert!(!stage.person(client).closed);
    stage.pass(Duration::from_secs(11));
    assert!(stage.person(client).closed);
}

#[test]
fn one_client_too_many_is_told_so_behind_its_startup_packet() {
    let mut stage = Stage::new();
    stage.join(WRITE_PORT);
    stage.desired.limits.max_clients = 1;
    stage.apply();
    stage.pass(Duration::from_millis(20));
    let client = stage.call(WRITE_PORT);
    stage.send(client, vec![0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
    stage.until("the answer to SSLRequest", |stage| {
        stage.person(client).heard_any(b'N')
    });
    stage.send(client, wire::startup("app", "shop"));
    stage.until("the refusal", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["53300"]);
}

#[test]
fn tls_begins_at_the_first_byte_or_not_at_all() {
    let mut stage = Stage::new();
    let client = stage.call(WRITE_PORT);
    stage.send(client, wire::startup("app", "shop"));
    stage.pass(Duration::from_secs(1));
    stage.send(client, vec![0x16, 3, 1, 0, 200]);
    stage.until("the end", |stage| stage.person(client).closed);
    assert_eq!(stage.closed_for("protocol_violation"), 1);
    assert_eq!(stage.closed_for("tls_failed"), 0);
}

fn leaves_during(stage: &mut Stage, client: Token, sql: &str) {
    stage.ask(client, sql);
    stage.until("some rows", |stage| stage.person(client).heard_any(b'D'));
    assert!(stage.databases[0].1.is_sending());
    stage.leave(client);
}

#[test]
fn a_result_without_end_that_only_reads_ends_when_its_client_leaves() {
    scenes(|stage, client| {
        stage.query(client, "BEGIN");
        leaves_during(stage, client, "SELECT * FROM endless WHERE t = ?");
        stage.pass(Duration::from_secs(2));
        assert!(!stage.databases[0].1.is_sending());
        assert_eq!(stage.orphaned(), 0);
    });
}

#[test]
fn a_result_without_end_of_what_may_commit_ends_after_so_many_bytes() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    let sql = "INSERT INTO endless VALUES (?) RETURNING session";
    leaves_during(&mut stage, client, sql);
    stage.pass(Duration::from_millis(20));
    assert_eq!(stage.orphaned(), 1);
    stage.until("the end", |stage| !stage.databases[0].1.is_sending());
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.orphaned(), 0);
}
