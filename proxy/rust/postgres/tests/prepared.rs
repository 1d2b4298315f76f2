//! Named statements: the names are the client's, the statements are shared, and the server answers.

mod common;

use common::prepared::*;
use common::*;
use dbproxy_engine::{CloseReason, Outcome, PinReason, Release};

#[test]
fn a_named_statement_is_parsed_under_a_name_of_ours_and_frees_the_backend() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s1", "SELECT $1"), sync()]));
    assert_eq!(named(&bench.to_server), "P:dbproxy:1 D:S:dbproxy:1 S");
    let reply = concat(&[parsed(&[23], &["a"]), ready(b'I')]);
    assert_eq!(bench.server(&reply), "1 Z:I");
    assert_eq!(bench.released, [Release::Clean]);
    assert_eq!(bench.pin(), None);
}

#[test]
fn it_is_used_in_the_batch_that_parses_it() {
    let mut bench = Bench::new();
    let uses = [describe("Ss1"), bind("p", "s1"), execute("p"), sync()];
    bench.client(&concat(&[parse("s1", "SELECT 1"), concat(&uses)]));
    assert_eq!(
        named(&bench.to_server),
        "P:dbproxy:1 D:S:dbproxy:1 D:S:dbproxy:1 B:p:dbproxy:1 E:p S"
    );
    let described = described(&[], &["a"]);
    let ran = concat(&[bare(b'2'), complete("SELECT 1"), ready(b'I')]);
    let reply = concat(&[parsed(&[], &["a"]), described, ran]);
    assert_eq!(bench.server(&reply), "1 t T 2 C:SELECT 1 Z:I");
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn a_large_bind_streams_behind_its_new_name() {
    let mut bench = prepared();
    let mut body = b"\0s1\0\0\0\0\x01\0\x01\0\0".to_vec();
    body.extend(vec![b'x'; 65536]);
    body.extend([0, 0]);
    let large = message(b'B', &body);
    bench.client(&large[..LIMIT]);
    assert!(bench.to_server.len() > LIMIT, "it goes on in parts");
    let mut sent = bench.to_server.clone();
    bench.client(&concat(&[large[LIMIT..].to_vec(), execute(""), sync()]));
    sent.extend_from_slice(&bench.to_server);
    assert_eq!(named(&sent), "B::dbproxy:1 E: S");
    let expected = [&b"\0dbproxy:1\0"[..], &body[4..]].concat();
    assert_eq!(&sent[5..5 + expected.len()], expected);
}

#[test]
fn another_backend_parses_it_first_with_all_types_and_answers_the_same() {
    let mut bench = prepared_with(&[23], &["a"]);
    bench.idle = vec![link()];
    let bind = message(b'B', b"\0s1\0\0\0\0\x01\0\0\0\x017\0\0");
    let use_it = concat(&[bind, execute(""), sync()]);
    bench.client(&use_it);
    assert_eq!(named(&bench.to_server), "P:dbproxy:1 D:S:dbproxy:1 H");
    let types = [&b"\0SELECT 1\0\0\x01"[..], &23u32.to_be_bytes()].concat();
    assert!(bench.to_server.windows(types.len()).any(|w| w == types));
    bench.server(&parsed(&[23], &["a"]));
    assert_eq!(bench.told(), "");
    assert_eq!(tail(&bench, "H "), "B::dbproxy:1 E: S");
    let ran = concat(&[bare(b'2'), complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&ran), "2 C:SELECT 1 Z:I");
    assert_eq!(bench.released.last(), Some(&Release::Clean));
}

#[test]
fn a_statement_that_another_client_parsed_there_is_used() {
    let mut first = prepared();
    let mut second = Bench::named("", 2);
    second.client(&concat(&[parse("other", "SELECT 1"), sync()]));
    second.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    first.idle = std::mem::take(&mut second.idle);
    first.client(&concat(&[bind("", "s1"), sync()]));
    assert_eq!(named(&first.to_server), "B::dbproxy:1 S");
}

#[test]
fn names_are_of_each_client_alone() {
    let mut first = prepared();
    let mut second = Bench::named("", 2);
    second.idle = std::mem::take(&mut first.idle);
    second.client(&concat(&[bind("", "s1"), sync()]));
    assert_eq!(
        named(&second.to_server),
        "B::s1 S",
        "the server has none of that name"
    );
    assert_eq!(
        second.server(&concat(&[error("ERROR", "26000"), ready(b'I')])),
        "E:26000 Z:I"
    );
    second.client(&concat(&[parse("s1", "SELECT 2"), sync()]));
    assert_eq!(named(&second.to_server), "P:dbproxy:2 D:S:dbproxy:2 S");
}

#[test]
fn a_statement_of_other_columns_is_refused_as_changed() {
    let mut bench = prepared();
    bench.idle = vec![link()];
    bench.client(&concat(&[bind("", "s1"), execute(""), sync()]));
    bench.server(&parsed(&[], &["b"]));
    assert_eq!(tail(&bench, "H "), "B::dbproxy:?s1 E: S");
    assert_eq!(bench.told(), "");
    let refused = concat(&[error("ERROR", "26000"), ready(b'I')]);
    assert_eq!(bench.server(&refused), "E:0A000 Z:I");
    // Parsed again under another name, it is what it is now.
    bench.client(&concat(&[parse("s2", "SELECT 1"), sync()]));
    bench.server(&concat(&[parsed(&[], &["b"]), ready(b'I')]));
    bench.client(&concat(&[bind("", "s2"), sync()]));
    assert_eq!(named(&bench.to_server), "B::dbproxy:2 S");
}

#[test]
fn a_parse_that_fails_elsewhere_is_the_answer_to_its_use() {
    let mut bench = prepared();
    bench.idle = vec![link()];
    bench.client(&concat(&[bind("", "s1"), execute(""), sync()]));
    assert_eq!(bench.server(&error("ERROR", "42P01")), "E:42P01");
    assert_eq!(tail(&bench, "H "), "B::s1 E: S");
    assert_eq!(bench.server(&ready(b'I')), "Z:I");
    assert_eq!(bench.released.last(), Some(&Release::Clean));
}

#[test]
fn a_describe_tells_the_parameters_before_what_can_not_be_made_any_more() {
    let mut bench = prepared_with(&[23], &["a"]);
    bench.idle = vec![link()];
    bench.client(&concat(&[describe("Ss1"), sync()]));
    assert_eq!(bench.server(&error("ERROR", "42P01")), "t E:42P01");
    assert_eq!(bench.server(&ready(b'I')), "Z:I");
}

#[test]
fn in_a_failed_transaction_a_describe_is_refused_at_once() {
    let mut bench = prepared_with(&[23], &["a"]);
    bench.idle = vec![link()];
    bench.client(&query("BEGIN"));
    bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
    bench.client(&query("SELECT 1/0"));
    bench.server(&concat(&[error("ERROR", "22012"), ready(b'E')]));
    bench.told();
    bench.client(&concat(&[describe("Ss1"), sync()]));
    assert_eq!(bench.server(&error("ERROR", "25P02")), "E:25P02");
}

#[test]
fn a_backend_that_is_lost_while_it_parses_is_replaced_unseen() {
    let mut bench = prepared();
    bench.idle = vec![link()];
    bench.client(&concat(&[bind("", "s1"), execute(""), sync()]));
    assert_eq!(bench.lose(), Outcome::Requeue);
    assert_eq!(bench.told(), "");
}

#[test]
fn a_name_that_is_taken_is_refused_by_the_server_with_the_clients_name() {
    let mut bench = prepared();
    bench.client(&concat(&[parse("s1", "SELECT 2"), sync()]));
    assert_eq!(
        named(&bench.to_server),
        "C:S:dbproxy:0 P:dbproxy:0 P:dbproxy:0 S"
    );
    let text = "prepared statement \"dbproxy:0\" already exists";
    let refused = error_saying("42P05", text);
    bench.server(&concat(&[bare(b'3'), bare(b'1'), refused, ready(b'I')]));
    assert_eq!(show(&bench.to_client), "E:42P05 Z:I");
    assert!(says(&bench, "prepared statement \"s1\" already exists"));
    bench.client(&concat(&[bind("", "s1"), sync()]));
    assert_eq!(
        named(&bench.to_server),
        "B::dbproxy:1 S",
        "it has the former one"
    );
}

#[test]
fn an_error_tells_of_the_clients_name() {
    let mut bench = prepared();
    bench.client(&concat(&[bind("", "s1"), sync()]));
    let text =
        "bind message supplies 0 parameters, but prepared statement \"dbproxy:1\" requires 1";
    bench.server(&concat(&[error_saying("08P01", text), ready(b'I')]));
    assert!(says(&bench, "but prepared statement \"s1\" requires 1"));
}

#[test]
fn a_closed_name_is_gone_and_its_statement_stays() {
    let mut bench = prepared();
    bench.client(&concat(&[message(b'C', b"Ss1\0"), bind("", "s1"), sync()]));
    assert_eq!(named(&bench.to_server), "C:S:s1 B::s1 S");
    let reply = concat(&[bare(b'3'), error("ERROR", "26000"), ready(b'I')]);
    assert_eq!(bench.server(&reply), "3 E:26000 Z:I");
    bench.client(&concat(&[parse("s1", "SELECT 2"), sync()]));
    assert_eq!(named(&bench.to_server), "P:dbproxy:2 D:S:dbproxy:2 S");
}

#[test]
fn a_parse_that_failed_or_was_skipped_leaves_no_name() {
    for failed in [
        concat(&[parse("s1", "SELEC 1"), sync()]),
        concat(&[bind("", "no"), parse("s1", "SELECT 1"), sync()]),
    ] {
        let mut bench = Bench::new();
        bench.client(&failed);
        bench.server(&concat(&[error("ERROR", "42601"), ready(b'I')]));
        bench.client(&concat(&[bind("", "s1"), sync()]));
        assert_eq!(named(&bench.to_server), "B::s1 S");
    }
}

#[test]
fn a_parse_that_succeeded_stays_whatever_follows() {
    let mut bench = Bench::in_transaction();
    bench.client(&concat(&[parse("s1", "SELECT 1"), bind("", "no"), sync()]));
    let failed = [error("ERROR", "26000"), ready(b'E')];
    bench.server(&concat(&[parsed(&[], &["a"]), concat(&failed)]));
    bench.client(&query("ROLLBACK"));
    bench.server(&concat(&[complete("ROLLBACK"), ready(b'I')]));
    bench.client(&concat(&[bind("", "s1"), sync()]));
    assert_eq!(named(&bench.to_server), "B::dbproxy:1 S");
}

#[test]
fn a_name_that_an_unanswered_batch_makes_is_waited_for() {
    let mut bench = Bench::new();
    let use_it = concat(&[bind("", "s1"), execute(""), sync()]);
    bench.client(&concat(&[parse("s1", "SELECT 1"), sync(), use_it]));
    assert_eq!(named(&bench.to_server), "P:dbproxy:1 D:S:dbproxy:1 S");
    bench.server(&concat(&[error("ERROR", "42P01"), ready(b'I')]));
    assert_eq!(tail(&bench, "S "), "B::s1 E: S");
}

#[test]
fn discard_all_takes_every_statement_of_the_backend_and_the_clients_names() {
    let mut bench = prepared();
    let sql = "DISCARD ALL";
    bench.client(&concat(&[query(sql), parse("s1", "SELECT 2"), sync()]));
    assert_eq!(bench.to_server, query(sql));
    bench.server(&concat(&[complete(sql), ready(b'I')]));
    let parsed = "P:dbproxy:2 D:S:dbproxy:2 S";
    assert_eq!(tail(&bench, "Q:DISCARD ALL "), parsed);
    assert_eq!(bench.pin(), None);
}

#[test]
fn the_new_statements_of_a_client_that_is_pinned_for_good_are_its_own() {
    let mut bench = prepared();
    bench.client(&query("SELECT setseed(0)"));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    bench.client(&concat(&[parse("s2", "SELECT 2"), bind("", "s1"), sync()]));
    assert_eq!(named(&bench.to_server), "P:s2 B::dbproxy:1 S");
    bench.client(&concat(&[parse("s1", "SELECT 2"), sync()]));
    assert!(bench.to_server.is_empty() || named(&bench.to_server).contains("P:dbproxy:0"));
}

#[test]
fn who_parses_more_than_is_kept_is_pinned() {
    let long = format!("SELECT '{}'", "x".repeat(70_000));
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s", &long), sync()]));
    assert_eq!(bench.pin(), Some(PinReason::NamedStatement));

    let mut bench = Bench::new();
    for number in 0..1025 {
        let name = format!("s{number}");
        bench.client(&concat(&[parse(&name, "SELECT 1"), sync()]));
        assert_eq!(bench.pin().is_some(), number == 1024);
        if number < 1024 {
            bench.server(&concat(&[parsed_many(&bench.to_server), ready(b'I')]));
        }
    }
}

#[test]
fn a_backend_closes_what_was_used_longest_ago() {
    let mut bench = Bench::new();
    for number in 0..502 {
        let sql = format!("SELECT {number}");
        bench.client(&concat(&[parse("s", &sql), message(b'C', b"Ss\0"), sync()]));
        let closes = named(&bench.to_server).starts_with("C:S:dbproxy:");
        assert_eq!(closes, number >= 500, "{number}");
        let ours = if closes { bare(b'3') } else { Vec::new() };
        let reply = concat(&[ours, parsed(&[], &["a"]), bare(b'3'), ready(b'I')]);
        assert_eq!(bench.server(&reply), "1 3 Z:I");
    }
    assert!(named(&bench.to_server).starts_with("C:S:dbproxy:2 P:dbproxy:502"));
}

#[test]
fn a_name_that_looks_like_ours_reaches_nobodys_statement() {
    let mut first = prepared();
    let mut second = Bench::named("", 2);
    second.idle = std::mem::take(&mut first.idle);
    second.client(&concat(&[bind("", "dbproxy:1"), sync()]));
    assert_eq!(named(&second.to_server), "B::dbproxy:?dbproxy:1 S");
    let text = "prepared statement \"dbproxy:?dbproxy:1\" does not exist";
    second.server(&concat(&[error_saying("26000", text), ready(b'I')]));
    assert!(says(
        &second,
        "prepared statement \"dbproxy:1\" does not exist"
    ));
}

#[test]
fn a_named_rollback_ends_a_transaction_whose_backend_is_gone() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("S_3", "ROLLBACK"), sync()]));
    bench.server(&concat(&[parsed(&[], &[]), ready(b'I')]));
    bench.client(&query("BEGIN"));
    bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
    bench.client(&query("SELECT 1"));
    bench.lose();
    bench.told();
    bench.idle = vec![link()];
    bench.client(&concat(&[bind("", "S_3"), execute(""), sync()]));
    assert_eq!(named(&bench.to_server), "P:dbproxy:1 D:S:dbproxy:1 H");
    bench.server(&parsed(&[], &[]));
    let ran = concat(&[bare(b'2'), complete("ROLLBACK"), ready(b'I')]);
    assert_eq!(bench.server(&ran), "2 C:ROLLBACK Z:I");
}

#[test]
fn a_client_that_leaves_while_its_statement_is_parsed_leaves_a_backend_in_step() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s1", "SELECT 1"), sync(), bare(b'X')]));
    bench.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    assert_eq!(bench.released, [Release::Clean]);
    assert_eq!(bench.closed, Some(CloseReason::ClientLeft));
}

#[test]
fn currval_of_a_named_statement_is_not_anothers() {
    let mut first = Bench::named("", 1);
    first.client(&query("INSERT INTO t VALUES (1)"));
    first.server(&concat(&[complete("INSERT 0 1"), ready(b'I')]));
    let mut second = Bench::named("", 2);
    second.client(&concat(&[parse("s", "SELECT nextval('q')"), sync()]));
    second.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    second.idle = std::mem::take(&mut first.idle);
    let batch = [bind("", "s"), parse("", "SELECT lastval()"), sync()];
    second.client(&concat(&batch));
    assert!(named(&second.to_server).starts_with("Q:DISCARD SEQUENCES"));
}

#[test]
fn parameters_are_counted_of_what_was_never_parsed_there() {
    for status in [b'T', b'E'] {
        let mut bench = prepared_with(&[23], &["a"]);
        bench.idle = vec![link()];
        bench.client(&query("BEGIN"));
        bench.server(&concat(&[complete("BEGIN"), ready(status)]));
        bench.client(&concat(&[bind("", "s1"), sync()]));
        assert_eq!(named(&bench.to_server), "B::dbproxy:?s1 S");
        bench.server(&concat(&[error("ERROR", "26000"), ready(b'E')]));
        let text = "bind message supplies 0 parameters, but prepared statement \"s1\" requires 1";
        assert!(says(&bench, text));
    }
}

#[test]
fn a_failed_transaction_describes_what_has_no_columns_and_was_never_parsed_there() {
    let mut bench = prepared_with(&[23], &[]);
    bench.idle = vec![link()];
    bench.client(&query("BEGIN"));
    bench.server(&concat(&[complete("BEGIN"), ready(b'E')]));
    bench.client(&concat(&[describe("Ss1"), sync()]));
    let sent = "C:S:dbproxy:0 P:dbproxy:0 D:S:dbproxy:0 S";
    assert_eq!(named(&bench.to_server), sent);
    let ours = concat(&[bare(b'3'), bare(b'1')]);
    bench.server(&concat(&[ours, described(&[], &[]), ready(b'E')]));
    let told = concat(&[described(&[23], &[]), ready(b'E')]);
    assert_eq!(bench.to_client, told);
}

#[test]
fn columns_are_the_same_however_their_names_are_encoded() {
    let mut bench = prepared_with(&[], &["gr\u{f6}\u{df}e"]);
    bench.idle = vec![link()];
    bench.client(&concat(&[bind("", "s1"), execute(""), sync()]));
    bench.server(&parsed(&[], &["gr\u{fc}n"]));
    assert!(named(&bench.to_server).ends_with("B::dbproxy:1 E: S"));
}
