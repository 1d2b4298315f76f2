//! tokio-postgres with the pool of deadpool.

use std::env;

use deadpool_postgres::{Manager, Pool};
use drivers::{
    BATCH, BIG, BIG_RESULT, COPIED, Counts, FAIL, Failure, INSERT, KEPT, Outcome, clients, rounds,
    run,
};
use futures_util::{SinkExt, StreamExt, TryStreamExt, future::try_join_all, pin_mut};
use tokio_postgres::{Error, NoTls, error::SqlState};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let config = env::var("DATABASE_URL")?.parse()?;
    let size = usize::try_from(clients())?;
    let manager = Manager::new(config, NoTls);
    let pool = Pool::builder(manager).max_size(size).build()?;
    run(
        "tokio-postgres 0.7.18, deadpool-postgres 0.14.2",
        |number| client(pool.clone(), number),
    )
    .await;
    Ok(())
}

async fn client(pool: Pool, number: i32) -> Outcome {
    let mut counts = Counts::default();
    for turn in 0..rounds() {
        round(&pool, number, turn, &mut counts).await?;
    }
    for row in pool.get().await?.query(KEPT, &[&number]).await? {
        let kind: String = row.get(0);
        counts.add(&format!("{kind} rows"), row.get::<_, i64>(1));
        counts.add(&format!("{kind} sum"), row.get::<_, i64>(2));
    }
    Ok(counts)
}

async fn round(pool: &Pool, number: i32, turn: i32, counts: &mut Counts) -> Result<(), Failure> {
    let connection = pool.get().await?;
    let row = connection
        .query_one("SELECT $1::int + 1, $2::text", &[&turn, &"é"])
        .await?;
    counts.add(
        "parameters",
        row.get::<_, i32>(0) + row.get::<_, String>(1).len() as i32,
    );
    division(connection.query_one(FAIL, &[&0]).await.err(), counts)?;
    // Another text for each client, which stays prepared.
    let own = connection
        .prepare_cached(&format!("SELECT {number} + $1::int"))
        .await?;
    counts.add(
        "own text",
        connection.query_one(&own, &[&turn]).await?.get::<_, i32>(0),
    );
    drop(connection);

    let mut connection = pool.get().await?;
    let transaction = connection.transaction().await?;
    transaction
        .execute(INSERT, &[&number, &"commit", &turn])
        .await?;
    transaction.commit().await?;
    let transaction = connection.transaction().await?;
    transaction
        .execute(INSERT, &[&number, &"failed", &turn])
        .await?;
    division(transaction.query_one(FAIL, &[&0]).await.err(), counts)?;
    transaction.rollback().await?;
    drop(connection);

    let connection = pool.get().await?;
    let insert = connection.prepare(INSERT).await?;
    // At once, which is a pipeline.
    let values: Vec<i32> = (0..BATCH).collect();
    try_join_all(values.iter().map(|value| {
        let connection = &connection;
        let insert = &insert;
        async move {
            connection
                .execute(insert, &[&number, &"batch", value])
                .await
        }
    }))
    .await?;
    drop(connection);

    let connection = pool.get().await?;
    let rows = connection.query_raw(BIG_RESULT, [BIG]).await?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await? {
        counts.add(
            "big",
            row.get::<_, i32>(0) + row.get::<_, String>(1).len() as i32,
        );
    }
    drop(connection);

    let connection = pool.get().await?;
    let into = connection
        .copy_in("COPY work (client, kind, value) FROM STDIN")
        .await?;
    pin_mut!(into);
    for value in 0..COPIED {
        let line: &'static [u8] = format!("{number}\tcopy\t{value}\n").into_bytes().leak();
        into.send(line).await?;
    }
    counts.add("copied", into.finish().await? as i64);
    let mine = format!("COPY (SELECT 1 FROM work WHERE client = {number}) TO STDOUT");
    let out = connection.copy_out(&mine).await?;
    pin_mut!(out);
    while let Some(chunk) = out.next().await {
        counts.add("copied out", chunk?.len() as i64);
    }
    Ok(())
}

/// Count a division by zero; anything else ends the client.
fn division(error: Option<Error>, counts: &mut Counts) -> Result<(), Failure> {
    match error {
        Some(error) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
            counts.add("error 22012", 1);
            Ok(())
        }
        Some(error) => Err(error.into()),
        None => Err("nothing failed".into()),
    }
}
