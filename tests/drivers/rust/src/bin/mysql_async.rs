//! mysql_async with its pool.

use std::env;

use drivers::mysql::{ASKED, BIG_RESULT, BY_ID, INSERT, KEPT, NOWHERE, TYPED, TYPED_BACK, Typed};
use drivers::{BATCH, Counts, Failure, Outcome, clients, rounds, run};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts, TxOpts};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let size = usize::try_from(clients())?;
    let constraints = PoolConstraints::new(size, size).ok_or("no clients")?;
    let opts = Opts::from_url(&env::var("DATABASE_URL")?)?;
    let opts =
        OptsBuilder::from_opts(opts).pool_opts(PoolOpts::default().with_constraints(constraints));
    let pool = Pool::new(opts);
    run("mysql_async 0.37.1", |number| client(pool.clone(), number)).await;
    pool.disconnect().await?;
    Ok(())
}

async fn client(pool: Pool, number: i32) -> Outcome {
    let mut counts = Counts::default();
    for turn in 0..rounds() {
        round(&pool, number, turn, &mut counts).await?;
    }
    let mut connection = pool.get_conn().await?;
    let kept: Vec<(String, i64, String)> = connection.exec(KEPT, (number,)).await?;
    for (kind, rows, sum) in kept {
        counts.add(&format!("{kind} rows"), rows);
        counts.add(&format!("{kind} sum"), sum.parse::<i64>()?);
    }
    Ok(counts)
}

async fn round(pool: &Pool, number: i32, turn: i32, counts: &mut Counts) -> Result<(), Failure> {
    let mut connection = pool.get_conn().await?;
    let asked: Option<(i64, String)> = connection.exec_first(ASKED, (turn, "é")).await?;
    let (n, words) = asked.ok_or("no row")?;
    counts.add("parameters", n + words.len() as i64);
    failing(&mut connection, counts).await?;
    drop(connection);

    let mut transaction = pool.start_transaction(TxOpts::default()).await?;
    transaction
        .exec_drop(INSERT, (number, "commit", turn))
        .await?;
    let id = transaction.last_insert_id();
    let value: Option<i64> = transaction.exec_first(BY_ID, (id,)).await?;
    counts.add("by id", value.unwrap_or(-1));
    transaction.commit().await?;
    // Dropped without a word: the pool rolls it back.
    let mut dropped = pool.start_transaction(TxOpts::default()).await?;
    dropped.exec_drop(INSERT, (number, "dropped", turn)).await?;
    drop(dropped);

    let mut connection = pool.get_conn().await?;
    let batch = (0..BATCH).map(|value| (number, "batch", value));
    connection.exec_batch(INSERT, batch).await?;
    let typed = Typed::new();
    let row = (
        number,
        typed.nothing,
        &typed.words,
        &typed.amount,
        "2026-01-01 12:30:00.123456",
        &typed.big,
    );
    connection.exec_drop(TYPED, row).await?;
    let id = connection.last_insert_id();
    let back: Option<(Option<i32>, String, String, String, String)> =
        connection.exec_first(TYPED_BACK, (id,)).await?;
    let (nothing, words, amount, moment, big) = back.ok_or("no row")?;
    let back = Typed {
        nothing,
        words,
        amount,
        big,
    };
    counts.add(&format!("{} {moment}", back.told()), 1);
    connection
        .query_iter(BIG_RESULT)
        .await?
        .for_each(|row| {
            let (n, text): (i64, String) = mysql_async::from_row(row);
            counts.add("big", n + text.len() as i64);
        })
        .await?;
    Ok(())
}

async fn failing(connection: &mut Conn, counts: &mut Counts) -> Result<(), Failure> {
    match connection.query_drop(NOWHERE).await {
        Err(Error::Server(error)) if error.code == 1146 => counts.add("error 1146", 1),
        Err(error) => return Err(error.into()),
        Ok(()) => return Err("nothing failed".into()),
    }
    Ok(())
}
