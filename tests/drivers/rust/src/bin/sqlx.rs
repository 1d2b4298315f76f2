//! sqlx with its pool.

use std::env;

use drivers::{
    BATCH, BIG, BIG_RESULT, COPIED, Counts, FAIL, Failure, INSERT, KEPT, Outcome, clients, rounds,
    run,
};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection, Error, Row};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let size = u32::try_from(clients())?;
    let url = env::var("DATABASE_URL")?;
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .connect(&url)
        .await?;
    run("sqlx 0.9.0", |number| client(pool.clone(), number)).await;
    Ok(())
}

async fn client(pool: PgPool, number: i32) -> Outcome {
    let mut counts = Counts::default();
    for turn in 0..rounds() {
        round(&pool, number, turn, &mut counts).await?;
    }
    for row in sqlx::query(KEPT).bind(number).fetch_all(&pool).await? {
        let kind: String = row.get(0);
        counts.add(&format!("{kind} rows"), row.get::<i64, _>(1));
        counts.add(&format!("{kind} sum"), row.get::<i64, _>(2));
    }
    Ok(counts)
}

async fn round(pool: &PgPool, number: i32, turn: i32, counts: &mut Counts) -> Result<(), Failure> {
    let asked = sqlx::query("SELECT $1::int + 1, $2::text")
        .bind(turn)
        .bind("é");
    let row = asked.fetch_one(pool).await?;
    counts.add(
        "parameters",
        row.get::<i32, _>(0) + row.get::<String, _>(1).len() as i32,
    );
    division(
        sqlx::query(FAIL).bind(0).fetch_one(pool).await.err(),
        counts,
    )?;

    let mut transaction = pool.begin().await?;
    sqlx::query(INSERT)
        .bind(number)
        .bind("commit")
        .bind(turn)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;

    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    sqlx::query(INSERT)
        .bind(number)
        .bind("failed")
        .bind(turn)
        .execute(&mut *transaction)
        .await?;
    let failed = sqlx::query(FAIL).bind(0).fetch_one(&mut *transaction).await;
    division(failed.err(), counts)?;
    transaction.rollback().await?;
    // Dropped without a word: the driver rolls it back at its next use.
    let mut dropped = connection.begin().await?;
    sqlx::query(INSERT)
        .bind(number)
        .bind("dropped")
        .bind(turn)
        .execute(&mut *dropped)
        .await?;
    drop(dropped);
    drop(connection);

    let mut transaction = pool.begin().await?;
    for value in 0..BATCH {
        let insert = sqlx::query(INSERT).bind(number).bind("batch").bind(value);
        insert.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;

    let mut rows = sqlx::query(BIG_RESULT).bind(BIG).fetch(pool);
    while let Some(row) = rows.try_next().await? {
        counts.add(
            "big",
            row.get::<i32, _>(0) + row.get::<String, _>(1).len() as i32,
        );
    }
    drop(rows);

    let mut connection = pool.acquire().await?;
    let mut into = connection
        .copy_in_raw("COPY work (client, kind, value) FROM STDIN")
        .await?;
    for value in 0..COPIED {
        into.send(format!("{number}\tcopy\t{value}\n").into_bytes())
            .await?;
    }
    counts.add("copied", into.finish().await? as i64);
    Ok(())
}

/// Count a division by zero; anything else ends the client.
fn division(error: Option<Error>, counts: &mut Counts) -> Result<(), Failure> {
    match error {
        Some(Error::Database(error)) if error.code().as_deref() == Some("22012") => {
            counts.add("error 22012", 1);
            Ok(())
        }
        Some(error) => Err(error.into()),
        None => Err("nothing failed".into()),
    }
}
