//! The unnamed statement: remembered, parsed again elsewhere, and never another client's.

mod common;

use common::*;
use dbproxy_engine::{PinReason, Release};

#[test]
fn an_unnamed_statement_that_waits_for_its_use_pins() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("", "SELECT 1"), describe("S"), sync()]));
    assert_eq!(bench.pin(), Some(PinReason::UnnamedStatement));
}

#[test]
fn a_used_unnamed_statement_is_parsed_again_on_another_backend() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = vec![link()];
    let again = concat(&[bind("", ""), execute(""), sync()]);
    assert_eq!(bench.client(&again), "P B E S");
    assert_eq!(bench.server(&reply(b'I')), "2 C:SELECT 1 Z:I");
    assert_eq!(bench.pin(), Some(PinReason::UnnamedStatement));
    assert_eq!(bench.released.len(), 1);
}

#[test]
fn the_replayed_parse_is_told_from_the_clients_own() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = vec![link()];
    let batch = concat(&[parse("s", "SELECT 2"), bind("", ""), sync()]);
    assert_eq!(bench.client(&batch), "P:s P B S");
    let replies = concat(&[bare(b'1'), bare(b'1'), bare(b'2'), ready(b'I')]);
    assert_eq!(bench.server(&replies), "1 2 Z:I");
}

#[test]
fn anothers_unnamed_statement_is_never_used() {
    let mut first = Bench::named("", 1);
    first.client(&concat(&[run("SELECT secret"), sync()]));
    first.server(&reply(b'I'));
    let mut second = Bench::named("", 2);
    second.idle = std::mem::take(&mut first.idle);
    assert_eq!(
        second.client(&concat(&[bind("", ""), execute(""), sync()])),
        "C:S B E S"
    );
    assert_eq!(
        second.server(&concat(&[bare(b'3'), error("ERROR", "26000"), ready(b'I')])),
        "E:26000 Z:I"
    );
    assert_eq!(second.released, [Release::Clean]);
}

/// A backend on which somebody else has parsed the unnamed statement.
fn after_another(session: u32) -> Bench {
    let mut first = Bench::named("", 1);
    first.client(&concat(&[run("SELECT secret"), sync()]));
    first.server(&reply(b'I'));
    let mut second = Bench::named("", session);
    second.idle = std::mem::take(&mut first.idle);
    second
}

#[test]
fn anothers_unnamed_statement_is_not_used_behind_a_parse_that_may_be_skipped() {
    let mut bench = after_another(2);
    let batches = concat(&[
        bind("", "missing"),
        parse("", "SELECT 2"),
        sync(),
        bind("", ""),
        execute(""),
        sync(),
    ]);
    assert_eq!(bench.client(&batches), "B P S P B E S");
}

#[test]
fn anothers_unnamed_statement_is_not_used_behind_a_replay_that_may_be_skipped() {
    let mut bench = Bench::named("", 2);
    bench.client(&concat(&[run("SELECT 2"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = after_another(3).idle;
    let batches = concat(&[
        bind("", "missing"),
        bind("", ""),
        sync(),
        bind("", ""),
        bind("p", ""),
        execute(""),
        sync(),
    ]);
    assert_eq!(bench.client(&batches), "B P B S P B B E S");
}

#[test]
fn a_replay_that_was_skipped_is_repeated() {
    let mut bench = Bench::named("", 2);
    bench.client(&concat(&[run("SELECT 2"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = vec![link()];
    let failing = [bind("", "missing"), bind("", ""), sync()];
    assert_eq!(bench.client(&concat(&failing)), "B P B S");
    bench.server(&concat(&[error("ERROR", "26000"), ready(b'I')]));
    assert_eq!(bench.client(&concat(&[bind("", ""), sync()])), "P B S");
}

#[test]
fn a_pinned_sessions_statement_is_replayed_where_anothers_may_be() {
    let mut bench = after_another(2);
    let batches = [
        bind("", "missing"),
        parse("s", "SELECT 1"),
        parse("", "SELECT 2"),
        sync(),
        parse("", "SELECT 3"),
        sync(),
        bind("", ""),
        sync(),
    ];
    assert_eq!(bench.client(&concat(&batches)), "B P:s P S P S P B S");
    let replayed = concat(&[parse("", "SELECT 3"), bind("", ""), sync()]);
    assert!(bench.to_server.ends_with(&replayed));
}

#[test]
fn anothers_unnamed_statement_is_not_used_behind_a_query_that_may_be_skipped() {
    let mut bench = after_another(2);
    let requests = concat(&[bind("", "missing"), query("SELECT 2"), bind("", ""), sync()]);
    assert_eq!(bench.client(&requests), "B Q:SELECT 2 C:S B S");
}

#[test]
fn a_parse_too_large_to_be_checked_has_anothers_statement_closed_before_it() {
    let mut bench = after_another(2);
    let large = parse("", &"x".repeat(3 * LIMIT));
    let begun = bench.client(&large[..2 * LIMIT]);
    assert!(begun.starts_with("C:S +"), "{begun}");
}

#[test]
fn an_error_behind_the_parse_leaves_the_unnamed_statement() {
    let mut bench = Bench::new();
    bench.client(&concat(&[query("BEGIN")]));
    bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
    bench.client(&concat(&[run("SELECT 1/$1"), sync()]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), error("ERROR", "22012")]));
    bench.server(&ready(b'E'));
    assert_eq!(bench.client(&concat(&[bind("", ""), sync()])), "B S");
    assert_eq!(bench.pin(), None);
}

#[test]
fn replays_that_are_skipped_are_not_waited_for() {
    let mut bench = after_another(2);
    let close = message(b'C', b"S\0");
    let batch = [
        describe("P"),
        bind("", ""),
        close,
        bind("", ""),
        sync(),
        query("SELECT 1"),
    ];
    assert_eq!(
        bench.client(&concat(&batch)),
        "D C:S B C:S C:S B S Q:SELECT 1"
    );
    bench.server(&concat(&[error("ERROR", "34000"), ready(b'I')]));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn completions_of_the_proxys_own_are_told_from_those_that_came_before() {
    let mut bench = after_another(2);
    let close = |name: &str| message(b'C', format!("{name}\0").as_bytes());
    bench.client(&concat(&[close("Pp"), flush()]));
    assert_eq!(bench.server(&bare(b'3')), "3");
    let more = [bind("", ""), close("Pp"), close("S"), bind("", ""), sync()];
    assert_eq!(bench.client(&concat(&more)), "C:S B C:Pp C:S C:S B S");
    // No server would answer so; what matters is which completions are passed on.
    let replies = [bare(b'3'), bare(b'2'), bare(b'3'), bare(b'3'), bare(b'3')];
    assert_eq!(bench.server(&concat(&replies)), "2 3 3");
    assert_eq!(bench.server(&concat(&[bare(b'2'), ready(b'I')])), "2 Z:I");
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn what_follows_an_error_in_its_batch_changes_nothing() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), sync()]));
    bench.server(&reply(b'I'));
    bench.client(&concat(&[bind("p", "missing"), flush()]));
    assert_eq!(bench.server(&error("ERROR", "26000")), "E:26000");
    let skipped = [
        parse("", "LISTEN x"),
        query("SELECT 2"),
        sync(),
        bind("", ""),
        sync(),
    ];
    bench.client(&concat(&skipped));
    bench.server(&concat(&[ready(b'I'), bare(b'2'), ready(b'I')]));
    assert_eq!(bench.released, [Release::Clean, Release::Clean]);
    assert_eq!(bench.pin(), None);
}

#[test]
fn a_statement_whose_use_a_failed_batch_throws_away_does_not_pin() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("", "SELECT x FROM t"), flush()]));
    bench.server(&error("ERROR", "42P01"));
    bench.client(&concat(&[bind("", ""), execute(""), sync()]));
    bench.server(&ready(b'I'));
    assert_eq!(bench.released, [Release::Clean]);
    assert_eq!(bench.pin(), None);
}

#[test]
fn a_query_destroys_the_unnamed_statement() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), sync()]));
    bench.server(&reply(b'I'));
    bench.client(&query("SELECT 2"));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    assert_eq!(bench.client(&concat(&[bind("", ""), sync()])), "B S");
}

#[test]
fn a_failed_replay_is_the_clients_answer() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT x FROM t"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = vec![link()];
    bench.client(&concat(&[bind("", ""), execute(""), sync()]));
    assert_eq!(
        bench.server(&concat(&[error("ERROR", "42P01"), ready(b'I')])),
        "E:42P01 Z:I"
    );
}

#[test]
fn a_pipeline_of_two_unnamed_statements_stays_in_order() {
    let mut bench = Bench::new();
    let batch = concat(&[run("SELECT 1"), run("SELECT 2"), sync()]);
    bench.client(&batch);
    assert_eq!(bench.to_server, batch);
    let reply = concat(&[
        bare(b'1'),
        bare(b'2'),
        complete("SELECT 1"),
        bare(b'1'),
        bare(b'2'),
        complete("SELECT 1"),
        ready(b'I'),
    ]);
    bench.server(&reply);
    assert_eq!(bench.to_client, reply);
    assert_eq!(bench.released, [Release::Clean]);
}
