//! Cancels: what they strike, and when they are over.

use dbproxy_driver::sim::Random;
use dbproxy_driver::{Duration, Token};
use dbproxy_server::TlsMode;

use super::stage::Stage;
use crate::desired::{database_at, WRITE_PORT};

/// Cancels that text in a transaction at a moment within those microseconds: once that is over and the text
/// answered, what is asked next isn't struck.
fn cancels_and_goes_on(before: &[&str], text: &str, (first, last): (u64, u64)) {
    for seed in 0..300 {
        let mut stage = Stage::with(seed, 1);
        let mut random = Random::new(seed);
        let client = stage.join(WRITE_PORT);
        for sql in before.iter().chain(&["BEGIN"]) {
            stage.query(client, sql);
        }
        let ready = stage.person(client).ready;
        stage.ask(client, text);
        stage.pass(Duration::from_micros(random.between(first, last)));
        let cancel = stage.cancel(client);
        stage.until("over", |stage| {
            stage.person(cancel).closed && stage.person(client).ready > ready
        });
        let next = stage.query(client, "SELECT pg_sleep(1), ?");
        assert_ne!(next.as_deref(), Some("57014"), "seed {seed}");
    }
}

/// When its connection is closed, a cancel is over: drivers go on with the transaction then.
#[test]
fn a_cancel_that_is_over_strikes_no_later_statement() {
    cancels_and_goes_on(&[], "SELECT pg_sleep(1), ?", (292_000, 306_000));
}

#[test]
fn a_cancel_that_strikes_nothing_is_over_at_once() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    let begun = stage.network.now();
    let cancel = stage.cancel(client);
    stage.until("over", |stage| stage.person(cancel).closed);
    assert!(stage.network.now().since(begun) < Duration::from_secs(1));
}

#[test]
fn a_cancel_that_the_database_never_confirms_is_over_all_the_same() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT pg_sleep(1), ?");
    stage.pass(Duration::from_millis(50));
    stage.mute(0, true);
    let cancel = stage.cancel(client);
    stage.pass(Duration::from_secs(2));
    assert!(!stage.person(cancel).closed, "nothing was delivered yet");
    stage.until("over", |stage| stage.person(cancel).closed);
}

#[test]
fn cancels_with_a_key_that_nobody_has_are_counted_and_strike_nobody() {
    let mut stage = Stage::with(1, 2);
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT pg_sleep(1), ?");
    stage.pass(Duration::from_millis(50));
    let (id, secret) = stage.person(client).key;
    let no_worker = 7 << 24;
    let wrong = [
        (id, secret ^ 1),
        (id + 1, secret),
        (0, secret),
        (id | no_worker, secret),
    ];
    for (id, secret) in wrong {
        let cancel = stage.cancel_by(id, secret);
        stage.until("over", |stage| stage.person(cancel).closed);
    }
    stage.until("answered", |stage| stage.person(client).ready == 2);
    let errors = &stage.person(client).errors;
    assert!(errors.is_empty(), "{errors:?}");
    let orders = stage.shared.stats.endpoints().remove("orders");
    let counted = orders.map(|sum| (sum.cancels, sum.cancels_unknown));
    assert_eq!(counted, Some((0, wrong.len() as u64)));
}

#[test]
fn a_cancel_finds_the_server_of_a_connection_that_came_from_another_worker() {
    let mut stage = Stage::with(1, 2);
    stage.desired.budget = 1;
    stage.desired.addresses[0] = vec![database_at(0), database_at(2)];
    stage.apply();
    stage.databases[0].1.let_nobody_in();
    let (one, other) = (stage.join(WRITE_PORT), stage.join(WRITE_PORT));
    let signs = stage.shared.signs.iter();
    let clients: Vec<u32> = signs.map(|worker| worker.clients.get()).collect();
    assert_eq!(clients, [1, 1], "not one client on each worker");
    assert_eq!(stage.served_by(one), 2);
    stage.databases[0].1.start();
    stage.ask(other, "SELECT pg_sleep(1), ?");
    stage.pass(Duration::from_millis(100));
    assert_eq!(stage.databases[2].1.admitted(), 1, "it was not lent on");
    stage.cancel(other);
    stage.until("cancelled", |stage| stage.person(other).ready == 2);
    assert_eq!(stage.person(other).errors, ["57014"]);
    let cancels = [0, 2].map(|at: usize| stage.databases[at].1.cancels);
    assert_eq!(cancels, [0, 1]);
}

/// What a client was told when it was cancelled while it ran that by SQL; and when the cancel was over.
fn cancelled_execute(statement: &str, executes: &str) -> (Stage, Token, Vec<String>) {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    stage.query(
        client,
        &format!("PREPARE s (text) AS SELECT {statement}, $1"),
    );
    stage.query(client, "BEGIN");
    let ready = stage.person(client).ready;
    stage.ask(client, executes);
    stage.pass(Duration::from_millis(50));
    let cancel = stage.cancel(client);
    stage.until("over", |stage| {
        stage.person(cancel).closed && stage.person(client).ready > ready
    });
    let errors = stage.person(client).errors.clone();
    (stage, client, errors)
}

#[test]
fn a_cancel_strikes_a_statement_that_sql_executes() {
    let (mut stage, client, errors) = cancelled_execute("pg_sleep(60)", "EXECUTE s(?)");
    assert_eq!(errors, ["57014"]);
    stage.query(client, "ROLLBACK");
    assert_eq!(stage.query(client, "SELECT pg_sleep(1), ?"), None);
}

#[test]
fn a_cancel_strikes_what_the_proxy_makes_for_a_request() {
    let (mut stage, client, errors) = cancelled_execute("locked", "EXECUTE s(?)");
    assert_eq!(errors, ["57014"]);
    assert_eq!(stage.databases[0].1.cancels, 1);
    stage.query(client, "ROLLBACK");
    assert_eq!(stage.query(client, "SELECT pg_sleep(1), ?"), None);
    assert_eq!(stage.query(client, "EXECUTE s(?)"), None);
}

/// What is made for a text is struck, and then the text: none of both strikes what comes behind.
#[test]
fn a_cancel_of_a_text_for_which_something_is_made_strikes_no_later_statement() {
    let before = ["PREPARE s (text) AS SELECT $1"];
    cancels_and_goes_on(&before, "SAVEPOINT a; EXECUTE s(?)", (0, 8_000));
}

/// A client that runs something on a database which was verified.
fn busy_over_tls() -> (Stage, Token) {
    let mut stage = Stage::new();
    stage.databases[0].1.tls = true;
    stage.desired.server_tls = TlsMode::VerifyIdentity;
    stage.apply();
    let client = stage.join(WRITE_PORT);
    stage.ask(client, "SELECT pg_sleep(1), ?");
    stage.pass(Duration::from_millis(50));
    (stage, client)
}

#[test]
fn a_cancel_is_as_secret_as_its_session() {
    let (mut stage, client) = busy_over_tls();
    stage.cancel(client);
    stage.until("cancelled", |stage| stage.person(client).ready == 2);
    assert_eq!(stage.person(client).errors, ["57014"]);
    let database = &stage.databases[0].1;
    assert_eq!((database.cancels, database.cancels_in_clear), (1, 0));
    assert_eq!(stage.query(client, "SELECT ?"), None);
}

#[test]
fn a_server_that_refuses_tls_now_gets_no_cancel_of_a_session_that_has_it() {
    let (mut stage, client) = busy_over_tls();
    stage.databases[0].1.tls = false;
    let cancel = stage.cancel(client);
    stage.until("over", |stage| stage.person(cancel).closed);
    stage.until("answered", |stage| stage.person(client).ready == 2);
    assert_eq!(stage.databases[0].1.cancels, 0);
    let errors = &stage.person(client).errors;
    assert!(errors.is_empty(), "{errors:?}");
    // Nothing is on its way that could strike the next one's statement.
    let session = stage.person(client).session.clone();
    assert_eq!(stage.query(client, "SELECT ?"), None);
    assert_eq!(stage.person(client).session, session);
}

#[test]
fn a_cancel_whose_handshake_never_ends_is_over_in_time_and_holds_no_drain_up() {
    let (mut stage, client) = busy_over_tls();
    let cancel = stage.cancel(client);
    stage.until("connected", |stage| stage.links_to(0) == 2);
    stage.mute(0, true);
    stage.pass(Duration::from_secs(2));
    assert!(!stage.person(cancel).closed, "nothing was delivered yet");
    stage.until("over", |stage| stage.person(cancel).closed);
    stage.name_writer("db1");
    stage.until("drained", |s| s.drained("db0", 2).is_some());
    stage.mute(0, false);
    stage.pass(Duration::from_secs(10));
    assert_eq!(stage.databases[0].1.cancels, 0);
    assert_eq!(stage.links_to(0), 0);
}
