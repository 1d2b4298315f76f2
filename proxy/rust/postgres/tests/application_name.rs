//! `application_name`: each client has its own on whatever backend it holds.

mod common;

use common::*;
use dbproxy_engine::{CancelKey, CancelSecret, Engine as _, Link as _};
use dbproxy_postgres::{Handover, Link, Postgres};

#[test]
fn a_pinned_client_that_resets_its_settings_keeps_its_name() {
    let mut bench = Bench::named("shop", 1);
    bench.client(&query("SELECT setseed(0)"));
    bench.server(&concat(&[
        complete("SET"),
        report("application_name", "shop"),
        ready(b'I'),
        complete("SELECT 1"),
        ready(b'I'),
    ]));
    bench.client(&query("DISCARD ALL"));
    let reset = report("application_name", "");
    let reply = concat(&[complete("DISCARD ALL"), reset, ready(b'I')]);
    assert_eq!(bench.server(&reply), "C:DISCARD ALL Z:I");
    bench.client(&concat(&[bind("", "s"), execute(""), sync()]));
    assert_eq!(
        show(&bench.to_server),
        "Q:SET application_name TO 'shop' B E S"
    );
}

#[test]
fn the_name_waits_where_its_query_would_take_the_unnamed_statement() {
    let mut bench = Bench::named("shop", 1);
    bench.client(&query("LOAD 'x'"));
    let named = report("application_name", "shop");
    let listens = concat(&[complete("LOAD"), ready(b'I')]);
    bench.server(&concat(&[complete("SET"), named, ready(b'I'), listens]));
    bench.client(&concat(&[
        run("RESET ALL"),
        parse("", "SELECT date '2020-01-01'"),
        sync(),
    ]));
    let reset = concat(&[bare(b'1'), bare(b'2'), complete("RESET"), bare(b'1')]);
    let report = report("application_name", "");
    bench.server(&concat(&[reset, report, ready(b'I')]));
    assert_eq!(bench.client(&concat(&[bind("", ""), sync()])), "B S");
}

#[test]
fn the_name_waits_where_its_query_would_take_the_portal_of_a_transaction() {
    let mut bench = Bench::named("shop", 1);
    bench.client(&query("BEGIN"));
    let named = report("application_name", "shop");
    let begun = concat(&[complete("BEGIN"), ready(b'T')]);
    bench.server(&concat(&[complete("SET"), named, ready(b'I'), begun]));
    bench.client(&concat(&[run("SET application_name TO DEFAULT"), sync()]));
    let reset = concat(&[bare(b'1'), bare(b'2'), complete("SET")]);
    let report = report("application_name", "");
    bench.server(&concat(&[reset, report, ready(b'T')]));
    let goes_on = concat(&[parse("", "SELECT 1"), execute(""), sync()]);
    assert_eq!(bench.client(&goes_on), "P E S");
    let answer = concat(&[bare(b'1'), complete("SET"), ready(b'T')]);
    bench.server(&answer);
    assert_eq!(
        bench.client(&query("COMMIT")),
        "Q:SET application_name TO 'shop' Q:COMMIT"
    );
}

#[test]
fn the_application_name_is_set_once_per_backend_and_its_reply_dropped() {
    let mut bench = Bench::named("o'brien \\", 1);
    assert_eq!(
        bench.client(&query("SELECT 1")),
        "Q:SET application_name TO E'o''brien \\\\' Q:SELECT 1"
    );
    let reply = concat(&[
        report("application_name", "o'brien \\"),
        complete("SET"),
        ready(b'I'),
        complete("SELECT 1"),
        ready(b'I'),
    ]);
    assert_eq!(bench.server(&reply), "C:SELECT 1 Z:I");
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
}

/// A backend of a pool whose sessions are called `role` by themselves.
fn named_link() -> Link {
    link_with(&[("server_version", "16.1"), ("application_name", "role")])
}

/// A client that says what it is called, or doesn't, and what it is told.
fn welcomed(name: Option<&[u8]>, link: Link) -> (Bench, String) {
    let mut bench = Bench::new();
    let mut told = Vec::new();
    let secret = CancelSecret::shown(&[1; 4]);
    let key = CancelKey { id: 1, secret };
    let handover = Handover {
        application_name: name.map(Into::into),
        ..Handover::default()
    };
    bench.session = Postgres::welcome(handover, link.template(), key, &mut told);
    bench.idle = vec![link];
    (bench, show(&told))
}

#[test]
fn who_has_no_name_is_called_what_the_server_calls_it_also_behind_others() {
    let (mut bench, told) = welcomed(None, named_link());
    assert!(told.contains("S:application_name=role"), "{told}");
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
    let (mut other, told) = welcomed(Some(b"other"), named_link());
    assert!(told.contains("S:application_name=other"), "{told}");
    let sent = other.client(&query("SELECT 1"));
    assert_eq!(sent, "Q:SET application_name TO 'other' Q:SELECT 1");
    other.server(&concat(&[complete("SET"), ready(b'I')]));
    other.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    let (mut bench, _) = welcomed(None, named_link());
    bench.idle = std::mem::take(&mut other.idle);
    let sent = bench.client(&query("SELECT 1"));
    assert_eq!(sent, "Q:SET application_name TO 'role' Q:SELECT 1");
}

#[test]
fn a_backend_that_was_reset_is_called_what_it_was_at_its_log_in() {
    let mut link = named_link();
    link.reset(None, &mut Vec::new());
    let (mut bench, _) = welcomed(None, link);
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
}

#[test]
fn a_name_that_is_given_stands_above_the_servers_own_also_if_it_is_none() {
    let (mut bench, told) = welcomed(Some(b""), named_link());
    assert!(told.contains("S:application_name= "), "{told}");
    let sent = bench.client(&query("SELECT 1"));
    assert_eq!(sent, "Q:SET application_name TO '' Q:SELECT 1");
}

#[test]
fn a_reset_gives_the_client_back_the_name_it_came_with() {
    let (mut bench, _) = welcomed(Some(b"mine"), named_link());
    bench.client(&query("RESET ALL"));
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    let reset = [
        report("application_name", "role"),
        complete("RESET"),
        ready(b'I'),
    ];
    assert_eq!(bench.server(&concat(&reset)), "C:RESET Z:I");
    let sent = bench.client(&query("SELECT 1"));
    assert_eq!(sent, "Q:SET application_name TO 'mine' Q:SELECT 1");
}

#[test]
fn a_name_in_any_encoding_is_cleaned_as_the_server_would() {
    let (mut bench, told) = welcomed(Some(b"Caf\xe9"), named_link());
    assert!(told.contains(r"S:application_name=Caf\xe9"), "{told}");
    let sent = bench.client(&query("SELECT 1"));
    assert_eq!(sent, r"Q:SET application_name TO E'Caf\\xe9' Q:SELECT 1");
    let (_, told) = welcomed(Some(b"Caf\xe9"), link_with(&[("server_version", "15.4")]));
    assert!(told.contains("S:application_name=Caf?"), "{told}");
}
