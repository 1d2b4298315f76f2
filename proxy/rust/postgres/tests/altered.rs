//! What is parsed in a transaction that may have changed what names and literals mean serves nobody
//! when that is undone: servers analyse again for tables and functions, but not for the labels of enums.

mod common;

use common::prepared::*;
use common::*;

fn uses() -> Vec<u8> {
    concat(&[bind("", "s1"), execute(""), sync()])
}

fn ran(status: u8) -> Vec<u8> {
    concat(&[bare(b'2'), complete("SELECT 1"), ready(status)])
}

/// A client whose transaction has changed the catalog, and has its statement parsed again there.
fn altered() -> Bench {
    let mut bench = prepared();
    bench.client(&query("BEGIN; ALTER TYPE t RENAME VALUE 'a' TO 'b'"));
    bench.server(&concat(&[
        complete("BEGIN"),
        complete("ALTER TYPE"),
        ready(b'T'),
    ]));
    bench.client(&uses());
    assert!(named(&bench.to_server).ends_with("P:dbproxy:2 D:S:dbproxy:2 H"));
    bench.server(&parsed(&[], &["a"]));
    assert!(named(&bench.to_server).ends_with("B::dbproxy:2 E: S"));
    bench.server(&ran(b'T'));
    bench
}

#[test]
fn behind_its_rollback_the_statement_of_before_is_used() {
    let mut bench = altered();
    bench.client(&query("ROLLBACK"));
    bench.server(&concat(&[complete("ROLLBACK"), ready(b'I')]));
    bench.client(&uses());
    assert_eq!(named(&bench.to_server), "B::dbproxy:1 E: S");
}

#[test]
fn behind_its_savepoint_it_is_parsed_again() {
    let mut bench = altered();
    bench.client(&query("ROLLBACK TO x"));
    bench.server(&concat(&[complete("ROLLBACK"), ready(b'T')]));
    bench.client(&uses());
    assert!(named(&bench.to_server).ends_with("P:dbproxy:3 D:S:dbproxy:3 H"));
}

#[test]
fn what_its_client_parses_there_serves_nobody_else() {
    let mut second = prepared_by(2);
    let mut first = prepared();
    first.client(&query("BEGIN; CREATE TYPE t AS ENUM ()"));
    first.server(&concat(&[
        complete("BEGIN"),
        complete("CREATE TYPE"),
        ready(b'T'),
    ]));
    first.client(&concat(&[parse("s2", "SELECT 1"), sync()]));
    first.server(&concat(&[parsed(&[], &["a"]), ready(b'T')]));
    first.client(&query("ROLLBACK"));
    first.server(&concat(&[complete("ROLLBACK"), ready(b'I')]));
    second.idle = std::mem::take(&mut first.idle);
    second.client(&uses());
    assert_eq!(named(&second.to_server), "B::dbproxy:1 E: S");
}

#[test]
fn what_stands_behind_a_change_in_its_batch_serves_nobody_else() {
    let mut bench = prepared();
    let alters = concat(&[
        parse("", "ALTER TYPE t RENAME VALUE 'a' TO 'b'"),
        bind("", ""),
        execute(""),
    ]);
    let fails = concat(&[parse("", "SELECT 1/0"), bind("", ""), execute("")]);
    bench.client(&concat(&[alters, parse("s2", "SELECT 1"), fails, sync()]));
    let failed = error("ERROR", "22012");
    let altered = concat(&[bare(b'1'), bare(b'2'), complete("ALTER TYPE")]);
    bench.server(&concat(&[
        altered,
        parsed(&[], &["a"]),
        failed,
        ready(b'I'),
    ]));
    bench.client(&uses());
    assert_eq!(named(&bench.to_server), "B::dbproxy:1 E: S");
}

#[test]
fn what_is_parsed_aside_of_a_transactions_settings_is_there_behind_it() {
    let mut bench = dated();
    bench.idle = vec![link()];
    bench.client(&query(
        "BEGIN; SET LOCAL search_path = a; CREATE TABLE b ()",
    ));
    let begun = concat(&[complete("BEGIN"), complete("SET")]);
    bench.server(&concat(&[begun, complete("CREATE TABLE"), ready(b'T')]));
    bench.client(&uses());
    bench.server(&concat(&[aside(2), parsed(&[], &["a"]), ready(b'T')]));
    let closed = bare(b'3').repeat(2);
    let done = |tag| concat(&[closed.clone(), bare(b'1'), bare(b'2'), complete(tag)]);
    let back = concat(&[done("ROLLBACK"), done("RELEASE"), closed.clone()]);
    bench.server(&concat(&[back, ready(b'T')]));
    assert!(named(&bench.to_server).ends_with("B::dbproxy:1 E: S"));
}

#[test]
fn what_is_used_behind_a_change_in_the_batch_that_parses_it_is_parsed_again() {
    let mut bench = Bench::new();
    let makes = concat(&[
        parse("", "CREATE TEMP TABLE d ()"),
        bind("", ""),
        execute(""),
    ]);
    let parses = parse("s1", "SELECT 1");
    bench.client(&concat(&[parses, makes, uses()]));
    assert!(named(&bench.to_server).ends_with("B:: E: H"));
    let made = concat(&[bare(b'1'), bare(b'2'), complete("CREATE TABLE")]);
    bench.server(&concat(&[parsed(&[], &["a"]), made]));
    assert!(named(&bench.to_server).ends_with("P:dbproxy:2 D:S:dbproxy:2 H"));
}
