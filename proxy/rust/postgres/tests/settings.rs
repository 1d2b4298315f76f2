//! What a client sets is its own, on whatever backend it holds, and is kept or undone with its
//! transaction.

mod common;

use common::sets::{does, elsewhere, set};
use common::*;
use dbproxy_engine::{CloseReason, KillReason, Outcome, Release};

#[test]
fn a_set_goes_with_its_client_to_another_backend_in_one_write_with_its_query() {
    let mut bench = Bench::new();
    does(&mut bench, &[("SET work_mem = '1MB'", "SET", b'I')]);
    assert_eq!(bench.pin(), None);
    assert_eq!(elsewhere(&mut bench), "Q:SET work_mem TO '1MB'");
    let answers = concat(&[set(b'I'), complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&answers), "C:SELECT 1 Z:I");
    assert_eq!(bench.released, [Release::Clean, Release::Clean]);
}

#[test]
fn the_same_backend_needs_nothing_and_the_next_client_gets_it_back_as_it_was() {
    let mut bench = Bench::new();
    does(&mut bench, &[("SET work_mem = '1MB'", "SET", b'I')]);
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    let mut next = Bench::named("", 2);
    next.idle = bench.idle;
    assert_eq!(
        next.client(&query("SELECT 2")),
        "Q:RESET work_mem Q:SELECT 2"
    );
}

#[test]
fn what_is_set_is_kept_or_undone_with_the_transaction() {
    let begin = ("BEGIN", "BEGIN", b'T');
    let first = ("SET work_mem = '1MB'", "SET", b'T');
    let second = ("SET work_mem = '2MB'", "SET", b'T');
    for (statements, expected) in [
        (
            &[begin, first, ("COMMIT", "COMMIT", b'I')][..],
            "Q:SET work_mem TO '1MB'",
        ),
        (&[begin, first, ("ROLLBACK", "ROLLBACK", b'I')], ""),
        // Of a failed transaction.
        (&[begin, first, ("COMMIT", "ROLLBACK", b'I')], ""),
        (
            &[
                begin,
                first,
                ("PREPARE TRANSACTION 'a'", "PREPARE TRANSACTION", b'I'),
            ],
            "Q:SET work_mem TO '1MB'",
        ),
        (
            &[
                begin,
                first,
                ("SAVEPOINT a", "SAVEPOINT", b'T'),
                second,
                ("ROLLBACK TO a", "ROLLBACK", b'T'),
                ("COMMIT", "COMMIT", b'I'),
            ],
            "Q:SET work_mem TO '1MB'",
        ),
        (
            &[
                begin,
                ("SAVEPOINT a", "SAVEPOINT", b'T'),
                first,
                ("SAVEPOINT a", "SAVEPOINT", b'T'),
                ("RELEASE a", "RELEASE", b'T'),
                ("ROLLBACK TO SAVEPOINT a", "ROLLBACK", b'T'),
                ("COMMIT", "COMMIT", b'I'),
            ],
            "",
        ),
        (
            &[
                begin,
                first,
                ("COMMIT AND CHAIN", "COMMIT", b'T'),
                second,
                ("ROLLBACK", "ROLLBACK", b'I'),
            ],
            "Q:SET work_mem TO '1MB'",
        ),
        (
            &[
                begin,
                ("SET LOCAL work_mem = '1MB'", "SET", b'T'),
                ("COMMIT", "COMMIT", b'I'),
            ],
            "",
        ),
    ] {
        let mut bench = Bench::new();
        does(&mut bench, statements);
        assert_eq!(elsewhere(&mut bench), expected, "{statements:?}");
        assert_eq!(bench.pin(), None);
    }
}

#[test]
fn a_query_of_several_statements_is_kept_as_far_as_its_commits() {
    let both = "SET work_mem = '1MB'; SET geqo = off; SELECT 1/0";
    let committed = "SET work_mem = '1MB'; COMMIT; SET geqo = off; SELECT 1/0";
    for (sql, tags, expected) in [
        (both, &["SET", "SET"][..], ""),
        (
            committed,
            &["SET", "COMMIT", "SET"],
            "Q:SET work_mem TO '1MB'",
        ),
    ] {
        let mut bench = Bench::new();
        bench.client(&query(sql));
        let mut answer: Vec<_> = tags.iter().map(|tag| complete(tag)).collect();
        answer.extend([error("ERROR", "22012"), ready(b'I')]);
        bench.server(&concat(&answer));
        assert_eq!(elsewhere(&mut bench), expected, "{sql}");
    }
    let mut bench = Bench::new();
    does(&mut bench, &[]);
    bench.client(&query("SET work_mem = '1MB'; SET geqo = off"));
    bench.server(&concat(&[complete("SET"), set(b'I')]));
    assert_eq!(
        elsewhere(&mut bench),
        "Q:SET geqo TO 'off';SET work_mem TO '1MB'"
    );
}

#[test]
fn the_extended_protocol_sets_as_well() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        run("SET work_mem = '1MB'"),
        run("SELECT 1"),
        sync(),
    ]));
    let one = concat(&[bare(b'1'), bare(b'2'), complete("SET")]);
    bench.server(&concat(&[one.clone(), reply(b'I')]));
    assert_eq!(elsewhere(&mut bench), "Q:SET work_mem TO '1MB'");
    // What fails behind it in its batch undoes it.
    let mut bench = Bench::new();
    bench.client(&concat(&[
        run("SET work_mem = '1MB'"),
        run("SELECT 1/0"),
        sync(),
    ]));
    let fails = concat(&[bare(b'1'), bare(b'2'), error("ERROR", "22012"), ready(b'I')]);
    bench.server(&concat(&[one, fails]));
    assert_eq!(elsewhere(&mut bench), "");
}

#[test]
fn a_portal_that_may_set_something_later_pins() {
    let mut bench = Bench::in_transaction();
    bench.client(&concat(&[
        parse("", "SET work_mem = '1MB'"),
        bind("", ""),
        sync(),
    ]));
    assert!(bench.pin().is_some());
    let mut bench = Bench::new();
    bench.client(&concat(&[
        parse("", "SET work_mem = '1MB'"),
        bind("p", ""),
        sync(),
    ]));
    assert!(bench.pin().is_some());
}

#[test]
fn set_config_is_followed_with_its_parameters() {
    let parameters = |values: &[&str]| {
        let mut body = b"\0\0\0\0".to_vec();
        body.extend((values.len() as u16).to_be_bytes());
        for value in values {
            body.extend((value.len() as u32).to_be_bytes());
            body.extend(value.as_bytes());
        }
        body.extend([0, 0]);
        message(b'B', &body)
    };
    let sql = "SELECT pg_catalog.set_config($1, $2, $3)";
    for (values, expected) in [
        (&["work_mem", "1MB", "false"][..], "Q:SET work_mem TO '1MB'"),
        (&["work_mem", "1MB", "\0"], "Q:SET work_mem TO '1MB'"),
        (&["work_mem", "1MB", "t"], ""),
    ] {
        let mut bench = Bench::new();
        bench.client(&concat(&[
            parse("", sql),
            parameters(values),
            execute(""),
            sync(),
        ]));
        let row = concat(&[bare(b'1'), bare(b'2'), row(b"1MB")]);
        bench.server(&concat(&[row, complete("SELECT 1"), ready(b'I')]));
        assert_eq!(
            (elsewhere(&mut bench).as_str(), bench.pin()),
            (expected, None)
        );
    }
    let mut bench = Bench::new();
    bench.client(&concat(&[
        parse("", sql),
        parameters(&["work_mem"]),
        execute(""),
        sync(),
    ]));
    assert!(bench.pin().is_some());
}

#[test]
fn reports_are_those_that_the_client_would_get_without_a_proxy() {
    let zone = |value| report("TimeZone", value);
    let with_zone = || link_with(&[("standard_conforming_strings", "on"), ("TimeZone", "UTC")]);
    let mut bench = Bench::new();
    bench.idle = vec![with_zone()];
    bench.client(&query("SET TIME ZONE -7"));
    let told = bench.server(&concat(&[complete("SET"), zone("<-07>+07"), ready(b'I')]));
    assert_eq!(told, "C:SET S:TimeZone=<-07>+07 Z:I");
    bench.told();
    // On a backend whose zone is another, it is set again, and nothing of that is told.
    bench.idle = vec![with_zone()];
    let sent = bench.client(&query("SELECT 1"));
    assert_eq!(sent, "Q:SET timezone TO '<-07>+07' Q:SELECT 1");
    let replay = concat(&[complete("SET"), zone("<-07>+07"), ready(b'I')]);
    let told = bench.server(&concat(&[replay, complete("SELECT 1"), ready(b'I')]));
    assert_eq!(told, "C:SELECT 1 Z:I");
}

#[test]
fn what_may_fail_is_awaited_before_the_query() {
    let mut bench = Bench::new();
    does(&mut bench, &[("SET ROLE r", "SET", b'I')]);
    bench.idle = vec![link()];
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SET role TO 'r'");
    assert_eq!(bench.server(&set(b'I')), "");
    assert_eq!(show(&bench.to_server), "Q:SET role TO 'r' Q:SELECT 1");
    assert_eq!(
        bench.server(&concat(&[complete("SELECT 1"), ready(b'I')])),
        "C:SELECT 1 Z:I"
    );
}

#[test]
fn a_query_whose_settings_are_refused_is_refused_and_not_run() {
    let mut bench = Bench::new();
    does(&mut bench, &[("SET ROLE r", "SET", b'I')]);
    bench.idle = vec![link()];
    bench.client(&query("INSERT INTO t VALUES (1)"));
    assert_eq!(bench.server(&error("ERROR", "22023")), "E:22023 Z:I");
    assert_eq!(show(&bench.to_server), "Q:SET role TO 'r'");
    assert_eq!(
        bench.released.last(),
        Some(&Release::Kill(KillReason::ResetFailed))
    );
    assert_eq!(bench.outcomes, [Outcome::Stays]);
    assert_eq!(bench.closed, None::<CloseReason>);
}

#[test]
fn what_is_set_in_a_lost_transaction_is_undone_with_it() {
    let mut bench = Bench::new();
    does(&mut bench, &[("SET geqo = off", "SET", b'I')]);
    bench.client(&query("BEGIN"));
    bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
    bench.client(&query("SET work_mem = '1MB'"));
    bench.server(&set(b'T'));
    assert_eq!(bench.lose(), Outcome::Stays);
    bench.client(&query("ROLLBACK"));
    assert_eq!(elsewhere(&mut bench), "Q:SET geqo TO 'off'");
}

#[test]
fn a_text_behind_one_that_changes_how_texts_are_read_is_not_judged_before() {
    let mut bench = Bench::new();
    let hidden = "SELECT 'a\\'; LISTEN b; --'";
    bench.client(&concat(&[
        query("SET standard_conforming_strings = off"),
        query(hidden),
    ]));
    assert!(bench.pin().is_some());
}

#[test]
fn a_text_that_the_server_cuts_into_other_statements_pins() {
    let mut bench = Bench::new();
    bench.client(&query("SET geqo = off; SELECT 1"));
    bench.server(&set(b'I'));
    assert!(bench.pin().is_some());
}

#[test]
fn a_reset_of_all_leaves_the_role_and_a_discard_leaves_nothing() {
    let role = ("SET ROLE r", "SET", b'I');
    let setting = ("SET geqo = off", "SET", b'I');
    let mut bench = Bench::new();
    does(&mut bench, &[role, setting, ("RESET ALL", "RESET", b'I')]);
    bench.idle = vec![link()];
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SET role TO 'r'");
    let mut bench = Bench::new();
    does(
        &mut bench,
        &[role, setting, ("DISCARD ALL", "DISCARD ALL", b'I')],
    );
    assert_eq!(elsewhere(&mut bench), "");
}
