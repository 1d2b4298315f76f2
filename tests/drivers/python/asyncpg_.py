"""asyncpg with its pool."""

import asyncio
import io

import asyncpg
from work import BATCH, BIG, CLIENTS, COPIED, ROUNDS, Counts, in_tasks

INSERT = "INSERT INTO work (client, kind, value) VALUES ($1, $2, $3)"


async def client(pool: asyncpg.Pool, number: int, counts: Counts) -> None:
    for turn in range(ROUNDS):
        row = await pool.fetchrow("SELECT $1::int + 1, $2::text", turn, "é")
        counts["parameters"] += row[0] + len(row[1])
        async with pool.acquire() as connection:
            try:
                await connection.fetchval("SELECT 1 / $1::int", 0)
            except asyncpg.DivisionByZeroError as error:
                counts[f"error {error.sqlstate}"] += 1
            counts["went on"] += await connection.fetchval("SELECT 1")
        async with pool.acquire() as connection:
            async with connection.transaction():
                await connection.execute(INSERT, number, "commit", turn)
                await connection.execute(INSERT, number, "commit", turn)
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(INSERT, number, "rollback", turn)
            await transaction.rollback()
        try:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(INSERT, number, "failed", turn)
                await connection.fetchval("SELECT 1 / $1::int", 0)
        except asyncpg.DivisionByZeroError as error:
            counts[f"error {error.sqlstate}"] += 1
        async with pool.acquire() as connection:
            await connection.executemany(INSERT, [(number, "batch", n) for n in range(BATCH)])
        async with pool.acquire() as connection, connection.transaction():
            big = "SELECT n, repeat('x', 100) FROM generate_series(1, $1) AS n"
            async for n, text in connection.cursor(big, BIG):
                counts["big"] += n + len(text)
        async with pool.acquire() as connection:
            rows = [(number, "copy", value) for value in range(COPIED)]
            columns = ["client", "kind", "value"]
            await connection.copy_records_to_table("work", records=rows, columns=columns)
            out = io.BytesIO()
            mine = "SELECT 1 FROM work WHERE client = $1"
            await connection.copy_from_query(mine, number, output=out)
            counts["copied"] += out.getvalue().count(b"\n")
    kept = "SELECT kind, count(*), sum(value) FROM work WHERE client = $1 GROUP BY kind"
    for kind, rows, total in await pool.fetch(kept, number):
        counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, int(total)


async def main() -> None:
    async with asyncpg.create_pool(min_size=CLIENTS) as pool:
        driver = f"asyncpg {asyncpg.__version__}"
        await in_tasks(driver, lambda number, counts: client(pool, number, counts))


asyncio.run(main())
