//! What may have been committed when a backend is lost amid pipelines, portals and failed batches.

mod common;

use common::*;
use dbproxy_engine::{CloseReason, Outcome};

/// The answer to a BEGIN and, in its batch, a portal that is bound and not executed.
fn begun() -> Vec<u8> {
    concat(&[
        bare(b'1'),
        bare(b'2'),
        complete("BEGIN"),
        bare(b'1'),
        bare(b'2'),
        ready(b'T'),
    ])
}

#[test]
fn a_portal_that_commits_is_remembered_while_an_earlier_request_is_answered() {
    let mut bench = Bench::new();
    let second = concat(&[run("BEGIN"), parse("", "COMMIT"), bind("p", ""), sync()]);
    bench.client(&concat(&[query("SELECT 1"), second]));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    bench.server(&begun());
    bench.client(&concat(&[execute("p"), sync()]));
    assert_eq!(bench.lose(), Outcome::Closes(CloseReason::OutcomeUnknown));
}

#[test]
fn a_portal_that_commits_may_be_executed_in_a_batch_that_binds_another() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        run("BEGIN"),
        parse("", "COMMIT"),
        bind("p", ""),
        sync(),
    ]));
    bench.server(&begun());
    bench.client(&concat(&[run("SELECT 1"), execute("p"), sync()]));
    assert_eq!(bench.lose(), Outcome::Closes(CloseReason::OutcomeUnknown));
}

#[test]
fn a_commit_in_front_of_a_call_that_went_out_in_part_has_an_unknown_outcome() {
    let mut bench = Bench::in_transaction();
    let mut call = message(b'F', &[&[0, 0, 3, 187, 0, 0][..], &[0; 10_000]].concat());
    call.truncate(8000);
    bench.client(&concat(&[run("COMMIT"), call]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), complete("COMMIT")]));
    assert_eq!(bench.pin(), None);
    assert_eq!(
        bench.lose(),
        Outcome::Closes(CloseReason::OutcomeUnknown),
        "{}",
        bench.told()
    );
}

#[test]
fn each_request_behind_a_failed_batch_gets_an_error_when_the_backend_is_lost() {
    let mut bench = Bench::in_transaction();
    let skipped = query("SELECT 2");
    bench.client(&concat(&[
        parse("", "SELECT * FROM missing"),
        skipped,
        sync(),
        query("SELECT 3"),
    ]));
    assert_eq!(bench.server(&error("ERROR", "42P01")), "E:42P01");
    bench.to_client.clear();
    assert_eq!(bench.pin(), None);
    bench.lose();
    assert_eq!(bench.told(), "Z:E E:25P02 Z:E");
}

/// What was sent, what was heard, and a statement behind it that commits by itself if BEGIN was skipped.
fn behind_a_begin(sent: &[Vec<u8>], heard: &[Vec<u8>]) {
    let mut bench = Bench::new();
    bench.client(&concat(&[concat(sent), query("INSERT INTO t VALUES (1)")]));
    bench.server(&concat(heard));
    let outcome = bench.lose();
    let told = bench.told();
    assert_eq!(
        outcome,
        Outcome::Closes(CloseReason::OutcomeUnknown),
        "{told}"
    );
}

#[test]
fn what_stands_behind_a_batch_whose_begin_may_be_skipped_may_be_committed() {
    behind_a_begin(
        &[parse("", "SELECT * FROM missing"), run("BEGIN"), sync()],
        &[],
    );
}

#[test]
fn what_stands_behind_a_batch_whose_begin_was_skipped_may_be_committed() {
    let sent = [
        parse("", "BEGIN"),
        bind("", ""),
        describe("Pmissing"),
        execute(""),
        sync(),
    ];
    behind_a_begin(&sent, &[bare(b'1'), bare(b'2'), error("ERROR", "34000")]);
}

#[test]
fn what_stands_behind_a_text_whose_begin_may_be_skipped_may_be_committed() {
    behind_a_begin(
        &[query("SELECT count(*) FROM pg_catalog.missing; BEGIN")],
        &[],
    );
}
