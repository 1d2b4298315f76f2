//! What one client can make the proxy hold, and for how long: each scene is one client that does
//! its worst. The fleet itself watches that no queue takes more than [`QUEUE_LIMIT`].

use dbproxy_driver::Duration;

use crate::fleet::QUEUE_LIMIT;
use crate::scene::{Scene, TOKEN};
use crate::wire;

/// What floods last at most, and much more than the proxy may take in for one that doesn't read.
const FLOOD: usize = 4 << 20;

/// What the proxy may take of a client that doesn't read its answers: two kernels' buffers each
/// way, and its own marks.
const TAKEN: usize = 2 * QUEUE_LIMIT;

/// Each scene is played under some seeds: they shape the network.
fn scenes(play: impl Fn(Scene)) {
    for seed in 0..6 {
        play(Scene::logged_in(seed));
    }
}

fn floods_without_reading(mut scene: Scene, request: &[u8]) {
    scene.reads(false);
    let taken = scene.flood(request, FLOOD);
    assert!(
        taken < TAKEN,
        "{taken} bytes were read for a client that reads nothing"
    );
}

#[test]
fn who_sends_syncs_and_reads_nothing_is_not_read_any_more() {
    scenes(|scene| floods_without_reading(scene, &wire::sync()));
}

#[test]
fn who_sends_empty_queries_and_reads_nothing_is_not_read_any_more() {
    scenes(|scene| floods_without_reading(scene, &wire::query("")));
}

#[test]
fn who_sends_queries_into_an_aborted_transaction_and_reads_nothing_is_not_read_any_more() {
    scenes(|mut scene| {
        scene.ask(&wire::query("BEGIN"));
        scene.fleet.databases[0].1.crash();
        scene.pass(Duration::from_secs(1));
        let query = wire::query(&format!("SELECT 't{TOKEN}'"));
        scene.ask(&query);
        assert!(scene.heard_any(b'E'));
        floods_without_reading(scene, &query);
    });
}

#[test]
fn who_pipelines_without_end_behind_a_slow_statement_is_not_read_any_more() {
    scenes(|mut scene| {
        scene.send(&wire::query(&format!("SELECT pg_sleep(60), 't{TOKEN}'")));
        let taken = scene.flood(&wire::sync(), FLOOD);
        assert!(taken < TAKEN, "{taken} bytes of unanswered requests");
    });
}

#[test]
fn flushes_cost_nothing() {
    scenes(|mut scene| {
        scene.reads(false);
        assert!(scene.flood(&wire::message(b'H', &[]), FLOOD) >= FLOOD);
    });
}

#[test]
fn who_reads_again_gets_every_answer() {
    scenes(|mut scene| {
        scene.reads(false);
        let taken = scene.flood(&wire::sync(), FLOOD);
        scene.reads(true);
        scene.until("all answers", |scene| {
            scene.heard.iter().filter(|m| m[0] == b'Z').count() >= taken / 5
        });
    });
}

#[test]
fn who_holds_no_backend_and_doesnt_read_is_closed_after_the_write_timeout() {
    scenes(|mut scene| {
        scene.reads(false);
        scene.flood(&wire::sync(), FLOOD);
        scene.until("the end", |scene| scene.closed);
        scene.until("its place", |scene| scene.fleet.shared.clients() == 0);
    });
}

#[test]
fn notifications_to_a_listener_that_reads_nothing_wait_in_the_database() {
    scenes(|mut scene| {
        scene.ask(&wire::query(&format!("LISTEN t{TOKEN}")));
        scene.reads(false);
        for _ in 0..40 {
            scene.fleet.databases[0].1.notify_often(500);
            scene.pass(Duration::from_millis(300));
        }
    });
}

#[test]
fn any_number_of_silent_connections_keep_nobody_out() {
    for seed in 0..3 {
        let mut scene = Scene::connected(seed);
        scene.connect_silently(3000);
        scene.pass(Duration::from_secs(1));
        scene.reconnect();
        scene.log_in();
        assert!(scene.closed_for("crowded_out") > 0);
        assert_eq!(scene.closed_for("too_many_clients"), 0);
    }
}

#[test]
fn who_says_nothing_at_first_is_closed_within_seconds() {
    let mut scene = Scene::connected(1);
    scene.pass(Duration::from_secs(6));
    assert!(scene.closed);
    assert_eq!(scene.closed_for("login_timeout"), 1);
}

#[test]
fn who_doesnt_finish_its_log_in_is_closed_within_half_a_minute() {
    let mut scene = Scene::connected(1);
    let startup = wire::startup("app", "shop");
    scene.send(&startup[..startup.len() / 2]);
    scene.pass(Duration::from_secs(20));
    assert!(!scene.closed);
    scene.pass(Duration::from_secs(11));
    assert!(scene.closed);
}

#[test]
fn one_client_too_many_is_told_so_behind_its_startup_packet() {
    let mut scene = Scene::logged_in(1);
    scene.fleet.desired.max_clients = 1;
    scene.fleet.apply();
    scene.reconnect();
    scene.send(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
    scene.until("the answer to SSLRequest", |scene| scene.heard_any(b'N'));
    scene.send(&wire::startup("app", "shop"));
    scene.until("the refusal", |scene| scene.heard_any(b'E'));
    assert_eq!(wire::error_fields(&scene.heard[1]).0, "53300");
}

#[test]
fn tls_begins_at_the_first_byte_or_not_at_all() {
    let mut scene = Scene::connected(1);
    scene.send(&wire::startup("app", "shop"));
    scene.pass(Duration::from_secs(1));
    scene.send(&[0x16, 3, 1, 0, 200]);
    scene.until("the end", |scene| scene.closed);
    assert_eq!(scene.closed_for("protocol_violation"), 1);
    assert_eq!(scene.closed_for("tls_failed"), 0);
}

fn leaves_during(scene: &mut Scene, sql: &str) {
    scene.send(&wire::query(sql));
    scene.until("some rows", |scene| scene.heard_any(b'D'));
    assert!(scene.fleet.databases[0].1.is_sending());
    scene.leave();
}

#[test]
fn a_result_without_end_that_only_reads_ends_when_its_client_leaves() {
    scenes(|mut scene| {
        scene.ask(&wire::query("BEGIN"));
        leaves_during(
            &mut scene,
            &format!("SELECT * FROM endless WHERE t = 't{TOKEN}'"),
        );
        scene.pass(Duration::from_secs(2));
        assert!(!scene.fleet.databases[0].1.is_sending());
        assert_eq!(scene.orphaned(), 0);
    });
}

#[test]
fn a_result_without_end_of_what_may_commit_ends_after_so_many_bytes() {
    let mut scene = Scene::logged_in(1);
    let sql = format!("INSERT INTO endless VALUES ('t{TOKEN}') RETURNING session");
    leaves_during(&mut scene, &sql);
    scene.pass(Duration::from_millis(20));
    assert_eq!(scene.orphaned(), 1);
    scene.until("the end", |scene| !scene.fleet.databases[0].1.is_sending());
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.orphaned(), 0);
}
