//! What operators limit is obeyed, and obeyed where it harms nobody.

use dbproxy_driver::Duration;

use super::stage::Stage;
use crate::desired::WRITE_PORT;
use crate::postgres::wire;

const LIMIT: Duration = Duration::from_secs(5);

fn idles_for_a_while() -> Stage {
    let mut stage = Stage::with_one_connection();
    stage.desired.limits.idle_in_transaction_timeout = Some(LIMIT);
    stage.apply();
    stage.pass(Duration::from_millis(20));
    stage
}

#[test]
fn who_idles_in_a_transaction_is_told_so_and_its_transaction_rolled_back() {
    let mut stage = idles_for_a_while();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.query(client, "INSERT INTO orders VALUES (?)");
    stage.until("the end", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["25P03"]);
    assert_eq!(stage.closed_for("idle_in_transaction_timeout"), 1);
    // The only connection is somebody else's now, and nothing was committed.
    let other = stage.join(WRITE_PORT);
    assert_eq!(stage.query(other, "SELECT ?"), None);
    assert!(stage.witness.borrow().ledgers[0].is_empty());
}

#[test]
fn who_idles_in_a_failed_transaction_goes_too() {
    let mut stage = idles_for_a_while();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.query(client, "SELECT nowhere, ?");
    stage.until("the end", |stage| stage.person(client).closed);
    let told = stage.person(client).errors.last().cloned();
    assert_eq!(told.as_deref(), Some("25P03"));
}

#[test]
fn who_goes_on_with_its_transaction_in_time_stays() {
    let mut stage = idles_for_a_while();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    for _ in 0..6 {
        stage.pass(Duration::from_secs(3));
        assert_eq!(stage.query(client, "SELECT ?"), None);
    }
    assert_eq!(stage.query(client, "COMMIT"), None);
}

#[test]
fn who_waits_for_a_long_statement_or_is_idle_outside_of_a_transaction_stays() {
    let mut stage = idles_for_a_while();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.ask(client, "SELECT pg_sleep(20), ?");
    stage.pass(Duration::from_secs(19));
    stage.until("the answer", |stage| stage.person(client).ready == 3);
    stage.query(client, "COMMIT");
    stage.pass(Duration::from_secs(20));
    assert_eq!(stage.query(client, "SELECT ?"), None);
}

const LIFE: Duration = Duration::from_secs(100);
/// So long it is at least, with all of the jitter.
const SHORTEST: Duration = Duration::from_secs(79);

#[test]
fn a_client_is_told_that_it_was_connected_for_long_enough() {
    let mut stage = Stage::new();
    stage.desired.limits.client_lifetime = Some(LIFE);
    stage.apply();
    let client = stage.join(WRITE_PORT);
    stage.pass(SHORTEST);
    assert_eq!(stage.query(client, "SELECT ?"), None);
    stage.until("its end", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["57P01"]);
    assert_eq!(stage.closed_for("lifetime"), 1);
}

#[test]
fn a_client_that_is_old_goes_behind_its_transaction() {
    let mut stage = Stage::new();
    stage.desired.limits.client_lifetime = Some(LIFE);
    stage.apply();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.pass(2 * LIFE);
    assert_eq!(stage.query(client, "INSERT INTO orders VALUES (?)"), None);
    stage.query(client, "COMMIT");
    stage.until("its end", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["57P01"]);
    assert_eq!(stage.witness.borrow().ledgers[0].len(), 1);
}

#[test]
fn a_pinned_client_that_is_old_goes_outside_of_a_transaction() {
    let mut stage = Stage::new();
    stage.desired.limits.client_lifetime = Some(LIFE);
    stage.apply();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "LISTEN ?");
    stage.pass(SHORTEST);
    assert!(!stage.person(client).closed);
    stage.until("its end", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["57P01"]);
}

#[test]
fn clients_of_one_moment_dont_all_go_in_one_moment() {
    let mut stage = Stage::new();
    let clients: Vec<_> = (0..8).map(|_| stage.join(WRITE_PORT)).collect();
    stage.pass(2 * LIFE);
    stage.desired.limits.client_lifetime = Some(LIFE);
    stage.apply();
    stage.pass(Duration::from_millis(3500));
    let gone = clients.iter().filter(|c| stage.person(**c).closed).count();
    assert!((1..=4).contains(&gone), "{gone} went in three seconds");
    stage.until("the end of all", |stage| {
        clients.iter().all(|client| stage.person(*client).closed)
    });
}

#[test]
fn an_old_connection_is_replaced_when_it_is_idle_or_at_its_release() {
    let mut stage = Stage::with_one_connection();
    stage.desired.limits.backend_lifetime = Some(LIFE);
    stage.apply();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.query(client, "SELECT ?");
    let first = stage.person(client).session.clone();
    stage.pass(2 * LIFE);
    stage.query(client, "SELECT ?");
    assert_eq!(
        stage.person(client).session,
        first,
        "lost in its transaction"
    );
    stage.query(client, "COMMIT");
    stage.query(client, "SELECT ?");
    let second = stage.person(client).session.clone();
    assert_ne!(second, first);
    stage.pass(SHORTEST);
    stage.query(client, "SELECT ?");
    assert_eq!(stage.person(client).session, second, "replaced too soon");
    stage.until("its end", |stage| stage.held("db0") == 0);
    assert_eq!(stage.query(client, "SELECT ?"), None);
}

#[test]
fn a_pinned_session_keeps_its_old_connection() {
    let mut stage = Stage::new();
    stage.desired.limits.backend_lifetime = Some(LIFE);
    stage.apply();
    let client = stage.join(WRITE_PORT);
    stage.query(client, "LISTEN ?");
    stage.query(client, "SELECT ?");
    let session = stage.person(client).session.clone();
    stage.pass(2 * LIFE);
    stage.query(client, "SELECT ?");
    assert_eq!(stage.person(client).session, session);
    stage.send(client, wire::message(b'X', &[]));
    stage.until("its end", |stage| stage.held("db0") == 0);
}

/// Logs in as far as it is let in; the SQLSTATE if it isn't.
fn comes(stage: &mut Stage) -> Option<String> {
    let client = stage.dial(WRITE_PORT, "shop");
    stage.until("an answer", |stage| {
        let person = stage.person(client);
        person.ready > 0 || person.closed
    });
    stage.person(client).errors.first().cloned()
}

#[test]
fn a_user_has_so_many_clients_and_the_next_when_one_of_them_left() {
    let mut stage = Stage::new();
    stage.desired.limits.max_clients_of_user = Some(2);
    stage.apply();
    stage.pass(Duration::from_millis(20));
    let first = stage.join(WRITE_PORT);
    stage.join(WRITE_PORT);
    assert_eq!(comes(&mut stage).as_deref(), Some("53300"));
    assert_eq!(stage.closed_for("too_many_clients_of_user"), 1);
    stage.leave(first);
    stage.pass(Duration::from_secs(1));
    assert_eq!(comes(&mut stage), None);
}

#[test]
fn more_connections_in_a_second_than_may_come_are_told_so_and_later_ones_come_in() {
    let mut stage = Stage::new();
    stage.desired.limits.connection_rate = Some(3);
    stage.apply();
    stage.pass(Duration::from_secs(2));
    let all: Vec<_> = (0..8).map(|_| stage.dial(WRITE_PORT, "shop")).collect();
    stage.until("the answers", |stage| {
        all.iter()
            .all(|client| stage.person(*client).ready > 0 || stage.person(*client).closed)
    });
    let inside = all.iter().filter(|client| stage.person(**client).ready > 0);
    assert_eq!(inside.count(), 3);
    assert_eq!(stage.closed_for("connection_rate"), 5);
    stage.pass(Duration::from_secs(1));
    assert_eq!(comes(&mut stage), None);
}

#[test]
fn who_cancels_is_never_told_to_come_less_often() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    stage.desired.limits.connection_rate = Some(1);
    stage.apply();
    stage.pass(Duration::from_millis(20));
    stage.ask(client, "SELECT pg_sleep(60), ?");
    stage.pass(Duration::from_millis(50));
    stage.call(WRITE_PORT);
    stage.cancel(client);
    stage.until("the cancel", |stage| stage.person(client).ready == 2);
    assert_eq!(stage.person(client).errors, ["57014"]);
}

#[test]
fn a_user_that_logs_in_too_often_is_told_so_and_a_wrong_password_uses_nothing_up() {
    let mut stage = Stage::new();
    stage.desired.limits.login_rate = Some(2);
    stage.apply();
    stage.pass(Duration::from_secs(2));
    for _ in 0..8 {
        let stranger = stage.call(WRITE_PORT);
        stage.send(stranger, wire::startup("app", "shop"));
        stage.send(stranger, wire::message(b'p', &wire::texts(&["md5wrong"])));
    }
    stage.pass(Duration::from_millis(100));
    let told: Vec<_> = (0..4).map(|_| comes(&mut stage)).collect();
    let refused = told.iter().flatten().count();
    assert!((1..=2).contains(&refused), "{told:?}");
    assert_eq!(stage.closed_for("login_rate"), refused as u64);
}
