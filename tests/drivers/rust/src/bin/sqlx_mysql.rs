//! sqlx with its pool, for MySQL and MariaDB.

use std::env;

use drivers::mysql::{ASKED, BIG_RESULT, BY_ID, INSERT, KEPT, NOWHERE, TYPED, TYPED_BACK, Typed};
use drivers::{BATCH, Counts, Failure, Outcome, clients, rounds, run};
use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::{Connection, Error, Row};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let pool = MySqlPoolOptions::new()
        .max_connections(u32::try_from(clients())?)
        .connect(&env::var("DATABASE_URL")?)
        .await?;
    run("sqlx 0.9.0 (mysql)", |number| client(pool.clone(), number)).await;
    Ok(())
}

async fn client(pool: MySqlPool, number: i32) -> Outcome {
    let mut counts = Counts::default();
    for turn in 0..rounds() {
        round(&pool, number, turn, &mut counts).await?;
        typed(&pool, number, &mut counts).await?;
    }
    for row in sqlx::query(KEPT).bind(number).fetch_all(&pool).await? {
        let kind: String = row.get(0);
        counts.add(&format!("{kind} rows"), row.get::<i64, _>(1));
        let sum: String = row.get(2);
        counts.add(&format!("{kind} sum"), sum.parse::<i64>()?);
    }
    Ok(counts)
}

async fn round(
    pool: &MySqlPool,
    number: i32,
    turn: i32,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let asked = sqlx::query(ASKED).bind(turn).bind("é");
    let row = asked.fetch_one(pool).await?;
    let words: String = row.get(1);
    counts.add("parameters", row.get::<i64, _>(0) + words.len() as i64);
    failing(sqlx::query(NOWHERE).fetch_all(pool).await.err(), counts)?;

    let mut transaction = pool.begin().await?;
    let insert = sqlx::query(INSERT).bind(number).bind("commit").bind(turn);
    let id = insert.execute(&mut *transaction).await?.last_insert_id();
    let found = sqlx::query(BY_ID).bind(id).fetch_one(&mut *transaction);
    counts.add("by id", found.await?.get::<i32, _>(0));
    transaction.commit().await?;

    let mut connection = pool.acquire().await?;
    // Dropped without a word: the driver rolls it back at its next use.
    let mut dropped = connection.begin().await?;
    let insert = sqlx::query(INSERT).bind(number).bind("dropped").bind(turn);
    insert.execute(&mut *dropped).await?;
    drop(dropped);
    drop(connection);

    let mut transaction = pool.begin().await?;
    for value in 0..BATCH {
        let insert = sqlx::query(INSERT).bind(number).bind("batch").bind(value);
        insert.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;

    let mut rows = sqlx::query(BIG_RESULT).fetch(pool);
    while let Some(row) = rows.try_next().await? {
        let text: String = row.get(1);
        counts.add("big", i64::from(row.get::<i32, _>(0)) + text.len() as i64);
    }
    Ok(())
}

async fn typed(pool: &MySqlPool, number: i32, counts: &mut Counts) -> Result<(), Failure> {
    let row = Typed::new();
    let insert = sqlx::query(TYPED)
        .bind(number)
        .bind(row.nothing)
        .bind(row.words)
        .bind(row.amount)
        .bind("2026-01-01 12:30:00.123456")
        .bind(row.big);
    let id = insert.execute(pool).await?.last_insert_id();
    let row = sqlx::query(TYPED_BACK).bind(id).fetch_one(pool).await?;
    let back = Typed {
        nothing: row.get(0),
        words: row.get(1),
        amount: row.get(2),
        big: row.get(4),
    };
    let moment: String = row.get(3);
    counts.add(&format!("{} {moment}", back.told()), 1);
    Ok(())
}

/// Count the error that was asked for; anything else ends the client.
fn failing(error: Option<Error>, counts: &mut Counts) -> Result<(), Failure> {
    match error {
        Some(Error::Database(error)) if error.code().as_deref() == Some("42S02") => {
            counts.add("error 42S02", 1);
            Ok(())
        }
        Some(error) => Err(error.into()),
        None => Err("nothing failed".into()),
    }
}
