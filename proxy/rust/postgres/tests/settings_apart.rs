//! What a client has set is nobody else's, and where that can't be followed its backend isn't either.

mod common;

use common::prepared::parsed;
use common::sets::{does, elsewhere, set};
use common::*;
use dbproxy_engine::{KillReason, Link as _, Release, Session as _};

#[test]
fn a_custom_setting_exists_for_who_made_it_whatever_its_value() {
    let mut bench = Bench::new();
    does(&mut bench, &[("SET LOCAL my.tenant = '5'", "SET", b'I')]);
    assert_eq!(**bench.session.traces(), ["my.tenant".into()]);
    let there = bench.idle.pop().unwrap();
    assert_eq!(there.traces(), bench.session.traces());
    bench.idle = vec![link()];
    assert_eq!(
        bench.client(&query("SELECT 1")),
        "Q:RESET \"my\".\"tenant\""
    );
    bench.server(&concat(&[complete("RESET"), ready(b'I')]));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    assert_eq!(bench.idle.pop().unwrap().traces(), bench.session.traces());
}

#[test]
fn a_custom_setting_that_may_have_been_made_in_vain_ends_the_backend() {
    let mut bench = Bench::new();
    bench.client(&query(
        "SELECT set_config('my.tenant', '5', true); SELECT 1/0",
    ));
    bench.server(&concat(&[error("ERROR", "22012"), ready(b'I')]));
    assert_eq!(bench.released, [Release::Kill(KillReason::Pinned)]);
}

#[test]
fn what_one_client_has_set_is_no_report_for_the_next() {
    let mut bench = Bench::new();
    bench.client(&query("SET TIME ZONE 'Asia/Tokyo'"));
    let zone = report("TimeZone", "Asia/Tokyo");
    bench.server(&concat(&[complete("SET"), zone, ready(b'I')]));
    let there = bench.idle.pop().unwrap();
    assert_eq!(there.template(), link().template());
}

#[test]
fn a_statement_parsed_before_shifts_how_texts_are_read_when_it_is_run() {
    let mut bench = Bench::in_transaction();
    let shifts = parse("", "SET LOCAL standard_conforming_strings = off");
    bench.client(&concat(&[shifts, flush()]));
    bench.server(&bare(b'1'));
    bench.client(&concat(&[bind("", ""), execute(""), sync()]));
    assert_eq!(bench.pin(), None);
    bench.client(&query("SELECT 'a\\'; LISTEN b; --'"));
    assert!(bench.pin().is_some());
}

#[test]
fn a_portal_that_outlives_its_batch_and_may_set_something_pins() {
    let bound = || concat(&[parse("", "SET ROLE other"), bind("", "")]);
    for next in [query(""), message(b'F', &[0, 0, 3, 189, 0, 0, 0, 0, 0, 0])] {
        let mut bench = Bench::in_transaction();
        bench.client(&concat(&[bound(), next, execute(""), sync()]));
        assert!(bench.pin().is_some());
    }
}

#[test]
fn a_statement_that_another_answer_belongs_to_is_not_booked() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("SELECT 1; SAVEPOINT a; SELECT 2"));
    bench.server(&concat(&[
        complete("SET"),
        complete("SET"),
        error("ERROR", "22012"),
        ready(b'E'),
    ]));
    assert!(bench.pin().is_some());
}

#[test]
fn what_a_reset_takes_from_a_backend_the_init_query_gives_it_again() {
    for (sql, tag) in [
        ("DISCARD ALL", "DISCARD ALL"),
        ("RESET ALL", "RESET"),
        ("RESET geqo", "RESET"),
    ] {
        let mut bench = Bench::new();
        bench.idle = vec![initialised_link("SET geqo = off")];
        bench.client(&query(sql));
        bench.server(&concat(&[complete(tag), ready(b'I')]));
        assert_eq!(bench.released, [Release::Reset], "{sql}");
    }
}

#[test]
fn a_replay_runs_under_nobodys_time_limit() {
    let mut bench = Bench::new();
    let limit = ("SET statement_timeout = 1", "SET", b'I');
    does(&mut bench, &[limit, ("SET geqo = off", "SET", b'I')]);
    assert_eq!(
        elsewhere(&mut bench),
        "Q:SET geqo TO 'off';SET statement_timeout TO '1'"
    );
    bench.server(&concat(&[
        complete("SET"),
        set(b'I'),
        complete("SELECT 1"),
        ready(b'I'),
    ]));
    let mut next = Bench::named("", 2);
    next.idle = bench.idle;
    let sent = next.client(&query("SELECT 2"));
    assert_eq!(sent, "Q:RESET statement_timeout;RESET geqo Q:SELECT 2");
}

#[test]
fn a_custom_setting_of_a_named_statement_exists_for_who_made_it() {
    let mut bench = Bench::new();
    let makes = parse("s", "SET my.tenant = 1");
    bench.client(&concat(&[makes, bind("", "s"), execute(""), sync()]));
    let run = concat(&[bare(b'2'), complete("SET"), ready(b'I')]);
    bench.server(&concat(&[parsed(&[], &[]), run]));
    assert_eq!(**bench.session.traces(), ["my.tenant".into()]);
    let there = bench.idle.pop().unwrap();
    assert_eq!(there.traces(), bench.session.traces());
}

#[test]
fn an_error_behind_a_discard_in_its_batch_leaves_unknown_what_is_set() {
    let mut bench = Bench::new();
    bench.client(&query("SET intervalstyle = 'iso_8601'"));
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    let discards = concat(&[parse("", "DISCARD ALL"), bind("", ""), execute("")]);
    bench.client(&concat(&[discards, bind("", "missing"), sync()]));
    let done = concat(&[bare(b'1'), bare(b'2'), complete("DISCARD ALL")]);
    bench.server(&done);
    bench.server(&concat(&[error("ERROR", "26000"), ready(b'I')]));
    assert!(bench.pin().is_some());
}

#[test]
fn no_setting_is_followed_behind_a_discard_all_that_a_rollback_follows() {
    let mut bench = Bench::new();
    bench.client(&query("SET work_mem = '5MB'"));
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    bench.client(&concat(&[run("DISCARD ALL"), run("ROLLBACK"), sync()]));
    let done = |tag| concat(&[bare(b'1'), bare(b'2'), complete(tag)]);
    bench.server(&concat(&[
        done("DISCARD ALL"),
        done("ROLLBACK"),
        ready(b'I'),
    ]));
    assert_eq!(bench.pin(), Some(dbproxy_engine::PinReason::SessionSetting));
}

#[test]
fn nor_where_it_follows_later_in_a_transaction_that_was_begun_in_the_same_batch() {
    let mut bench = Bench::new();
    bench.client(&query("SET work_mem = '5MB'"));
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    bench.client(&concat(&[run("DISCARD ALL"), run("BEGIN"), sync()]));
    let done = |tag| concat(&[bare(b'1'), bare(b'2'), complete(tag)]);
    bench.server(&concat(&[done("DISCARD ALL"), done("BEGIN"), ready(b'T')]));
    assert_eq!(bench.pin(), None);
    bench.client(&query("ROLLBACK"));
    bench.server(&concat(&[complete("ROLLBACK"), ready(b'I')]));
    assert_eq!(bench.pin(), Some(dbproxy_engine::PinReason::SessionSetting));
}

#[test]
fn a_prepare_transaction_where_none_is_open_leaves_unknown_what_is_set() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        run("SET work_mem = '5MB'"),
        run("PREPARE TRANSACTION 'a'"),
        sync(),
    ]));
    let done = |tag| concat(&[bare(b'1'), bare(b'2'), complete(tag)]);
    bench.server(&concat(&[done("SET"), done("ROLLBACK"), ready(b'I')]));
    assert_eq!(bench.pin(), Some(dbproxy_engine::PinReason::SessionSetting));
}
