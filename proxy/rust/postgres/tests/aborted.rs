//! The end of a virtual aborted transaction: the client rolls back what is gone already.

mod common;

use common::*;
use dbproxy_engine::{Session as _, Steps};

#[test]
fn the_rollback_of_a_transaction_lost_while_idle_is_one() {
    let mut bench = Bench::in_transaction();
    bench.lose();
    bench.client(&query("ROLLBACK"));
    assert_eq!(bench.told(), "C:ROLLBACK Z:I");
}

#[test]
fn a_text_that_begins_with_rollback_runs_where_there_is_nothing_to_roll_back() {
    let mut bench = Bench::in_transaction();
    bench.lose();
    bench.idle = vec![link()];
    assert_eq!(
        bench.client(&query("ROLLBACK; SELECT 1")),
        "Q:ROLLBACK; SELECT 1"
    );
}

#[test]
fn the_extended_protocol_is_skipped_to_its_sync() {
    let mut bench = Bench::in_transaction();
    bench.client(&concat(&[run("INSERT INTO t VALUES ($1)"), sync()]));
    bench.lose();
    assert_eq!(bench.told(), "E:40001 Z:E");
    bench.client(&concat(&[run("INSERT INTO t VALUES ($1)"), sync()]));
    assert_eq!(bench.told(), "E:25P02 Z:E");
    bench.client(&concat(&[
        parse("", "ROLLBACK"),
        bind("", ""),
        describe("P"),
        execute(""),
        sync(),
    ]));
    assert_eq!(bench.told(), "1 2 n C:ROLLBACK Z:I");
}

#[test]
fn a_statement_that_rolls_back_and_has_a_name_is_prepared_where_it_is_used() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("SELECT 1"));
    bench.lose();
    bench.told();
    bench.idle = vec![link()];
    let rollback = concat(&[
        parse("S_7", "ROLLBACK"),
        bind("", "S_7"),
        execute(""),
        sync(),
    ]);
    assert_eq!(bench.client(&rollback), "P:dbproxy:1 D B E S");
    assert_eq!(bench.told(), "");
}

#[test]
fn nothing_of_another_name_is_answered_as_the_rollback() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("SELECT 1"));
    bench.lose();
    bench.told();
    bench.client(&concat(&[
        parse("", "ROLLBACK"),
        bind("", "S_7"),
        execute(""),
        sync(),
    ]));
    assert_eq!(bench.told(), "1 E:25P02 Z:E");
}

#[test]
fn a_rollback_that_comes_slowly_is_waited_for() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("SELECT 1"));
    bench.lose();
    bench.told();
    let mut steps = Steps::new();
    let (session, memory) = (&mut bench.session, &mut bench.memory);
    let used = session.feed_client(&query("ROLLBACK")[..8], None, memory, 0, &mut steps);
    assert_eq!((used, steps.len()), (0, 0));
}
