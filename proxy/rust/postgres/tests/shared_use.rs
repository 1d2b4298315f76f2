//! Whom a shared statement serves: sessions of the same settings, and nobody who speaks of it by our name.

mod common;

use common::prepared::*;
use common::*;
use dbproxy_engine::PinReason;

fn uses() -> Vec<u8> {
    concat(&[bind("", "s1"), execute(""), sync()])
}

fn ran() -> Vec<u8> {
    concat(&[bare(b'2'), complete("SELECT 1"), ready(b'I')])
}

#[test]
fn who_has_set_something_since_uses_a_statement_of_its_own() {
    let mut second = dated_by(2);
    let mut first = dated();
    first.client(&query("SET extra_float_digits = -10"));
    first.server(&concat(&[complete("SET"), ready(b'I')]));
    first.client(&uses());
    assert!(named(&first.to_server).contains("P:dbproxy:2 D:S:dbproxy:2 S"));
    first.server(&concat(&[aside(1), parsed(&[], &["a"]), ready(b'I')]));
    assert!(named(&first.to_server).ends_with("B::dbproxy:2 E: S"));
    first.server(&ran());
    second.idle = std::mem::take(&mut first.idle);
    second.client(&uses());
    assert!(named(&second.to_server).ends_with("B::dbproxy:1 E: S"));
    second.server(&concat(&[complete("RESET"), ready(b'I'), ran()]));
    first.idle = second.idle;
    first.client(&uses());
    assert!(named(&first.to_server).ends_with("B::dbproxy:2 E: S"));
}

#[test]
fn what_is_used_under_a_setting_of_a_transaction_is_parsed_for_it_alone() {
    let mut second = prepared_by(2);
    let mut first = prepared();
    first.client(&query("BEGIN; SET LOCAL extra_float_digits = -10"));
    first.server(&concat(&[complete("BEGIN"), complete("SET"), ready(b'T')]));
    first.client(&uses());
    assert!(named(&first.to_server).ends_with("P:dbproxy:2 D:S:dbproxy:2 H"));
    first.server(&parsed(&[], &["a"]));
    for _ in 0..2 {
        assert!(named(&first.to_server).ends_with("B::dbproxy:2 E: S"));
        first.server(&concat(&[bare(b'2'), complete("SELECT 1"), ready(b'T')]));
        first.client(&uses());
    }
    first.server(&concat(&[bare(b'2'), complete("SELECT 1"), ready(b'T')]));
    first.client(&query("COMMIT"));
    first.server(&concat(&[complete("COMMIT"), ready(b'I')]));
    second.idle = std::mem::take(&mut first.idle);
    second.client(&uses());
    assert_eq!(named(&second.to_server), "B::dbproxy:1 E: S");
    second.server(&ran());
    second.client(&concat(&[parse("s2", "SELECT 2"), sync()]));
    assert!(named(&second.to_server).starts_with("C:S:dbproxy:2 P:dbproxy:3"));
}

#[test]
fn a_use_waits_until_it_is_known_what_is_set() {
    let mut bench = prepared();
    let set = query("SET extra_float_digits = -10");
    assert_eq!(
        bench.client(&concat(&[set, uses()])),
        "Q:SET extra_float_digits = -10"
    );
}

#[test]
fn a_name_of_ours_is_nobodys_to_speak_of() {
    for sql in [
        "DEALLOCATE \"dbproxy:1\"",
        "EXECUTE \"dbproxy:1\"",
        "EXECUTE U&\"dbproxy\\003a1\"",
        "EXPLAIN EXECUTE \"dbproxy:1\"",
    ] {
        let mut bench = prepared();
        bench.client(&query(sql));
        let sent = named(&bench.to_server);
        assert!(sent.starts_with("C:S:dbproxy:1"), "{sql}: {sent}");
    }
}

#[test]
fn a_statement_that_somebody_took_away_is_prepared_again() {
    let mut bench = prepared();
    bench.client(&uses());
    let gone = error_saying("26000", "prepared statement \"dbproxy:1\" does not exist");
    bench.server(&concat(&[gone, ready(b'I')]));
    assert!(says(&bench, "prepared statement \"s1\" does not exist"));
    bench.client(&uses());
    assert_eq!(
        named(&bench.to_server),
        "C:S:dbproxy:1 P:dbproxy:2 D:S:dbproxy:2 H"
    );
}

#[test]
fn behind_an_init_query_what_settings_say_the_meaning_of_pins() {
    let mut bench = Bench::new();
    bench.idle = vec![initialised_link("SET geqo = off")];
    bench.client(&concat(&[parse("s1", DATE), sync()]));
    assert_eq!(named(&bench.to_server), "P:s1 S");
    assert_eq!(bench.pin(), Some(PinReason::NamedStatement));
}

#[test]
fn behind_an_init_query_other_statements_are_shared() {
    let mut bench = Bench::new();
    bench.idle = vec![initialised_link("SET geqo = off")];
    bench.client(&concat(&[parse("s1", "SELECT 1"), sync()]));
    assert_eq!(named(&bench.to_server), "P:dbproxy:1 D:S:dbproxy:1 S");
    bench.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    bench.client(&uses());
    assert_eq!(named(&bench.to_server), "B::dbproxy:1 E: S");
    assert_eq!(bench.pin(), None);
}

#[test]
fn a_named_fetch_pins() {
    for sql in [
        "FETCH 1 FROM c",
        "move c",
        "/* a */ FETCH c",
        "-- b\nMOVE c",
    ] {
        let mut bench = Bench::new();
        bench.client(&concat(&[parse("s1", sql), sync()]));
        assert_eq!(bench.pin(), Some(PinReason::NamedStatement), "{sql}");
    }
}

#[test]
fn what_a_backend_has_too_much_of_is_closed_in_a_transaction_too() {
    let mut bench = Bench::new();
    bench.client(&query("BEGIN"));
    bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
    for number in 1..=501 {
        let close = message(b'C', b"Ss1\0");
        let text = format!("SELECT {number}");
        bench.client(&concat(&[parse("s1", &text), close, sync()]));
        let closes = named(&bench.to_server).contains("C:S:dbproxy:1 ");
        assert_eq!(closes, number == 501, "{number}");
        let closed = bare(b'3').repeat(usize::from(closes));
        bench.server(&concat(&[
            closed,
            parsed(&[], &["a"]),
            bare(b'3'),
            ready(b'T'),
        ]));
    }
}

#[test]
fn a_statement_that_sets_something_is_used_twice_in_a_batch() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s1", "SET search_path = 'a1'"), sync()]));
    bench.server(&concat(&[parsed(&[], &[]), ready(b'I')]));
    let use_it = concat(&[bind("", "s1"), execute("")]);
    bench.client(&concat(&[use_it.clone(), use_it, sync()]));
    assert!(named(&bench.to_server).ends_with("B::dbproxy:1 E: H"));
    bench.server(&concat(&[bare(b'2'), complete("SET")]));
    let around = "P:dbproxy:aside B:dbproxy:aside:dbproxy:aside E:dbproxy:aside";
    let sent = named(&bench.to_server);
    assert!(
        sent.contains(around) && sent.contains("P:dbproxy:2"),
        "{sent}"
    );
    bench.server(&concat(&[aside(1), parsed(&[], &[]), aside(1)]));
    assert!(named(&bench.to_server).ends_with("B::dbproxy:2 E: S"));
}

#[test]
fn the_first_temporary_object_of_a_session_has_all_statements_prepared_again() {
    let mut bench = prepared();
    bench.client(&query("CREATE TEMP TABLE t (a int)"));
    bench.server(&concat(&[complete("CREATE TABLE"), ready(b'I')]));
    bench.client(&uses());
    assert_eq!(
        named(&bench.to_server),
        "C:S:dbproxy:1 P:dbproxy:2 D:S:dbproxy:2 H"
    );
    bench.server(&concat(&[bare(b'3'), parsed(&[], &["a"])]));
    bench.server(&ran());
    bench.client(&query("CREATE TEMP TABLE u (a int)"));
    bench.server(&concat(&[complete("CREATE TABLE"), ready(b'I')]));
    bench.client(&uses());
    // As without a proxy.
    assert_eq!(named(&bench.to_server), "B::dbproxy:2 E: S");
}

#[test]
fn what_is_parsed_in_front_of_a_temporary_object_is_parsed_again_behind_it() {
    let mut bench = Bench::new();
    let parses = concat(&[parse("s1", "SELECT 1"), sync()]);
    bench.client(&concat(&[parses, query("CREATE TEMP TABLE t (a int)")]));
    let made = concat(&[complete("CREATE TABLE"), ready(b'I')]);
    bench.server(&concat(&[parsed(&[], &["a"]), ready(b'I'), made]));
    bench.client(&uses());
    assert_eq!(
        named(&bench.to_server),
        "C:S:dbproxy:1 P:dbproxy:2 D:S:dbproxy:2 H"
    );
}

#[test]
fn what_a_pinned_client_parses_under_settings_of_its_transactions_is_bounded() {
    let mut bench = Bench::new();
    bench.client(&query("CREATE TEMP TABLE t (a int)"));
    bench.server(&concat(&[complete("CREATE TABLE"), ready(b'I')]));
    for number in 1..=502 {
        bench.client(&query("BEGIN; SET LOCAL search_path = a"));
        bench.server(&concat(&[complete("BEGIN"), complete("SET"), ready(b'T')]));
        let close = message(b'C', b"Ss1\0");
        let text = format!("SELECT {number}");
        bench.client(&concat(&[parse("s1", &text), close, sync()]));
        let closes = named(&bench.to_server).contains("C:S:dbproxy:1 ");
        assert_eq!(closes, number == 501, "{number}");
        let closed = bare(b'3').repeat(usize::from(number >= 501));
        let made = concat(&[closed, parsed(&[], &["a"]), bare(b'3'), ready(b'T')]);
        bench.server(&made);
        bench.client(&query("COMMIT"));
        bench.server(&concat(&[complete("COMMIT"), ready(b'I')]));
    }
    assert_eq!(bench.pin(), Some(PinReason::TemporaryObject));
}

#[test]
fn who_parses_later_is_not_served_by_what_was_parsed_before() {
    let mut first = prepared();
    let old = std::mem::replace(&mut first.idle, vec![link()]);
    let mut second = Bench::named("", 2);
    second.client(&concat(&[parse("s1", "SELECT 1"), sync()]));
    second.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    let new = std::mem::replace(&mut second.idle, old);
    second.client(&uses());
    assert_eq!(
        named(&second.to_server),
        "P:dbproxy:2 D:S:dbproxy:2 H",
        "a table may have come to stand in front of another since"
    );
    second.server(&parsed(&[], &["a"]));
    second.server(&ran());
    first.idle = new;
    first.client(&uses());
    assert_eq!(named(&first.to_server), "B::dbproxy:1 E: S");
}

#[test]
fn what_is_used_behind_a_change_in_the_batch_that_parses_it_is_not_that_which_it_parsed() {
    let mut bench = Bench::new();
    let sets = |bind: &[u8]| {
        let parses = parse("", "SET extra_float_digits = 0");
        concat(&[parse("s1", "SELECT 1"), parses, bind.to_vec(), execute("")])
    };
    bench.client(&concat(&[sets(&bind("", "")), uses()]));
    assert!(named(&bench.to_server).ends_with("B:: E: H"));
    let set = concat(&[bare(b'1'), bare(b'2'), complete("SET")]);
    bench.server(&concat(&[parsed(&[], &["a"]), set]));
    assert!(named(&bench.to_server).ends_with("P:dbproxy:2 D:S:dbproxy:2 H"));
    bench.server(&parsed(&[], &["a"]));
    assert!(named(&bench.to_server).ends_with("B::dbproxy:2 E: S"));
}
