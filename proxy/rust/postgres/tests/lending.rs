//! Texts that do nothing but speak of one statement: what they name stands on the backend for them alone.

mod common;

use common::prepared::*;
use common::*;
use dbproxy_engine::{
    Abandoned, CloseReason, Outcome, PinReason, Release, Session as _, Step, Steps,
};
use dbproxy_postgres::Session;

const PREPARE: &str = "PREPARE s AS SELECT 1";

/// The answer to a batch of ours that closes a name.
fn closed() -> Vec<u8> {
    concat(&[bare(b'3'), ready(b'I')])
}

/// A client that has prepared `s` by SQL, and let its backend go.
fn preparer() -> Bench {
    let mut bench = Bench::new();
    bench.client(&query(PREPARE));
    assert_eq!(named(&bench.to_server), format!("Q:{PREPARE} D:S:s S"));
    let made = concat(&[complete("PREPARE"), ready(b'I')]);
    let learned = concat(&[described(&[], &["a"]), ready(b'I')]);
    assert_eq!(bench.server(&concat(&[made, learned])), "C:PREPARE Z:I");
    assert!(bench.released.is_empty());
    assert!(named(&bench.to_server).ends_with(" C:S:s S"));
    assert_eq!(bench.server(&closed()), "");
    assert_eq!(bench.released, [Release::Clean]);
    bench.to_server.clear();
    bench
}

/// The same, whose EXECUTE has the statement made.
fn executor(columns: &[&str]) -> Bench {
    let mut bench = preparer();
    bench.client(&query("EXECUTE s"));
    assert_eq!(named(&bench.to_server), "P:s D:S:s S");
    bench.to_server.clear();
    bench.server(&concat(&[parsed(&[], columns), ready(b'I')]));
    bench
}

#[test]
fn what_prepare_made_is_put_away_and_shared() {
    let mut bench = preparer();
    bench.client(&concat(&[bind("", "s"), execute(""), sync()]));
    assert_eq!(named(&bench.to_server), "P:dbproxy:1 D:S:dbproxy:1 H");
    // Places that errors tell are those of the client's text.
    let text = format!("dbproxy:1\0{:13}SELECT 1\0", "");
    let mut sent = bench.to_server.windows(text.len());
    assert!(sent.any(|part| part == text.as_bytes()));
    bench.server(&parsed(&[], &["a"]));
    assert!(named(&bench.to_server).ends_with("B::dbproxy:1 E: S"));
    assert_eq!(bench.pin(), None);
}

#[test]
fn what_follows_a_prepare_waits_until_that_is_put_away() {
    let mut bench = Bench::new();
    bench.client(&concat(&[query(PREPARE), bind("", "s"), sync()]));
    let made = concat(&[complete("PREPARE"), ready(b'I')]);
    let learned = concat(&[described(&[], &["a"]), ready(b'I')]);
    bench.server(&concat(&[made, learned]));
    assert_eq!(
        named(&bench.to_server),
        format!("Q:{PREPARE} D:S:s S C:S:s S")
    );
    bench.server(&closed());
    assert!(named(&bench.to_server).ends_with("C:S:s S P:dbproxy:1 D:S:dbproxy:1 H"));
}

#[test]
fn a_prepare_that_failed_leaves_nothing() {
    let mut bench = Bench::new();
    bench.client(&query(PREPARE));
    let failed = concat(&[error("ERROR", "42601"), ready(b'I')]);
    let missed = concat(&[error("ERROR", "26000"), ready(b'I')]);
    assert_eq!(bench.server(&concat(&[failed, missed])), "E:42601 Z:I");
    assert_eq!(bench.released, [Release::Clean]);
    bench.client(&concat(&[bind("", "s"), sync()]));
    assert!(named(&bench.to_server).ends_with("B::s S"));
}

#[test]
fn what_is_made_and_cannot_be_described_stays_the_clients_own() {
    let mut bench = Bench::new();
    bench.client(&query(PREPARE));
    let made = concat(&[complete("PREPARE"), ready(b'I')]);
    let cancelled = concat(&[error("ERROR", "57014"), ready(b'I')]);
    assert_eq!(bench.server(&concat(&[made, cancelled])), "C:PREPARE Z:I");
    assert!(bench.released.is_empty());
    assert_eq!(bench.pin(), Some(PinReason::SqlPrepare));
}

#[test]
fn a_prepare_of_which_nobody_else_knows_what_it_made_is_lost_with_its_session() {
    let mut bench = Bench::new();
    bench.client(&query(PREPARE));
    bench.server(&concat(&[complete("PREPARE"), ready(b'I')]));
    let ends = Outcome::Closes(CloseReason::PinnedBackendLost);
    assert_eq!(bench.lose(), ends);
}

#[test]
fn nothing_of_the_proxys_can_fail_a_transaction_behind_its_prepare() {
    let mut bench = Bench::in_transaction();
    bench.to_server.clear();
    bench.client(&query(PREPARE));
    assert_eq!(named(&bench.to_server), format!("Q:{PREPARE}"));
    assert_eq!(bench.pin(), Some(PinReason::SqlPrepare));
}

#[test]
fn a_prepare_that_was_not_answered_is_refused_when_its_backend_is_lost() {
    let mut bench = Bench::new();
    bench.client(&query(PREPARE));
    assert_eq!(bench.lose(), Outcome::Stays);
    assert_eq!(bench.told(), "E:40001 Z:I");
}

#[test]
fn what_a_prepare_made_outlives_its_backend_once_it_is_described() {
    let mut bench = Bench::new();
    bench.client(&query(PREPARE));
    let made = concat(&[complete("PREPARE"), ready(b'I')]);
    let learned = concat(&[described(&[], &["a"]), ready(b'I')]);
    bench.server(&concat(&[made, learned]));
    assert_eq!(bench.lose(), Outcome::Stays);
    bench.idle = vec![link()];
    bench.client(&query("EXECUTE s"));
    assert!(named(&bench.to_server).ends_with("P:s D:S:s S"));
}

#[test]
fn execute_finds_its_statement_for_as_long_as_it_runs() {
    let mut bench = executor(&["a"]);
    assert_eq!(named(&bench.to_server), "Q:EXECUTE s C:S:s S");
    let ran = concat(&[complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&concat(&[ran, closed()])), "C:SELECT 1 Z:I");
    assert_eq!(bench.released.last(), Some(&Release::Clean));
    assert_eq!(bench.pin(), None);
}

#[test]
fn execute_of_what_has_other_columns_by_now_is_refused() {
    let mut bench = executor(&["a", "b"]);
    assert_eq!(named(&bench.to_server), "C:S:s S Q:EXECUTE s");
    let refused = concat(&[error("ERROR", "26000"), ready(b'I')]);
    let reply = concat(&[closed(), refused]);
    assert_eq!(bench.server(&reply), "E:0A000 Z:I");
    assert_eq!(bench.released.last(), Some(&Release::Clean));
}

#[test]
fn execute_of_what_cannot_be_made_gets_what_the_server_says_of_it() {
    let mut bench = preparer();
    bench.client(&query("EXECUTE s"));
    bench.server(&concat(&[error("ERROR", "42P01"), ready(b'I')]));
    assert!(named(&bench.to_server).ends_with("C:S:s S Q:EXECUTE s"));
    let refused = concat(&[error("ERROR", "26000"), ready(b'I')]);
    assert_eq!(bench.server(&concat(&[closed(), refused])), "E:42P01 Z:I");
}

#[test]
fn a_name_that_cannot_be_closed_costs_the_backend() {
    let mut bench = executor(&["a"]);
    let ran = concat(&[complete("SELECT 1"), ready(b'I')]);
    bench.server(&concat(&[ran, error("ERROR", "57014")]));
    assert!(matches!(bench.released.last(), Some(Release::Kill(_))));
}

#[test]
fn nobody_gets_a_backend_with_the_names_of_a_client_that_left() {
    let mut bench = preparer();
    bench.client(&query("EXECUTE s"));
    let mut link = bench.link.take().unwrap();
    assert_eq!(bench.session.abandon(&mut link), Abandoned::Running);
    let reply = concat(&[parsed(&[], &["a"]), ready(b'I')]);
    let mut out = Steps::new();
    Session::feed_server(None, &mut link, &reply, &mut out);
    let last = out.pop();
    assert!(
        matches!(last, Some(Step::Release(Release::Reset))),
        "{last:?}"
    );
}

#[test]
fn a_name_that_is_taken_is_refused_by_the_server() {
    let mut bench = preparer();
    bench.client(&query(PREPARE));
    assert_eq!(
        named(&bench.to_server),
        format!("P:s S Q:{PREPARE} C:S:s S")
    );
    let stands = concat(&[bare(b'1'), ready(b'I')]);
    let refused = concat(&[error("ERROR", "42P05"), ready(b'I')]);
    let reply = concat(&[stands, refused, closed()]);
    assert_eq!(bench.server(&reply), "E:42P05 Z:I");
    assert_eq!(bench.released.last(), Some(&Release::Clean));
}

#[test]
fn what_may_be_a_keyword_is_deallocated_as_the_server_reads_it() {
    let mut bench = prepared();
    bench.client(&concat(&[parse("select", "SELECT 2"), sync()]));
    bench.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    bench.to_server.clear();
    bench.client(&query("DEALLOCATE select"));
    assert_eq!(
        named(&bench.to_server),
        "P:select S Q:DEALLOCATE select C:S:select S"
    );
    let stands = concat(&[bare(b'1'), ready(b'I')]);
    let refused = concat(&[error("ERROR", "42601"), ready(b'I')]);
    bench.server(&concat(&[stands, refused, closed()]));
    bench.to_server.clear();
    bench.client(&concat(&[bind("", "select"), sync()]));
    assert_eq!(named(&bench.to_server), "B::dbproxy:2 S");
}

#[test]
fn what_somebody_else_made_under_the_name_is_not_what_a_prepare_that_failed_says() {
    let mut bench = Bench::new();
    bench.client(&query(PREPARE));
    let failed = concat(&[error("ERROR", "42P05"), ready(b'I')]);
    let found = concat(&[described(&[], &["b"]), ready(b'I')]);
    assert_eq!(bench.server(&concat(&[failed, found])), "E:42P05 Z:I");
    bench.client(&concat(&[bind("", "s"), sync()]));
    assert!(named(&bench.to_server).ends_with("B::s S"));
}

#[test]
fn a_name_that_the_init_query_may_have_made_pins() {
    for sql in [PREPARE, "EXECUTE s", "DEALLOCATE \"s\"", "DEALLOCATE s"] {
        let mut bench = Bench::new();
        bench.idle = vec![initialised_link("PREPARE s AS SELECT 1")];
        bench.client(&query(sql));
        assert_eq!(bench.pin(), Some(PinReason::SqlPrepare), "{sql}");
    }
}
