//! The unnamed statement of a request that ends before it is used: kept for a later one, on whichever
//! backend.

mod common;

use common::prepared::{described, named, parsed, DATE};
use common::*;
use dbproxy_engine::{PinReason, Release};

/// A client that parsed `SELECT 1` and let its backend go before it used that.
fn waiting() -> Bench {
    let mut bench = Bench::new();
    let sent = bench.client(&concat(&[parse("", "SELECT 1"), describe("S"), sync()]));
    assert_eq!(sent, "P D D S");
    let columns = described(&[], &["a"]);
    bench.server(&concat(&[
        bare(b'1'),
        columns.clone(),
        columns,
        ready(b'I'),
    ]));
    assert_eq!(bench.told(), "1 t T Z:I");
    assert_eq!(bench.released, [Release::Clean]);
    bench
}

fn uses() -> Vec<u8> {
    concat(&[bind("", ""), execute(""), sync()])
}

#[test]
fn an_unnamed_statement_that_waits_for_its_use_is_used_where_it_was_parsed() {
    let mut bench = waiting();
    assert_eq!(bench.client(&uses()), "B E S");
    assert_eq!(bench.pin(), None);
}

#[test]
fn an_unnamed_statement_that_waits_for_its_use_is_shared_elsewhere() {
    let mut bench = waiting();
    bench.idle = vec![link()];
    assert_eq!(bench.client(&uses()), "P:dbproxy:1 D H");
    bench.server(&parsed(&[], &["a"]));
    assert!(named(&bench.to_server).ends_with("H B::dbproxy:1 E: S"));
    let ran = concat(&[bare(b'2'), complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&ran), "2 C:SELECT 1 Z:I");
    assert_eq!(bench.pin(), None);
    assert_eq!(bench.released.last(), Some(&Release::Clean));
}

#[test]
fn an_unnamed_statement_that_has_other_columns_elsewhere_is_refused() {
    let mut bench = waiting();
    bench.idle = vec![link()];
    bench.client(&uses());
    bench.server(&parsed(&[], &["b"]));
    assert!(named(&bench.to_server).ends_with("H B::dbproxy:? E: S"));
    let refused = concat(&[error("ERROR", "26000"), ready(b'I')]);
    assert_eq!(bench.server(&refused), "E:0A000 Z:I");
}

#[test]
fn an_unnamed_statement_that_waits_for_its_use_is_destroyed_by_a_query() {
    let mut bench = waiting();
    bench.client(&query("SELECT 2"));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    bench.idle = vec![link()];
    assert_eq!(bench.client(&uses()), "B E S");
}

#[test]
fn an_unnamed_statement_that_waits_for_its_use_under_a_local_setting_pins() {
    let mut bench = Bench::new();
    bench.client(&query("BEGIN; SET LOCAL search_path = a"));
    bench.server(&concat(&[complete("BEGIN"), complete("SET"), ready(b'T')]));
    bench.client(&concat(&[parse("", DATE), sync()]));
    assert_eq!(bench.pin(), Some(PinReason::UnnamedStatement));
}

#[test]
fn what_is_executed_behind_its_parse_leaves_nothing_to_ask_about_it() {
    let mut bench = Bench::new();
    let inserts = parse("s", "INSERT INTO d VALUES (1)");
    let inserts = concat(&[inserts, bind("p", "s"), execute("p")]);
    bench.client(&concat(&[parse("", "SELECT a FROM t"), inserts, sync()]));
    assert!(!named(&bench.to_server).contains("D:S: "));
    assert_eq!(bench.pin(), Some(PinReason::UnnamedStatement));
}

#[test]
fn one_of_an_earlier_batch_that_deallocates_all_is_waited_for() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("s", "SELECT 1"), sync()]));
    bench.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    bench.client(&concat(&[query("BEGIN")]));
    bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
    bench.client(&concat(&[parse("", "DEALLOCATE ALL"), sync()]));
    bench.server(&concat(&[bare(b'1'), described(&[], &[]), ready(b'T')]));
    bench.client(&concat(&[uses_all(), parse("s", "SELECT 2"), sync()]));
    assert!(named(&bench.to_server).ends_with("B:: E: H"));
    bench.server(&concat(&[bare(b'2'), complete("DEALLOCATE ALL")]));
    assert!(named(&bench.to_server).ends_with("D:S:dbproxy:2 S"));
}

fn uses_all() -> Vec<u8> {
    concat(&[bind("", ""), execute("")])
}

#[test]
fn one_that_is_shared_elsewhere_outlives_what_deallocates_all_in_front_of_it() {
    let mut bench = waiting();
    bench.idle = vec![link()];
    let frees = parse("d", "DEALLOCATE ALL");
    let frees = concat(&[frees, bind("p", "d"), execute("p")]);
    bench.client(&concat(&[frees, uses()]));
    bench.server(&parsed(&[], &[]));
    assert!(named(&bench.to_server).ends_with("B:p:dbproxy:1 E:p H"));
    bench.server(&concat(&[bare(b'2'), complete("DEALLOCATE ALL")]));
    assert!(named(&bench.to_server).ends_with("H P: B:: E: S"));
}
