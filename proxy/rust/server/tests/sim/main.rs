//! The fleet under seeds: thousands of runs of whole proxies with databases, clients and faults, each
//! reproducible. `SEED=n cargo test --test sim replay -- --nocapture` shows one with its trace.

mod answers;
mod backend;
mod clients;
mod database;
mod desired;
mod drains;
mod faults;
mod fleet;
mod holding;
mod judge;
mod listening;
mod notes;
mod order;
mod plan;
mod prepared;
mod room;
mod scenes;
mod script;
mod setting;
mod sockets;
mod summary;
mod wire;
mod witness;
mod yields;

use std::panic::{catch_unwind, AssertUnwindSafe};

use fleet::{Failure, Fleet};
use summary::Summary;

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 2000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64, traced: bool) -> Result<Summary, Failure> {
    let outcome = catch_unwind(AssertUnwindSafe(|| Fleet::new(seed, traced).run()));
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
fn report(seed: u64) -> String {
    let Err(failure) = run(seed, true) else {
        return format!("seed {seed} failed once and not again: the run isn't deterministic");
    };
    let trace = failure.trace.join("\n");
    let violations = failure.violations.join("\n  ");
    format!("{trace}\nseed {seed}:\n  {violations}\nreplay with SEED={seed}")
}

/// What became of some seeds.
#[derive(Default)]
struct Tally {
    sum: Summary,
    failed: Vec<(u64, Vec<String>)>,
}

fn tally(seeds: impl Iterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        match run(seed, false) {
            Ok(summary) => tally.sum.add(&summary),
            Err(failure) => tally.failed.push((seed, failure.violations)),
        }
    }
    tally
}

#[test]
fn every_invariant_holds_under_every_seed() {
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let first = number("FIRST_SEED").unwrap_or(0);
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    let mine = |thread: u64| (first + thread..first + seeds).step_by(threads as usize);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let part = |thread| scope.spawn(move || tally(mine(thread)));
        let parts: Vec<_> = (0..threads).map(part).collect();
        let ended = parts.into_iter().map(|part| part.join().expect("a part"));
        ended.collect()
    });
    let mut sum = Summary::default();
    tallies.iter().for_each(|tally| sum.add(&tally.sum));
    println!("{sum:?}");
    let failed: Vec<_> = tallies.iter().flat_map(|tally| &tally.failed).collect();
    for (seed, violations) in &failed {
        let first = violations.first().map_or("", String::as_str);
        println!("seed {seed}: {first}");
    }
    if let Some((seed, _)) = failed.first() {
        let (count, report) = (failed.len(), report(*seed));
        panic!("{count} of {seeds} seeds failed\n{report}");
    }
    // Otherwise the runs prove nothing.
    assert!(seeds < SEEDS || sum.is_telling(), "{sum:?}");
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..5 {
        let turns = || run(seed, false).map(|summary| summary.turns).ok();
        assert_eq!(turns(), turns(), "seed {seed}");
    }
}

/// Shows one seed (`SEED=n`); without one there is nothing to show.
#[test]
fn replay() {
    let Some(seed) = number("SEED") else {
        return;
    };
    match run(seed, true) {
        Ok(summary) => println!("seed {seed}: {summary:?}"),
        Err(_) => panic!("{}", report(seed)),
    }
}
