//! A session is bound to its backend until the server says that what bound it is gone.

mod common;

use common::*;
use dbproxy_engine::{Abandoned, Note, PinReason, Release, Session as _};

/// The answers to the survey: how many rows each of its statements has, then ReadyForQuery.
fn found(rows: [u8; 6]) -> Vec<u8> {
    let answers = rows.map(|rows| complete(&format!("SELECT {rows}")));
    concat(&[answers.concat(), ready(b'I')])
}

fn nothing() -> Vec<u8> {
    found([0; 6])
}

/// A client whose lock the server has confirmed.
fn holder() -> Bench {
    let mut bench = Bench::new();
    bench.client(&query("SELECT pg_advisory_lock(1)"));
    bench.to_server.clear();
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    assert!(is_survey(&bench), "{}", show(&bench.to_server));
    assert_eq!(bench.server(&found([1, 0, 0, 0, 0, 0])), "");
    assert!(bench.link.is_some());
    bench.to_server.clear();
    bench
}

/// A client who has a statement of SQL's, as the server has confirmed.
fn preparer() -> Bench {
    let mut bench = Bench::new();
    does(&mut bench, "SELECT 1; PREPARE p AS SELECT 1", "PREPARE");
    assert!(is_survey(&bench));
    bench.server(&found([0, 0, 0, 0, 1, 0]));
    assert!(bench.session.pinned() && bench.released.is_empty());
    bench
}

fn is_survey(bench: &Bench) -> bool {
    show(&bench.to_server).starts_with("Q:SELECT FROM pg_catalog.pg_lock_status()")
}

/// Says something that is answered at once.
fn does(bench: &mut Bench, sql: &str, tag: &str) {
    bench.client(&query(sql));
    bench.to_server.clear();
    bench.server(&concat(&[complete(tag), ready(b'I')]));
}

#[test]
fn it_is_let_go_when_the_server_holds_nothing_any_more() {
    let mut bench = holder();
    does(&mut bench, "SELECT pg_advisory_unlock(1)", "SELECT 1");
    assert!(is_survey(&bench));
    assert_eq!(bench.server(&nothing()), "", "that is nobody else's affair");
    assert_eq!(bench.released, [Release::Reset]);
    assert_eq!(bench.notes.last(), Some(&Note::Unpinned(None)));
    assert!(!bench.session.pinned());
}

#[test]
fn it_has_its_name_again_before_the_server_is_asked() {
    let mut bench = Bench::named("shop", 1);
    bench.client(&query("CREATE TEMP TABLE t (a int)"));
    let named = concat(&[report("application_name", "shop"), ready(b'I')]);
    bench.server(&concat(&[complete("SET"), named]));
    bench.server(&concat(&[complete("CREATE TABLE"), ready(b'I')]));
    bench.client(&query("DISCARD ALL"));
    bench.to_server.clear();
    let reset = report("application_name", "");
    bench.server(&concat(&[complete("DISCARD ALL"), reset, ready(b'I')]));
    let sent = show(&bench.to_server);
    let both = "Q:SET application_name TO 'shop' Q:SELECT FROM pg_catalog.";
    assert!(sent.starts_with(both), "{sent}");
    // What it says meanwhile is answered by its own name.
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
}

#[test]
fn it_is_kept_for_what_is_left() {
    let mut bench = holder();
    does(&mut bench, "CREATE TEMP TABLE t (a int)", "CREATE TABLE");
    assert_eq!(show(&bench.to_server), "", "nothing was to be doubted");
    does(&mut bench, "SELECT pg_advisory_unlock(1)", "SELECT 1");
    bench.server(&found([0, 0, 0, 1, 0, 0]));
    assert!(bench.released.is_empty());
    let left = PinReason::TemporaryObject;
    assert_eq!(bench.notes.last(), Some(&Note::Unpinned(Some(left))));
}

#[test]
fn the_server_is_not_asked_behind_what_ends_nothing() {
    let mut bench = holder();
    does(&mut bench, "SELECT 1", "SELECT 1");
    does(&mut bench, "DROP TABLE t", "DROP TABLE");
    does(&mut bench, "SELECT pg_advisory_lock(1)", "SELECT 1");
    assert_eq!(show(&bench.to_server), "");
}

#[test]
fn the_server_is_asked_behind_the_transaction_that_may_have_undone_it() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("DECLARE c CURSOR WITH HOLD FOR SELECT 1"));
    bench.server(&concat(&[complete("DECLARE CURSOR"), ready(b'T')]));
    does(&mut bench, "ROLLBACK", "ROLLBACK");
    assert!(is_survey(&bench));
    bench.server(&nothing());
    assert_eq!(bench.released, [Release::Reset]);
}

#[test]
fn a_survey_that_fails_is_not_the_client_s_affair_and_unbinds_nobody() {
    let mut bench = holder();
    does(&mut bench, "SELECT pg_advisory_unlock(1)", "SELECT 1");
    let fails = concat(&[complete("SELECT 0"), error("ERROR", "42501"), ready(b'I')]);
    assert_eq!(bench.server(&fails), "");
    assert!(bench.session.pinned() && bench.released.is_empty());
}

#[test]
fn what_is_taken_while_the_server_is_asked_is_kept() {
    let mut bench = holder();
    does(&mut bench, "SELECT pg_advisory_unlock(1)", "SELECT 1");
    bench.client(&query("SELECT pg_advisory_lock(1)"));
    let answers = concat(&[nothing(), complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&answers), "C:SELECT 1 Z:I");
    assert!(bench.session.pinned() && bench.released.is_empty());
}

#[test]
fn a_client_that_goes_while_the_server_is_asked_leaves_a_backend_to_clean() {
    let mut bench = holder();
    does(&mut bench, "SELECT pg_advisory_unlock(1)", "SELECT 1");
    let mut link = bench.link.take().unwrap();
    assert_eq!(bench.session.abandon(&mut link), Abandoned::Running);
    let mut steps = Vec::new();
    dbproxy_postgres::Session::feed_server(None, &mut link, &nothing(), &mut steps);
    let release = dbproxy_engine::Step::Release(Release::Reset);
    assert_eq!(steps, [release]);
}

#[test]
fn the_unnamed_statement_is_parsed_again_where_the_survey_took_it() {
    let mut bench = holder();
    let unlocks = "SELECT pg_advisory_unlock(1)";
    bench.client(&concat(&[run(unlocks), sync()]));
    bench.to_server.clear();
    bench.server(&reply(b'I'));
    assert!(is_survey(&bench));
    bench.server(&nothing());
    bench.idle = vec![link()];
    let again = bench.client(&concat(&[bind("", ""), execute(""), sync()]));
    assert_eq!(again, "P B E S");
}

#[test]
fn discard_all_ends_what_is_there_without_asking() {
    let mut bench = preparer();
    does(&mut bench, "DISCARD ALL", "DISCARD ALL");
    assert_eq!(bench.released, [Release::Reset]);
    assert_eq!(bench.notes.last(), Some(&Note::Unpinned(None)));
}

#[test]
fn a_discard_all_that_fails_or_cannot_help_ends_nothing() {
    let mut bench = preparer();
    bench.client(&query("DISCARD ALL"));
    bench.server(&concat(&[error("ERROR", "57014"), ready(b'I')]));
    assert!(bench.session.pinned());
    does(&mut bench, "SELECT setseed(0)", "SELECT 1");
    does(&mut bench, "DISCARD ALL", "DISCARD ALL");
    assert!(bench.session.pinned() && bench.released.is_empty());
}

#[test]
fn deallocating_or_closing_a_statement_has_the_server_asked() {
    for (sql, tag) in [
        ("DEALLOCATE p", "DEALLOCATE"),
        ("DEALLOCATE pp", "DEALLOCATE"),
        ("DEALLOCATE ALL", "DEALLOCATE ALL"),
        ("SELECT 1; DEALLOCATE p", "DEALLOCATE"),
    ] {
        let mut bench = preparer();
        does(&mut bench, sql, tag);
        assert!(is_survey(&bench), "{sql}");
        bench.server(&nothing());
        assert_eq!(bench.released, [Release::Reset], "{sql}");
    }
    let mut bench = preparer();
    bench.client(&concat(&[message(b'C', b"Sp\0"), sync()]));
    bench.to_server.clear();
    bench.server(&concat(&[bare(b'3'), ready(b'I')]));
    assert!(is_survey(&bench));
}

#[test]
fn a_text_that_speaks_of_statements_and_leaves_none_binds_nobody() {
    let mut bench = Bench::new();
    bench.client(&query("SELECT 1; EXECUTE nobody"));
    bench.to_server.clear();
    bench.server(&concat(&[error("ERROR", "26000"), ready(b'I')]));
    assert!(is_survey(&bench));
    bench.server(&nothing());
    assert!(!bench.session.pinned());
}

#[test]
fn while_it_has_statements_of_its_own_new_names_are_too() {
    let mut bench = preparer();
    bench.client(&concat(&[parse("n", "SELECT 1"), sync()]));
    assert_eq!(show(&bench.to_server), "P:n S");
    bench.to_server.clear();
    bench.server(&concat(&[bare(b'1'), ready(b'I')]));
    does(&mut bench, "DEALLOCATE p", "DEALLOCATE");
    bench.server(&found([0, 0, 0, 0, 0, 1]));
    assert!(bench.session.pinned());
    let left = PinReason::NamedStatement;
    assert_eq!(bench.notes.last(), Some(&Note::Unpinned(Some(left))));
}
