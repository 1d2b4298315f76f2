//! What a client has set when it parses a statement is a part of what the statement is.

mod common;

use common::prepared::*;
use common::*;
use dbproxy_engine::{KillReason, PinReason, Release};

/// What went to the server, with the texts that are run around a Parse in brackets.
fn sent(bench: &Bench) -> String {
    let mut rest = &bench.to_server[..];
    let mut out = Vec::new();
    while rest.len() >= 5 {
        let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
        let one = &rest[..length + 1];
        rest = &rest[length + 1..];
        let aside = b"dbproxy:aside\0";
        match one[0] {
            b'P' if one[5..].starts_with(aside) => {
                let text = one[5 + aside.len()..].split(|byte| *byte == 0).next();
                out.push(format!("[{}]", String::from_utf8_lossy(text.unwrap())));
            }
            _ if one.windows(aside.len()).any(|part| part == aside) => {}
            _ => out.push(named(one)),
        }
    }
    out.join(" ")
}

/// Answers to what is sent in front of it, and the use of a statement.
fn uses() -> Vec<u8> {
    concat(&[bind("", "s1"), execute(""), sync()])
}

/// Sets something outside of a transaction.
fn sets(bench: &mut Bench, sql: &str) {
    bench.client(&query(sql));
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    bench.told();
}

#[test]
fn a_text_that_was_parsed_under_other_settings_is_another_statement() {
    let mut first = prepared();
    let mut second = Bench::named("", 2);
    second.idle = std::mem::take(&mut first.idle);
    sets(&mut second, "SET search_path = a");
    second.client(&concat(&[parse("s1", "SELECT 1"), sync()]));
    assert_eq!(sent(&second), "P:dbproxy:2 D:S:dbproxy:2 S");
    second.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    assert_eq!(second.pin(), None);
    second.client(&uses());
    assert_eq!(sent(&second), "B::dbproxy:2 E: S");
    let ran = concat(&[bare(b'2'), complete("SELECT 1"), ready(b'I')]);
    second.server(&ran);
    first.idle = std::mem::take(&mut second.idle);
    first.client(&uses());
    assert_eq!(sent(&first), "Q:RESET search_path B::dbproxy:1 E: S");
}

#[test]
fn a_setting_that_no_parser_reads_makes_no_other_statement() {
    let mut first = prepared();
    let mut second = Bench::named("", 2);
    second.client(&concat(&[parse("s1", "SELECT 1"), sync()]));
    second.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    sets(&mut second, "SET statement_timeout = 7");
    first.idle = std::mem::take(&mut second.idle);
    first.client(&uses());
    assert_eq!(sent(&first), "Q:RESET statement_timeout B::dbproxy:1 E: S");
}

#[test]
fn a_statement_is_parsed_elsewhere_under_the_settings_that_it_was_parsed_under() {
    let mut bench = dated();
    sets(&mut bench, "SET search_path = a");
    bench.idle = vec![link()];
    bench.client(&uses());
    assert_eq!(
        sent(&bench),
        "Q:SET search_path TO 'a' [SET LOCAL search_path TO DEFAULT] P:dbproxy:1 D:S:dbproxy:1 S"
    );
    let ours = concat(&[complete("SET"), ready(b'I'), aside(1), parsed(&[], &["a"])]);
    bench.server(&concat(&[ours, ready(b'I')]));
    assert_eq!(bench.told(), "");
    assert!(sent(&bench).ends_with("S B::dbproxy:1 E: S"));
    let ran = concat(&[bare(b'2'), complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&ran), "2 C:SELECT 1 Z:I");
    assert_eq!(bench.released.last(), Some(&Release::Clean));
    assert_eq!(bench.pin(), None);
    // From here on it is there as it was parsed.
    bench.client(&uses());
    assert_eq!(sent(&bench), "B::dbproxy:1 E: S");
}

#[test]
fn where_only_the_server_knows_what_is_set_a_savepoint_brings_it_back() {
    let mut bench = dated();
    bench.idle = vec![link()];
    bench.client(&query("BEGIN; SET LOCAL search_path = a"));
    let begun = concat(&[complete("BEGIN"), complete("SET"), ready(b'T')]);
    bench.server(&begun);
    bench.told();
    bench.client(&uses());
    assert_eq!(
        sent(&bench),
        "[SAVEPOINT \"dbproxy:aside\"] [SET LOCAL search_path TO DEFAULT] P:dbproxy:1 \
         D:S:dbproxy:1 S [ROLLBACK TO \"dbproxy:aside\"] [RELEASE \"dbproxy:aside\"] S"
    );
    bench.server(&concat(&[aside(2), parsed(&[], &["a"]), ready(b'T')]));
    bench.server(&concat(&[aside(2), ready(b'T')]));
    assert_eq!(bench.told(), "");
    assert!(sent(&bench).ends_with("S B::dbproxy:1 E: S"));
    assert_eq!(bench.pin(), None);
}

#[test]
fn what_is_parsed_under_a_setting_of_its_transaction_is_the_clients_own_and_pins() {
    let mut bench = Bench::new();
    bench.client(&query("BEGIN; SET LOCAL search_path = a"));
    bench.server(&concat(&[complete("BEGIN"), complete("SET"), ready(b'T')]));
    bench.client(&concat(&[parse("s1", DATE), sync()]));
    assert_eq!(sent(&bench), "P:s1 S");
    assert_eq!(bench.pin(), Some(PinReason::NamedStatement));
}

#[test]
fn what_means_the_same_under_all_settings_is_shared_whatever_its_transaction_sets() {
    let mut bench = Bench::new();
    bench.client(&query("BEGIN; SET LOCAL search_path = a"));
    bench.server(&concat(&[complete("BEGIN"), complete("SET"), ready(b'T')]));
    bench.client(&concat(&[parse("s1", "SELECT 1"), sync()]));
    assert_eq!(sent(&bench), "P:dbproxy:1 D:S:dbproxy:1 S");
    bench.server(&concat(&[parsed(&[], &["a"]), ready(b'T')]));
    bench.client(&uses());
    assert_eq!(sent(&bench), "B::dbproxy:1 E: S");
    assert_eq!(bench.pin(), None);
}

#[test]
fn what_means_the_same_under_all_settings_is_parsed_elsewhere_under_those_of_its_user() {
    let mut bench = prepared();
    sets(&mut bench, "SET search_path = a");
    bench.idle = vec![link()];
    bench.client(&uses());
    let replayed = "Q:SET search_path TO 'a' P:dbproxy:1 D:S:dbproxy:1 H";
    assert_eq!(sent(&bench), replayed);
}

#[test]
fn a_literal_that_is_the_moment_is_the_clients_own_and_pins() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s1", "SELECT 'now'::timestamp"), sync()]));
    assert_eq!(sent(&bench), "P:s1 S");
    assert_eq!(bench.pin(), Some(PinReason::NamedStatement));
}

#[test]
fn what_cannot_be_put_back_as_the_client_left_it_ends_the_backend() {
    let mut bench = dated();
    bench.idle = vec![link()];
    bench.client(&query("BEGIN; SET LOCAL search_path = a"));
    bench.server(&concat(&[complete("BEGIN"), complete("SET"), ready(b'T')]));
    bench.client(&uses());
    bench.server(&concat(&[aside(2), parsed(&[], &["a"]), ready(b'T')]));
    let gone = concat(&[bare(b'3').repeat(2), bare(b'1'), bare(b'2')]);
    bench.server(&concat(&[gone, error("ERROR", "3B001")]));
    let killed = Release::Kill(KillReason::ResetFailed);
    assert_eq!(bench.released.last(), Some(&killed));
}

#[test]
fn a_timeout_of_the_transaction_leaves_its_statements_shared() {
    let mut bench = Bench::new();
    bench.client(&query("BEGIN; SET LOCAL statement_timeout = 5"));
    bench.server(&concat(&[complete("BEGIN"), complete("SET"), ready(b'T')]));
    bench.client(&concat(&[parse("s1", "SELECT 1"), sync()]));
    assert_eq!(sent(&bench), "P:dbproxy:1 D:S:dbproxy:1 S");
    assert_eq!(bench.pin(), None);
}

#[test]
fn a_parse_waits_until_it_is_known_what_it_is_parsed_under() {
    let mut other = prepared_by(2);
    let mut bench = Bench::new();
    let parses = concat(&[parse("s1", "SELECT 1"), sync()]);
    bench.client(&concat(&[query("SET search_path = a"), parses]));
    assert_eq!(sent(&bench), "Q:SET search_path = a");
    bench.server(&concat(&[error("ERROR", "22023"), ready(b'I')]));
    bench.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    other.idle = std::mem::take(&mut bench.idle);
    other.client(&uses());
    assert_eq!(sent(&other), "B::dbproxy:1 E: S", "nothing was set");
}

#[test]
fn a_parse_behind_a_set_in_its_batch_is_asked_about_first() {
    let mut bench = Bench::new();
    let first = concat(&[parse("", "SET search_path = a"), bind("", ""), execute("")]);
    bench.client(&concat(&[first, parse("s1", "SELECT 1"), sync()]));
    assert_eq!(sent(&bench), "P: B:: E: H");
    let set = concat(&[bare(b'1'), bare(b'2'), complete("SET")]);
    assert_eq!(bench.server(&set), "1 2 C:SET");
    assert!(sent(&bench).ends_with("H P:dbproxy:1 D:S:dbproxy:1 S"));
}

#[test]
fn settings_that_cannot_be_put_in_place_are_what_the_client_is_told() {
    let mut bench = dated();
    sets(&mut bench, "SET search_path = a");
    bench.idle = vec![link()];
    bench.client(&uses());
    let replayed = concat(&[complete("SET"), ready(b'I')]);
    let begun = concat(&[bare(b'3'), bare(b'3'), bare(b'1'), bare(b'2')]);
    let refused = concat(&[replayed, begun, error("ERROR", "22023"), ready(b'I')]);
    assert_eq!(bench.server(&refused), "");
    assert!(sent(&bench).ends_with("S B::dbproxy:?s1 E: S"));
    bench.server(&error("ERROR", "26000"));
    assert!(says(&bench, "The proxy set this session's settings again"));
    assert_eq!(bench.told(), "E:22023");
    assert_eq!(bench.server(&ready(b'I')), "Z:I");
    assert_eq!(bench.released.last(), Some(&Release::Clean));
}

#[test]
fn an_error_of_the_statement_that_is_parsed_elsewhere_is_the_clients() {
    let mut bench = dated();
    sets(&mut bench, "SET search_path = a");
    bench.idle = vec![link()];
    bench.client(&uses());
    let replayed = concat(&[complete("SET"), ready(b'I'), aside(1)]);
    bench.server(&concat(&[replayed, error("ERROR", "42P01"), ready(b'I')]));
    assert!(sent(&bench).ends_with("S B::dbproxy:?s1 E: S"));
    let refused = concat(&[error("ERROR", "26000"), ready(b'I')]);
    assert_eq!(bench.server(&refused), "E:42P01 Z:I");
    assert_eq!(bench.released.last(), Some(&Release::Clean));
}

/// Sets what the server doesn't report: nobody knows any more what the session has.
fn loses(bench: &mut Bench) {
    bench.client(&query("SET TIME ZONE -7"));
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    bench.told();
}

#[test]
fn a_statement_is_parsed_under_its_settings_whatever_is_set() {
    let mut bench = dated();
    bench.idle = vec![link()];
    loses(&mut bench);
    bench.client(&uses());
    assert!(sent(&bench).ends_with(
        "[BEGIN] [SET LOCAL SESSION AUTHORIZATION DEFAULT] [SET LOCAL ROLE NONE] [RESET ALL] \
         P:dbproxy:1 D:S:dbproxy:1 S [ROLLBACK] S"
    ));
    bench.server(&concat(&[aside(4), parsed(&[], &["a"]), ready(b'T')]));
    bench.server(&concat(&[aside(1), ready(b'I')]));
    assert_eq!(bench.told(), "");
    assert!(sent(&bench).ends_with("S B::dbproxy:1 E: S"));
}

#[test]
fn a_statement_is_refused_rather_than_parsed_under_what_nobody_knows() {
    let mut bench = dated();
    bench.idle = vec![initialised_link("SET geqo = off")];
    loses(&mut bench);
    bench.client(&uses());
    assert!(sent(&bench).ends_with("B::dbproxy:?s1 E: S"));
    let refused = concat(&[error("ERROR", "26000"), ready(b'I')]);
    assert_eq!(bench.server(&refused), "E:0A000 Z:I");
    assert!(says(&bench, "\"s1\" was prepared under other settings"));
}

#[test]
fn a_failed_transaction_ends_by_a_statement_whatever_was_set() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s1", "ROLLBACK"), sync()]));
    bench.server(&concat(&[parsed(&[], &[]), ready(b'I')]));
    sets(&mut bench, "SET search_path = a");
    bench.idle = vec![link()];
    bench.client(&query("BEGIN; SELECT x"));
    let replayed = concat(&[complete("SET"), ready(b'I')]);
    let failed = concat(&[complete("BEGIN"), error("ERROR", "42703"), ready(b'E')]);
    bench.server(&concat(&[replayed, failed]));
    bench.client(&uses());
    assert_eq!(sent(&bench), "P:dbproxy:1 D:S:dbproxy:1 H");
}

#[test]
fn a_named_statement_that_sets_something_is_followed() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s1", "SET work_mem = '1MB'"), sync()]));
    bench.server(&concat(&[parsed(&[], &[]), ready(b'I')]));
    bench.client(&uses());
    bench.server(&concat(&[bare(b'2'), complete("SET"), ready(b'I')]));
    assert_eq!(bench.pin(), None);
    bench.idle = vec![link()];
    let sent = bench.client(&query("SELECT 1"));
    assert_eq!(sent, "Q:SET work_mem TO '1MB' Q:SELECT 1");
}

#[test]
fn a_named_rollback_takes_back_what_was_set() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s1", "ROLLBACK"), sync()]));
    bench.server(&concat(&[parsed(&[], &[]), ready(b'I')]));
    bench.client(&query("BEGIN; SET work_mem = '1MB'"));
    bench.server(&concat(&[complete("BEGIN"), complete("SET"), ready(b'T')]));
    bench.client(&uses());
    bench.server(&concat(&[bare(b'2'), complete("ROLLBACK"), ready(b'I')]));
    bench.idle = vec![link()];
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
}

#[test]
fn discarding_all_takes_the_clients_names_and_pins_nobody() {
    let mut bench = prepared();
    bench.client(&query("DISCARD ALL"));
    bench.server(&concat(&[complete("DISCARD ALL"), ready(b'I')]));
    assert_eq!(bench.pin(), None);
    bench.client(&uses());
    assert_eq!(sent(&bench), "B::s1 E: S");
    bench.server(&concat(&[error("ERROR", "26000"), ready(b'I')]));
    bench.client(&concat(&[parse("s2", "SELECT 1"), sync()]));
    assert_eq!(sent(&bench), "P:dbproxy:2 D:S:dbproxy:2 S");
}

#[test]
fn resetting_all_leaves_the_clients_names() {
    let mut bench = prepared();
    bench.client(&query("RESET ALL"));
    bench.server(&concat(&[complete("RESET"), ready(b'I')]));
    bench.client(&uses());
    assert_eq!(sent(&bench), "B::dbproxy:1 E: S");
}

#[test]
fn settings_are_awaited_before_a_statement_is_parsed_again() {
    let mut bench = dated();
    sets(&mut bench, "SET role = pal");
    bench.idle = vec![link()];
    bench.client(&uses());
    assert_eq!(sent(&bench), "Q:SET role TO 'pal'");
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    let expected = "[SET LOCAL role TO DEFAULT] P:dbproxy:1 D:S:dbproxy:1 S";
    assert!(sent(&bench).ends_with(expected), "{}", sent(&bench));
}

#[test]
fn names_that_cannot_be_made_under_their_settings_end_the_backend() {
    let mut bench = dated();
    bench.idle = vec![initialised_link("SET geqo = off")];
    loses(&mut bench);
    bench.client(&query("EXECUTE s1"));
    assert_eq!(
        bench.released.last(),
        Some(&Release::Kill(KillReason::Ambiguous))
    );
}

#[test]
fn what_begins_or_ends_a_transaction_is_the_same_under_all_settings() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s1", "BEGIN"), sync()]));
    bench.server(&concat(&[parsed(&[], &[]), ready(b'I')]));
    sets(&mut bench, "SET search_path = a");
    bench.client(&concat(&[parse("s2", "BEGIN"), sync()]));
    bench.server(&concat(&[parsed(&[], &[]), ready(b'I')]));
    bench.client(&uses());
    assert_eq!(sent(&bench), "B::dbproxy:2 E: S");
}

#[test]
fn what_a_trigger_sets_for_a_transaction_is_not_taken_for_what_the_session_has() {
    let mut bench = dated();
    bench.idle = vec![link()];
    bench.client(&query("BEGIN; INSERT INTO t VALUES (1)"));
    let begun = concat(&[complete("BEGIN"), complete("INSERT 0 1")]);
    let set = report("DateStyle", "ISO, DMY");
    bench.server(&concat(&[begun, set, ready(b'T')]));
    bench.client(&uses());
    assert!(sent(&bench).contains("[SAVEPOINT \"dbproxy:aside\"]"));
    assert!(sent(&bench).contains("[RESET ALL]"), "{}", sent(&bench));
}

#[test]
fn what_a_function_sets_for_good_is_shown_to_nobody_else() {
    let mut bench = Bench::new();
    bench.client(&query("SELECT f()"));
    let set = report("DateStyle", "ISO, DMY");
    bench.server(&concat(&[complete("SELECT 1"), set, ready(b'I')]));
    let released = bench.released.last();
    assert!(matches!(released, Some(Release::Kill(_))), "{released:?}");
}
