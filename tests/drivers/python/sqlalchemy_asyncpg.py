"""SQLAlchemy's core over asyncpg, with its pool."""

import asyncio
import os

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from work import BATCH, BIG, CLIENTS, ROUNDS, Counts, in_tasks

columns = [sa.Column(name, sa.Integer) for name in ("client", "value")]
work = sa.Table("work", sa.MetaData(), sa.Column("kind", sa.Text), *columns)


async def client(engine: AsyncEngine, number: int, counts: Counts) -> None:
    for turn in range(ROUNDS):
        async with engine.connect() as connection:
            parameters = {"number": turn, "text": "é"}
            asked = sa.text("SELECT CAST(:number AS int) + 1, CAST(:text AS text)")
            row = (await connection.execute(asked, parameters)).one()
            counts["parameters"] += row[0] + len(row[1])
        async with engine.connect() as connection:
            try:
                await connection.execute(sa.text("SELECT 1 / CAST(:zero AS int)"), {"zero": 0})
            except DBAPIError as error:
                counts[f"error {error.orig.sqlstate}"] += 1
            await connection.rollback()
            counts["went on"] += await connection.scalar(sa.text("SELECT 1"))
        async with engine.connect() as connection:
            await connection.execute(work.insert().values(client=number, kind="commit", value=turn))
            await connection.commit()
            await connection.execute(work.insert().values(client=number, kind="undone", value=turn))
            await connection.rollback()
        async with engine.begin() as connection:
            rows = [{"client": number, "kind": "many", "value": n} for n in range(BATCH)]
            await connection.execute(work.insert(), rows)
        async with engine.connect() as connection:
            big = sa.text("SELECT n, repeat('x', 100) FROM generate_series(1, :big) AS n")
            async for n, text in await connection.stream(big, {"big": BIG}):
                counts["big"] += n + len(text)
    async with engine.connect() as connection:
        kept = sa.select(work.c.kind, sa.func.count(), sa.func.sum(work.c.value))
        mine = kept.where(work.c.client == number).group_by(work.c.kind)
        for kind, rows, total in await connection.execute(mine):
            counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, int(total)


async def main() -> None:
    url = os.environ["DATABASE_URL"].replace("postgres://", "postgresql+asyncpg://")
    engine = create_async_engine(url, pool_size=CLIENTS)
    driver = f"SQLAlchemy {sa.__version__} (asyncpg)"
    await in_tasks(driver, lambda number, counts: client(engine, number, counts))
    await engine.dispose()


asyncio.run(main())
