"""The work of aiomysql and asyncmy, which have the same pool."""

from typing import Any

import mysql_work as sql
from work import BATCH, CLIENTS, ROUNDS, Counts, in_tasks


async def work(driver: str, library: Any, error: type[Exception], streaming: Any) -> None:
    """All clients at it; `streaming` is a cursor that doesn't fetch everything at once."""
    async with library.create_pool(
        minsize=CLIENTS, maxsize=CLIENTS, db=sql.DATABASE, **sql.WHERE
    ) as pool:

        async def client(number: int, counts: Counts) -> None:
            for turn in range(ROUNDS):
                await _round(pool, number, turn, counts, error)
                await _batch(pool, number, turn, counts, streaming)
            await _kept(pool, number, counts)

        await in_tasks(driver, client)


async def _round(
    pool: Any, number: int, turn: int, counts: Counts, expected: type[Exception]
) -> None:
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute(sql.ASKED, (turn, "é"))
        row = await cursor.fetchone()
        counts["parameters"] += row[0] + len(row[1])
        try:
            await cursor.execute(sql.NOWHERE)
        except expected as error:
            counts[f"error {error.args[0]}"] += 1
        await connection.rollback()
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await connection.begin()
        await cursor.execute(sql.INSERT, (number, "commit", turn))
        await cursor.execute(sql.BY_ID, (cursor.lastrowid,))
        counts["by id"] += await cursor.fetchone() == (number, "commit", turn)
        await connection.commit()
        await cursor.execute(sql.INSERT, (number, "rollback", turn))
        await connection.rollback()
        await connection.autocommit(True)
        await cursor.execute(sql.INSERT, (number, "autocommit", turn))
        inserted = cursor.lastrowid
        await cursor.execute("SELECT LAST_INSERT_ID()")
        counts["id told"] += await cursor.fetchone() == (inserted,)
        await connection.autocommit(False)


async def _batch(pool: Any, number: int, turn: int, counts: Counts, streaming: Any) -> None:
    async with pool.acquire() as connection, connection.cursor() as cursor:
        rows = [(number, "batch", value) for value in range(BATCH)]
        await cursor.executemany(sql.INSERT, rows)
        counts["batch rows told"] += cursor.rowcount
        await connection.commit()
        await cursor.execute(sql.TYPED, sql.typed(number, turn))
        await cursor.execute(sql.TYPED_BACK, (cursor.lastrowid, number))
        counts[sql.told(await cursor.fetchone())] += 1
        await cursor.execute(sql.UPDATE, (number,))
        counts["updated"] += cursor.rowcount
        await connection.commit()
    async with pool.acquire() as connection, connection.cursor(streaming) as cursor:
        await cursor.execute(sql.BIG_RESULT)
        async for n, text in cursor:
            counts["big"] += n + len(text)
        await connection.commit()


async def _kept(pool: Any, number: int, counts: Counts) -> None:
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute(sql.KEPT, (number,))
        for kind, rows, total in await cursor.fetchall():
            counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, int(total)
        await connection.commit()
