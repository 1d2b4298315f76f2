//! What a client is told when its backend is gone.

mod common;

use common::*;
use dbproxy_engine::{
    Abandoned, CloseReason, Failure, KillReason, Link as _, Note, Outcome, Release, Session as _,
    Steps,
};

#[test]
fn a_statement_of_a_transaction_gets_40001_and_the_rest_25p02_until_rollback() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("INSERT INTO t VALUES (1)"));
    assert_eq!(bench.lose(), Outcome::Stays);
    assert_eq!(bench.told(), "E:40001 Z:E");
    assert!(!bench.session.at_boundary());
    bench.idle = vec![link()];
    assert_eq!(bench.client(&query("INSERT INTO t VALUES (2)")), "");
    assert_eq!(bench.told(), "E:25P02 Z:E");
    bench.client(&query("SAVEPOINT a"));
    assert_eq!(bench.told(), "E:25P02 Z:E");
    bench.client(&query(" commit; "));
    assert_eq!(bench.told(), "C:ROLLBACK Z:I");
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
}

#[test]
fn a_name_that_was_set_in_the_lost_transaction_is_taken_back() {
    let mut bench = Bench::named("shop", 1);
    bench.client(&query("BEGIN"));
    let named = concat(&[report("application_name", "shop"), ready(b'I')]);
    let begun = concat(&[complete("BEGIN"), ready(b'T')]);
    bench.server(&concat(&[complete("SET"), named, begun]));
    bench.client(&query("SET application_name = 'mine'"));
    let set = [complete("SET"), report("application_name", "mine")];
    let told = bench.server(&concat(&[concat(&set), ready(b'T')]));
    assert_eq!(told, "C:SET S:application_name=mine Z:T");
    bench.client(&query("SELECT 1"));
    bench.told();
    bench.lose();
    assert_eq!(bench.told(), "S:application_name=shop E:40001 Z:E");
}

#[test]
fn a_transaction_lost_while_idle_is_told_at_the_next_statement() {
    let mut bench = Bench::in_transaction();
    assert_eq!(bench.lose(), Outcome::Stays);
    assert_eq!(bench.told(), "");
    bench.client(&query("INSERT INTO t VALUES (2)"));
    assert_eq!(bench.told(), "E:40001 Z:E");
    bench.client(&query("SELECT 2"));
    assert_eq!(bench.told(), "E:25P02 Z:E");
    bench.client(&query("ROLLBACK TO SAVEPOINT a"));
    assert_eq!(bench.told(), "E:25P02 Z:E");
    bench.client(&query("ROLLBACK AND CHAIN"));
    assert_eq!(bench.told(), "E:25P02 Z:E");
    bench.client(&query("ROLLBACK"));
    assert_eq!(bench.told(), "C:ROLLBACK Z:I");
}

#[test]
fn the_commit_of_a_transaction_lost_while_idle_fails_and_ends_it() {
    for text in ["COMMIT", " end; "] {
        let mut bench = Bench::in_transaction();
        bench.lose();
        bench.client(&query(text));
        assert_eq!(bench.told(), "E:40001 Z:I");
        bench.idle = vec![link()];
        assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
    }
    let mut bench = Bench::in_transaction();
    bench.lose();
    bench.client(&concat(&[run("COMMIT"), sync()]));
    assert_eq!(bench.told(), "E:40001 Z:I");
    assert!(bench.session.at_boundary());
}

#[test]
fn a_batch_without_its_sync_is_skipped_up_to_it() {
    let mut bench = Bench::in_transaction();
    bench.client(&concat(&[run("SELECT 1"), flush()]));
    bench.lose();
    assert_eq!(bench.told(), "E:40001");
    bench.client(&concat(&[run("SELECT 2"), sync()]));
    assert_eq!(bench.told(), "Z:E");
}

#[test]
fn a_commit_in_flight_has_an_unknown_outcome() {
    for texts in [
        &["COMMIT"][..],
        &["INSERT INTO t VALUES (1)", "end"],
        &["SELECT 1; COMMIT"],
        &["PREPARE TRANSACTION 'x'"],
    ] {
        let mut bench = Bench::in_transaction();
        for text in texts {
            bench.client(&query(text));
        }
        assert_eq!(
            bench.lose(),
            Outcome::Closes(CloseReason::OutcomeUnknown),
            "{texts:?}"
        );
        assert_eq!(bench.told(), "E:08007");
    }
    for text in [
        "INSERT INTO t VALUES (1)",
        "SELECT f()",
        "CALL p()",
        "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "VACUUM",
    ] {
        let mut bench = Bench::new();
        bench.client(&query(text));
        assert_eq!(
            bench.lose(),
            Outcome::Closes(CloseReason::OutcomeUnknown),
            "{text}"
        );
    }
    let mut bench = Bench::in_transaction();
    bench.client(&concat(&[run("COMMIT"), sync()]));
    assert_eq!(bench.lose(), Outcome::Closes(CloseReason::OutcomeUnknown));
}

#[test]
fn the_outcome_of_reading_what_may_be_a_view_is_unknown() {
    let mut bench = Bench::new();
    bench.client(&query("SELECT * FROM next_job"));
    assert_eq!(
        bench.lose(),
        Outcome::Closes(CloseReason::OutcomeUnknown),
        "next_job may be SELECT pop_job()"
    );
    assert_eq!(bench.told(), "E:08007");
}

#[test]
fn a_read_of_its_own_gets_40001_and_leaves_no_transaction() {
    let mut bench = Bench::new();
    bench.client(&query(
        "SELECT count(*) FROM pg_catalog.pg_class WHERE oid IN (1, 2)",
    ));
    assert_eq!(bench.lose(), Outcome::Stays);
    assert_eq!(bench.told(), "E:40001 Z:I");
    assert!(bench.session.at_boundary());
}

#[test]
fn the_rest_of_a_pipelined_script_cannot_commit() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        query("BEGIN"),
        query("INSERT INTO t VALUES (1)"),
    ]));
    bench.lose();
    assert_eq!(bench.told(), "E:40001 Z:E E:25P02 Z:E");
    bench.client(&query("INSERT INTO t VALUES (2)"));
    assert_eq!(bench.told(), "E:25P02 Z:E");
}

#[test]
fn commit_of_a_failed_transaction_commits_nothing() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("SELECT 1/0"));
    bench.server(&concat(&[error("ERROR", "22012"), ready(b'E')]));
    bench.told();
    bench.client(&query("COMMIT"));
    assert_eq!(bench.lose(), Outcome::Stays);
    assert_eq!(bench.told(), "E:25P02 Z:E");
}

#[test]
fn an_error_that_was_given_is_not_given_twice() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("SELECT 1/0"));
    bench.server(&error("ERROR", "22012"));
    bench.told();
    bench.lose();
    assert_eq!(bench.told(), "Z:E");
}

#[test]
fn a_pinned_client_is_closed() {
    let mut bench = Bench::new();
    bench.client(&query("LOAD 'x'"));
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    bench.told();
    assert_eq!(
        bench.lose(),
        Outcome::Closes(CloseReason::PinnedBackendLost)
    );
    assert_eq!(bench.told(), "E:57P01");
}

#[test]
fn settings_that_a_chained_commit_has_kept_are_lost_with_the_backend() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("SET ROLE clerk"));
    bench.server(&concat(&[complete("SET"), ready(b'T')]));
    bench.client(&query("COMMIT AND CHAIN"));
    bench.server(&concat(&[complete("COMMIT"), ready(b'T')]));
    bench.told();
    assert_eq!(
        bench.lose(),
        Outcome::Closes(CloseReason::PinnedBackendLost)
    );
    assert_eq!(bench.told(), "E:57P01");
}

#[test]
fn in_the_middle_of_a_row_nothing_is_squeezed_in() {
    let mut bench = Bench::new();
    bench.client(&query("SELECT x FROM t"));
    let bytes = row(&[b'x'; 100]);
    bench.server(&bytes[..50]);
    bench.to_client.clear();
    assert_eq!(bench.lose(), Outcome::Closes(CloseReason::ReplyCutShort));
    assert_eq!(bench.told(), "");
}

#[test]
fn a_request_of_which_nothing_was_sent_is_queued_again() {
    let mut bench = Bench::named("psql", 1);
    let mut link = bench.idle.pop().unwrap();
    bench.session.attach(&mut link, &mut Steps::new());
    bench.link = Some(link);
    assert_eq!(bench.lose(), Outcome::Requeue);
    bench.idle = vec![common::link()];
    assert_eq!(
        bench.client(&query("SELECT 1")),
        "Q:SET application_name TO 'psql' Q:SELECT 1"
    );
}

#[test]
fn half_a_statement_was_never_run() {
    let mut bench = Bench::in_transaction();
    let bytes = query(&format!("COMMIT; /* {} */", "x".repeat(3 * LIMIT)));
    bench.client(&bytes[..2 * LIMIT]);
    assert_eq!(
        bench.lose(),
        Outcome::Closes(CloseReason::PinnedBackendLost)
    );
}

#[test]
fn a_server_that_goes_down_is_a_loss_and_not_the_clients_error() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("INSERT INTO t VALUES (1)"));
    assert_eq!(bench.server(&error("FATAL", "57P01")), "E:40001 Z:E");
    assert_eq!(bench.notes, [Note::WriterDoubted]);
    assert_eq!(bench.released, [Release::Kill(KillReason::ServerClosed)]);
}

#[test]
fn a_refused_request_is_answered_and_the_session_stays() {
    let mut bench = Bench::new();
    let mut steps = Steps::new();
    let input = concat(&[run("SELECT 1"), sync(), query("SELECT 2")]);
    bench.idle.clear();
    bench.client(&input);
    let used = bench
        .session
        .refuse(Failure::BorrowTimeout, &input, &mut steps);
    assert_eq!(used, input.len() - query("SELECT 2").len());
    let [dbproxy_engine::Step::Send(_, dbproxy_engine::Payload::Bytes(bytes))] = &steps[..] else {
        panic!("{steps:?}")
    };
    assert_eq!(show(bytes), "E:53300 Z:I");
}

#[test]
fn a_refused_batch_that_goes_on_is_skipped_to_its_sync() {
    let mut bench = Bench::new();
    bench.idle.clear();
    let input = concat(&[run("SELECT 1"), flush()]);
    bench.client(&input);
    let mut steps = Steps::new();
    assert_eq!(
        bench.session.refuse(Failure::Cancelled, &input, &mut steps),
        input.len()
    );
    let mut bench = Bench {
        session: bench.session,
        ..Bench::new()
    };
    bench.client(&concat(&[execute(""), sync()]));
    assert_eq!(bench.told(), "Z:I");
}

#[test]
fn a_client_that_goes_lets_its_request_run_and_its_transaction_be_rolled_back() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("SELECT 1"));
    let mut link = bench.link.take().unwrap();
    assert_eq!(bench.session.abandon(&mut link), Abandoned::Running);
    let mut steps = Steps::new();
    let bytes = concat(&[complete("SELECT 1"), ready(b'T')]);
    let used = dbproxy_postgres::Session::feed_server(None, &mut link, &bytes, &mut steps);
    assert_eq!(
        (used, &steps[..]),
        (
            bytes.len(),
            &[dbproxy_engine::Step::Release(Release::Reset)][..]
        )
    );
    let mut out = Vec::new();
    link.reset(Some("SET x TO 1"), &mut out);
    assert_eq!(show(&out), "Q:ROLLBACK Q:DISCARD ALL Q:SET x TO 1");
    let bytes = concat(&[
        complete("ROLLBACK"),
        ready(b'I'),
        complete("DISCARD ALL"),
        ready(b'I'),
        complete("SET"),
        ready(b'I'),
    ]);
    steps.clear();
    dbproxy_postgres::Session::feed_server(None, &mut link, &bytes, &mut steps);
    assert_eq!(steps, [dbproxy_engine::Step::Release(Release::Clean)]);
}

#[test]
fn an_open_batch_dies_with_its_client() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), flush()]));
    let mut link = bench.link.take().unwrap();
    assert_eq!(
        bench.session.abandon(&mut link),
        Abandoned::Free(Release::Kill(KillReason::ClientLost))
    );
}

#[test]
fn a_backend_that_says_goodbye_behind_its_reset_is_lent_to_nobody() {
    let mut link = link();
    link.reset(None, &mut Vec::new());
    let mut steps = Steps::new();
    let bytes = concat(&[
        complete("DISCARD ALL"),
        ready(b'I'),
        error("FATAL", "57P01"),
    ]);
    dbproxy_postgres::Session::feed_server(None, &mut link, &bytes, &mut steps);
    let killed = Release::Kill(KillReason::ServerClosed);
    assert!(
        steps.contains(&dbproxy_engine::Step::Release(killed)),
        "{steps:?}"
    );
}

#[test]
fn a_reset_that_fails_kills() {
    let mut link = link();
    let mut out = Vec::new();
    link.reset(None, &mut out);
    let mut steps = Steps::new();
    let bytes = concat(&[error("ERROR", "XX000"), ready(b'I')]);
    dbproxy_postgres::Session::feed_server(None, &mut link, &bytes, &mut steps);
    assert_eq!(
        steps,
        [dbproxy_engine::Step::Release(Release::Kill(
            KillReason::ResetFailed
        ))]
    );
}
