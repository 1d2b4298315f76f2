//! The unnamed statement: remembered, parsed again elsewhere, and never another client's.

mod common;

use common::prepared::parsed;
use common::*;
use dbproxy_engine::{PinReason, Release};

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
    assert_eq!(bench.client(&batch), "P:dbproxy:1 D P B S");
    let named = [bare(b'1'), message(b't', &[0, 0]), bare(b'n')];
    let replies = concat(&[concat(&named), bare(b'1'), bare(b'2'), ready(b'I')]);
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
fn a_statement_parsed_elsewhere_since_is_used_and_not_the_one_that_was_left_here() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), sync()]));
    bench.server(&reply(b'I'));
    let first = std::mem::take(&mut bench.idle);
    bench.idle = vec![link()];
    bench.client(&concat(&[run("SELECT 2"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = first;
    bench.client(&concat(&[bind("", ""), execute(""), sync()]));
    let again = concat(&[parse("", "SELECT 2"), bind("", ""), execute(""), sync()]);
    assert_eq!(show(&bench.to_server), show(&again));
    assert_eq!(bench.to_server, again);
}

/// Answers the first batch, and answers all that went to the server then.
fn after(bench: &mut Bench, answer: &[Vec<u8>]) -> String {
    bench.server(&concat(answer));
    show(&bench.to_server)
}

#[test]
fn a_client_that_uses_the_unnamed_statement_in_a_later_batch_is_waited_for() {
    let mut bench = after_another(2);
    let use_it = concat(&[bind("", ""), execute(""), sync()]);
    let batches = [
        bind("", "missing"),
        parse("", "SELECT 2"),
        sync(),
        use_it.clone(),
    ];
    assert_eq!(bench.client(&concat(&batches)), "B P D S");
    // The Parse was skipped: another's statement is still there.
    let failed = [error("ERROR", "26000"), ready(b'I')];
    assert_eq!(after(&mut bench, &failed), "B P D S C:S B E S");

    let mut bench = after_another(2);
    let close = message(b'C', b"Pp\0");
    let batches = [close, parse("", "SELECT 2"), sync(), use_it];
    assert_eq!(bench.client(&concat(&batches)), "C:Pp P D S");
    let parsed = [bare(b'3'), parsed(&[], &["a"]), ready(b'I')];
    assert_eq!(after(&mut bench, &parsed), "C:Pp P D S B E S");
}

#[test]
fn the_statement_that_a_failed_batch_left_is_used_behind_it() {
    let mut bench = Bench::named("", 2);
    bench.client(&concat(&[run("SELECT 2"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = vec![link()];
    let batches = [
        bind("", "missing"),
        parse("", "SELECT 3"),
        sync(),
        bind("", ""),
        sync(),
    ];
    assert_eq!(bench.client(&concat(&batches)), "B P D S");
    after(&mut bench, &[error("ERROR", "26000"), ready(b'I')]);
    let again = concat(&[parse("", "SELECT 2"), bind("", ""), sync()]);
    assert!(bench.to_server.ends_with(&again));
}

#[test]
fn a_parse_that_fails_leaves_no_statement() {
    let mut bench = Bench::named("", 2);
    bench.client(&concat(&[run("SELECT 2"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = vec![link()];
    let batches = [parse("", "SELEC 3"), sync(), bind("", ""), sync()];
    assert_eq!(bench.client(&concat(&batches)), "P S");
    let failed = [error("ERROR", "42601"), ready(b'I')];
    assert_eq!(after(&mut bench, &failed), "P S B S");
}

#[test]
fn a_parse_that_the_server_cannot_read_leaves_the_statement_before() {
    let mut bench = Bench::named("", 2);
    bench.client(&concat(&[run("SELECT 2"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = vec![link()];
    let batches = [parse("", "SELECT '\u{e4}'"), sync(), bind("", ""), sync()];
    assert_eq!(bench.client(&concat(&batches)), "P D S");
    let failed = [error("ERROR", "22021"), ready(b'I')];
    assert_eq!(after(&mut bench, &failed), "P D S P B S");
}

#[test]
fn anothers_unnamed_statement_is_not_used_behind_a_replay_that_was_skipped() {
    let mut bench = Bench::named("", 2);
    bench.client(&concat(&[run("SELECT 2"), sync()]));
    bench.server(&reply(b'I'));
    bench.idle = after_another(3).idle;
    let batches = [
        bind("", "missing"),
        bind("", ""),
        sync(),
        bind("", ""),
        bind("p", ""),
        execute(""),
        sync(),
    ];
    assert_eq!(bench.client(&concat(&batches)), "B P B S");
    let failed = [error("ERROR", "26000"), ready(b'I')];
    assert_eq!(after(&mut bench, &failed), "B P B S P B B E S");
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
fn a_pinned_session_has_anothers_statement_closed_where_its_own_was_skipped() {
    let mut bench = after_another(2);
    let batches = [
        bind("", "missing"),
        parse("s", "SELECT setseed(0)"),
        parse("", "SELECT 2"),
        sync(),
        bind("", ""),
        sync(),
    ];
    assert_eq!(bench.client(&concat(&batches)), "B P:s P S");
    let failed = [error("ERROR", "26000"), ready(b'I')];
    assert_eq!(after(&mut bench, &failed), "B P:s P S C:S B S");
}

#[test]
fn anothers_unnamed_statement_is_not_used_behind_a_query_that_was_skipped() {
    let mut bench = after_another(2);
    let requests = [bind("", "missing"), query("SELECT 2"), bind("", ""), sync()];
    assert_eq!(bench.client(&concat(&requests)), "B Q:SELECT 2");
    // The server skips to the Sync: the query, and the Bind.
    let failed = [error("ERROR", "26000")];
    assert_eq!(after(&mut bench, &failed), "B Q:SELECT 2 B S");
    assert_eq!(bench.server(&ready(b'I')), "Z:I");
    assert_eq!(bench.released, [Release::Clean]);
    assert_eq!(bench.client(&concat(&[bind("", ""), sync()])), "C:S B S");
}

#[test]
fn anothers_unnamed_statement_is_not_used_behind_a_parse_that_could_not_be_read() {
    let mut bench = after_another(2);
    bench.client(&concat(&[parse("", &"x".repeat(3 * LIMIT)), sync()]));
    bench.server(&concat(&[error("ERROR", "08P01"), ready(b'I')]));
    assert_eq!(bench.client(&concat(&[bind("", ""), sync()])), "C:S B S");
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
    assert_eq!(bench.client(&concat(&batch)), "D C:S B C:S B S Q:SELECT 1");
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
    let more = [bind("", ""), close("Pp"), close("S"), sync()];
    assert_eq!(bench.client(&concat(&more)), "C:S B C:Pp C:S S");
    let replies = [bare(b'3'), bare(b'2'), bare(b'3'), bare(b'3'), ready(b'I')];
    assert_eq!(bench.server(&concat(&replies)), "2 3 3 Z:I");
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
    assert_eq!(bench.client(&concat(&skipped)), "P Q:SELECT 2 S");
    assert_eq!(after(&mut bench, &[ready(b'I')]), "P Q:SELECT 2 S B S");
    bench.server(&concat(&[bare(b'2'), ready(b'I')]));
    let clean = Release::Clean;
    assert_eq!(bench.released, [clean, clean, clean]);
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

/// The unnamed statement is used in a batch of its own.
fn use_it() -> Vec<u8> {
    concat(&[bind("", ""), execute(""), sync()])
}

#[test]
fn a_statement_that_anothers_failed_query_destroyed_is_parsed_again() {
    for (failing, code) in [
        (query("SELECT * FROM missing"), "42P01"),
        (concat(&[run("SELECT * FROM missing"), sync()]), "42P01"),
    ] {
        let mut first = Bench::named("", 1);
        first.client(&concat(&[run("SELECT 1"), sync()]));
        first.server(&reply(b'I'));
        let mut second = Bench::named("", 2);
        second.idle = std::mem::take(&mut first.idle);
        second.client(&failing);
        second.server(&concat(&[error("ERROR", code), ready(b'I')]));
        assert_eq!(second.released, [Release::Clean]);
        first.idle = std::mem::take(&mut second.idle);
        assert_eq!(first.client(&use_it()), "P B E S", "{}", show(&failing));
    }
}

#[test]
fn a_long_batch_that_uses_the_statement_waits_for_nothing() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), sync()]));
    bench.server(&reply(b'I'));
    bench.client(&concat(&[describe("S").repeat(10_000), flush()]));
    assert_eq!(bench.client_input.len(), 0);
}

#[test]
fn statements_are_remembered_up_to_a_bound_while_they_wait_for_answers() {
    let text = parse("", &format!("SELECT '{}'", "x".repeat(16_000)));
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), flush()]));
    for _ in 0..60 {
        bench.client(&text);
    }
    assert_eq!(bench.pin(), None);
    for _ in 0..20 {
        bench.client(&text);
    }
    assert_eq!(bench.pin(), Some(PinReason::UnnamedStatement));
}
