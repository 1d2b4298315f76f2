//! What the Rust programs share; the work and what they print is told in docs/drivers.md.

pub mod mysql;

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;

use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

pub const BIG: i32 = 2_000;
pub const BATCH: i32 = 10;
pub const COPIED: i32 = 50;
pub const INSERT: &str = "INSERT INTO work (client, kind, value) VALUES ($1, $2, $3)";
pub const FAIL: &str = "SELECT 1 / $1::int";
pub const BIG_RESULT: &str = "SELECT n, repeat('x', 100) FROM generate_series(1, $1) AS n";
pub const KEPT: &str =
    "SELECT kind, count(*), sum(value) FROM work WHERE client = $1 GROUP BY kind";

pub type Failure = Box<dyn Error + Send + Sync>;
pub type Outcome = Result<Counts, Failure>;

/// What one client has counted.
#[derive(Default)]
pub struct Counts(BTreeMap<String, i64>);

impl Counts {
    pub fn add(&mut self, what: &str, count: impl Into<i64>) {
        *self.0.entry(what.to_owned()).or_default() += count.into();
    }
}

pub fn rounds() -> i32 {
    number("ROUNDS")
}

pub fn clients() -> i32 {
    number("CLIENTS")
}

/// Run all clients at once, say what they counted, and stay until the input ends.
pub async fn run<F>(driver: &str, client: impl Fn(i32) -> F)
where
    F: Future<Output = Outcome> + Send + 'static,
{
    println!("driver {driver}");
    let mut all = JoinSet::new();
    for number in 0..clients() {
        let work = client(number);
        all.spawn(async move { (number, work.await) });
    }
    while let Some(done) = all.join_next().await {
        match done.expect("no client panics") {
            (number, Ok(Counts(counts))) => {
                for (what, count) in counts {
                    println!("{number} {what}={count}");
                }
            }
            (number, Err(error)) => println!("failed {number} {error:?}"),
        }
    }
    println!("done");
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
}

fn number(name: &str) -> i32 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{name} is no number"))
}
