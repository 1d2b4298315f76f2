//! The fleet under seeds: thousands of runs of whole proxies with databases, clients and faults, each
//! reproducible. `SEED=n cargo test --test sim replay -- --nocapture` shows one with its trace, of
//! PostgreSQL's or, with `ENGINE=mysql`, of MySQL's.
//!
//! What doesn't speak is here: the network's hosts, faults, who waits for whom. `postgres` and `mysql` have the
//! databases' and the clients' parts, and judge what those hear.

mod cancels;
mod clients;
mod database;
mod desired;
mod drains;
mod faults;
mod fleet;
mod model;
mod mysql;
mod notes;
mod order;
mod peer;
mod plan;
mod postgres;
mod room;
mod sockets;
mod speaker;
mod summary;
mod witness;

use std::panic::{catch_unwind, AssertUnwindSafe};

use dbproxy_engine::Engine;
use dbproxy_mysql::MySql;
use dbproxy_postgres::Postgres;

use fleet::{Failure, Fleet};
use model::Model;
use summary::Summary;

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 2000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run<M: Model>(seed: u64, traced: bool) -> Result<Summary, Failure> {
    let outcome = catch_unwind(AssertUnwindSafe(|| Fleet::<M>::new(seed, traced).run()));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
        Err(Failure {
            violations: vec![format!("panic: {}", text.unwrap_or_default())],
            trace: Vec::new(),
        })
    })
}

/// Says how a seed failed, with the tail of its trace.
fn report<M: Model>(seed: u64) -> String {
    let Err(failure) = run::<M>(seed, true) else {
        return format!("seed {seed} failed once and not again: the run isn't deterministic");
    };
    let trace = failure.trace.join("\n");
    let violations = failure.violations.join("\n  ");
    format!(
        "{trace}\nseed {seed}:\n  {violations}\nreplay with ENGINE={} SEED={seed}",
        M::NAME
    )
}

/// What became of some seeds.
#[derive(Default)]
struct Tally {
    sum: Summary,
    failed: Vec<(u64, Vec<String>)>,
}

fn tally<M: Model>(seeds: impl Iterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        match run::<M>(seed, false) {
            Ok(summary) => tally.sum.add(&summary),
            Err(failure) => tally.failed.push((seed, failure.violations)),
        }
    }
    tally
}

fn every_invariant_holds<M: Model>() {
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let first = number("FIRST_SEED").unwrap_or(0);
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    let mine = |thread: u64| (first + thread..first + seeds).step_by(threads as usize);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let part = |thread| scope.spawn(move || tally::<M>(mine(thread)));
        let parts: Vec<_> = (0..threads).map(part).collect();
        let ended = parts.into_iter().map(|part| part.join().expect("a part"));
        ended.collect()
    });
    let mut sum = Summary::default();
    tallies.iter().for_each(|tally| sum.add(&tally.sum));
    println!("{} {sum:?}", M::NAME);
    let failed: Vec<_> = tallies.iter().flat_map(|tally| &tally.failed).collect();
    for (seed, violations) in &failed {
        let first = violations.first().map_or("", String::as_str);
        println!("{} seed {seed}: {first}", M::NAME);
    }
    if let Some((seed, _)) = failed.first() {
        let (count, report) = (failed.len(), report::<M>(*seed));
        panic!("{count} of {seeds} seeds failed\n{report}");
    }
    // Otherwise the runs prove nothing.
    let lacking = sum.lacking(M::NEVER);
    assert!(
        seeds < SEEDS || lacking.is_empty(),
        "no {lacking:?}: {sum:?}"
    );
}

fn a_seed_gives_the_same_run<M: Model>() {
    for seed in 0..5 {
        let turns = || run::<M>(seed, false).map(|summary| summary.turns).ok();
        assert_eq!(turns(), turns(), "seed {seed}");
    }
}

fn show<M: Model>(seed: u64) {
    match run::<M>(seed, true) {
        Ok(summary) => println!("seed {seed}: {summary:?}"),
        Err(_) => panic!("{}", report::<M>(seed)),
    }
}

#[test]
fn every_invariant_holds_under_every_seed() {
    every_invariant_holds::<Postgres>();
}

#[test]
fn every_invariant_holds_under_every_seed_of_mysql() {
    every_invariant_holds::<MySql>();
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    a_seed_gives_the_same_run::<Postgres>();
    a_seed_gives_the_same_run::<MySql>();
}

/// Shows one seed (`SEED=n`); without one there is nothing to show.
#[test]
fn replay() {
    let Some(seed) = number("SEED") else {
        return;
    };
    let engine = std::env::var("ENGINE").unwrap_or_default();
    match engine.eq_ignore_ascii_case(MySql::NAME) {
        true => show::<MySql>(seed),
        false => show::<Postgres>(seed),
    }
}
