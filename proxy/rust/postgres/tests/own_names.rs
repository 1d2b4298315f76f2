//! SQL that speaks of prepared statements by their names.

mod common;

use common::prepared::*;
use common::*;
use dbproxy_engine::{PinReason, Release, Session as _};

#[test]
fn one_deallocated_name_is_gone_and_its_statement_stays() {
    let mut bench = prepared();
    let deallocate = concat(&[query("DEALLOCATE s1"), bind("", "s1"), sync()]);
    bench.client(&deallocate);
    assert_eq!(
        named(&bench.to_server),
        "C:S:dbproxy:0 P:dbproxy:0 S Q:DEALLOCATE \"dbproxy:0\""
    );
    let ours = concat(&[bare(b'3'), bare(b'1'), ready(b'I')]);
    let reply = concat(&[ours, complete("DEALLOCATE"), ready(b'I')]);
    assert_eq!(bench.server(&reply), "C:DEALLOCATE Z:I");
    assert!(named(&bench.to_server).ends_with("B::s1 S"));
    assert_eq!(bench.pin(), None);
}

#[test]
fn deallocating_what_the_client_has_not_is_left_to_the_server() {
    let mut bench = prepared();
    bench.client(&query("DEALLOCATE s2"));
    assert_eq!(bench.to_server, query("DEALLOCATE s2"));
    bench.server(&concat(&[error("ERROR", "26000"), ready(b'I')]));
    assert_eq!(bench.pin(), None);
    assert_eq!(bench.released.last(), Some(&Release::Clean));
}

#[test]
fn sql_that_names_a_statement_finds_the_clients_own_and_pins() {
    let mut bench = prepared();
    bench.client(&query("SELECT 1; EXECUTE s1"));
    assert_eq!(named(&bench.to_server), "P:s1 S Q:SELECT 1; EXECUTE s1");
    assert_eq!(bench.pin(), Some(PinReason::SqlPrepare));
    let ours = concat(&[bare(b'1'), ready(b'I')]);
    let reply = concat(&[ours, complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&reply), "C:SELECT 1 Z:I");
    bench.client(&concat(&[bind("", "s1"), parse("s2", "SELECT 2"), sync()]));
    assert_eq!(named(&bench.to_server), "B::s1 P:s2 S");
}

#[test]
fn the_view_of_all_statements_shows_the_clients_own_and_no_other() {
    let mut bench = prepared();
    let sql = "SELECT * FROM pg_prepared_statements";
    bench.client(&query(sql));
    let expected = format!("C:S:dbproxy:1 C:S:dbproxy:0 S P:s1 S Q:{sql}");
    assert_eq!(named(&bench.to_server), expected);
}

#[test]
fn a_statement_that_the_text_does_not_name_stays_shared() {
    let mut bench = prepared();
    bench.client(&query("SELECT 1; PREPARE other AS SELECT 1"));
    assert_eq!(
        named(&bench.to_server),
        "Q:SELECT 1; PREPARE other AS SELECT 1"
    );
    bench.server(&concat(&[complete("PREPARE"), ready(b'I')]));
    bench.client(&concat(&[bind("", "s1"), bind("", "other"), sync()]));
    assert_eq!(named(&bench.to_server), "B::dbproxy:1 B::other S");
}

#[test]
fn a_name_that_cannot_be_made_stays_shared() {
    let mut bench = prepared();
    bench.client(&query("SELECT 1; EXECUTE s1"));
    let failed = concat(&[error("ERROR", "42P01"), ready(b'I')]);
    let missing = error_saying("26000", "prepared statement \"s1\" does not exist");
    let reply = concat(&[failed, missing, ready(b'I')]);
    assert_eq!(bench.server(&reply), "E:42P01 Z:I");
    bench.client(&concat(&[bind("", "s1"), sync()]));
    assert_eq!(named(&bench.to_server), "B::dbproxy:1 S");
}

#[test]
fn a_statement_that_deallocates_its_own_name_is_refused_while_the_name_is_taken() {
    let mut bench = prepared();
    let batch = [
        parse("s1", "DEALLOCATE s1"),
        bind("", "s1"),
        execute(""),
        sync(),
    ];
    bench.client(&concat(&batch));
    assert_eq!(named(&bench.to_server), "P:s1 S P:s1 B::s1 E: S");
    let own = concat(&[bare(b'1'), ready(b'I')]);
    let refused = concat(&[error("ERROR", "42P05"), ready(b'I')]);
    assert_eq!(bench.server(&concat(&[own, refused])), "E:42P05 Z:I");
}

#[test]
fn own_names_are_made_before_the_values_of_others_are_discarded() {
    let mut first = Bench::named("", 1);
    first.client(&query("INSERT INTO t VALUES (1)"));
    first.server(&concat(&[complete("INSERT 0 1"), ready(b'I')]));
    let mut second = prepared_by(2);
    second.idle = std::mem::take(&mut first.idle);
    second.client(&query("SELECT 1; EXECUTE s1"));
    assert_eq!(
        named(&second.to_server),
        "P:s1 S Q:DISCARD SEQUENCES Q:SELECT 1; EXECUTE s1"
    );
    let own = concat(&[bare(b'1'), ready(b'I')]);
    let discarded = concat(&[complete("DISCARD SEQUENCES"), ready(b'I')]);
    let ran = concat(&[complete("SELECT 1"), ready(b'I')]);
    let reply = concat(&[own, discarded, ran]);
    assert_eq!(second.server(&reply), "C:SELECT 1 Z:I");
}

#[test]
fn a_name_that_is_closed_before_it_is_known_to_be_there_is_gone() {
    let mut bench = Bench::new();
    let first = concat(&[parse("s1", "SELECT 1"), sync()]);
    let close = message(b'C', b"Ss1\0");
    bench.client(&concat(&[
        first,
        close,
        parse("s2", "SELECT 2"),
        bind("", "s1"),
        sync(),
    ]));
    bench.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    let sent = named(&bench.to_server);
    assert!(
        sent.ends_with("C:S:s1 P:dbproxy:2 D:S:dbproxy:2 B::s1 S"),
        "{sent}"
    );
}

#[test]
fn a_name_is_free_behind_what_deallocates_all_in_its_batch() {
    let mut bench = Bench::new();
    let first = concat(&[parse("s1", "DEALLOCATE ALL"), bind("", "s1"), execute("")]);
    bench.client(&concat(&[first, parse("s1", "SELECT 1"), sync()]));
    bench.server(&parsed(&[], &[]));
    bench.server(&concat(&[bare(b'2'), complete("DEALLOCATE ALL")]));
    let sent = named(&bench.to_server);
    assert!(sent.ends_with("H P:dbproxy:2 D:S:dbproxy:2 S"), "{sent}");
}

#[test]
fn a_part_of_another_word_is_no_name() {
    let mut bench = prepared();
    bench.client(&query("SELECT 1; PREPARE s12 AS SELECT 1"));
    assert_eq!(
        named(&bench.to_server),
        "Q:SELECT 1; PREPARE s12 AS SELECT 1"
    );
}

/// What the server is sent for DEALLOCATE ALL, and what it answers to the messages before.
const DEALLOCATES_EMPTY: &str = "C:S:dbproxy:0 P:dbproxy:0 S Q:DEALLOCATE \"dbproxy:0\"";

fn emptied() -> Vec<u8> {
    concat(&[bare(b'3'), bare(b'1'), ready(b'I')])
}

#[test]
fn deallocate_all_takes_the_clients_names_and_no_statement_of_the_backend() {
    let mut bench = prepared();
    bench.client(&concat(&[
        query("DEALLOCATE ALL"),
        parse("s1", "SELECT 2"),
        sync(),
    ]));
    assert_eq!(named(&bench.to_server), DEALLOCATES_EMPTY);
    let reply = concat(&[emptied(), complete("DEALLOCATE"), ready(b'I')]);
    assert_eq!(bench.server(&reply), "C:DEALLOCATE ALL Z:I");
    let parsed = format!("{DEALLOCATES_EMPTY} P:dbproxy:2 D:S:dbproxy:2 S");
    assert_eq!(named(&bench.to_server), parsed);
    assert_eq!(bench.pin(), None);
}

#[test]
fn deallocate_all_takes_everything_where_something_may_be_the_clients_own() {
    for sql in ["SELECT pg_advisory_lock(1)", "DO $$ begin end $$"] {
        let mut bench = prepared();
        bench.client(&query("BEGIN"));
        bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
        bench.client(&query(sql));
        bench.server(&concat(&[complete("X"), ready(b'T')]));
        bench.client(&query("DEALLOCATE ALL"));
        assert_eq!(bench.to_server, query("DEALLOCATE ALL"), "{sql}");
    }
}

#[test]
fn deallocate_all_that_failed_takes_nothing() {
    let mut bench = prepared();
    bench.client(&query("DEALLOCATE ALL"));
    bench.server(&concat(&[emptied(), error("ERROR", "25P02"), ready(b'I')]));
    bench.client(&concat(&[bind("", "s1"), sync()]));
    assert_eq!(named(&bench.to_server), "B::dbproxy:1 S");
}

#[test]
fn who_gives_a_name_that_looks_like_ours_is_pinned_for_good() {
    let mut bench = prepared();
    bench.client(&query("PREPARE \"dbproxy:1\" AS SELECT 1"));
    assert_eq!(bench.pin(), Some(PinReason::Unclassified));
}

#[test]
fn an_unnamed_statement_that_speaks_of_statements_pins_for_as_long_as_it_may_be_used() {
    let mut bench = prepared();
    let sql = "SELECT * FROM pg_prepared_statements";
    bench.client(&concat(&[parse("", sql), sync()]));
    let ours = concat(&[bare(b'3'), bare(b'3'), bare(b'1'), ready(b'I')]);
    bench.to_server.clear();
    bench.server(&concat(&[ours, bare(b'1'), ready(b'I')]));
    bench.client(&message(b'H', b""));
    assert!(bench.session.pinned());
    assert_eq!(show(&bench.to_server), "", "nobody asks whether it is over");
}
