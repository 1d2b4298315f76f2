"""psycopg 3 with its pool."""

import psycopg
from psycopg_pool import ConnectionPool
from work import BATCH, BIG, CLIENTS, COPIED, ROUNDS, Counts, in_threads

INSERT = "INSERT INTO work (client, kind, value) VALUES (%s, %s, %s)"


def client(number: int, counts: Counts) -> None:
    for turn in range(ROUNDS):
        with pool.connection() as connection:
            row = connection.execute("SELECT %s::int + 1, %s::text", (turn, "é")).fetchone()
            counts["parameters"] += row[0] + len(row[1])
        with pool.connection() as connection:
            connection.autocommit = True
            try:
                connection.execute("SELECT 1 / %s::int", (0,))
            except psycopg.errors.DivisionByZero as error:
                counts[f"error {error.sqlstate}"] += 1
            counts["went on"] += connection.execute("SELECT 1").fetchone()[0]
            connection.autocommit = False
        with pool.connection() as connection:
            with connection.transaction():
                connection.execute(INSERT, (number, "commit", turn))
                connection.execute(INSERT, (number, "commit", turn))
            with connection.transaction(force_rollback=True):
                connection.execute(INSERT, (number, "rollback", turn))
        try:
            with pool.connection() as connection:
                connection.execute(INSERT, (number, "failed", turn))
                connection.execute("SELECT 1 / %s::int", (0,))
        except psycopg.errors.DivisionByZero as error:
            counts[f"error {error.sqlstate}"] += 1
        with pool.connection() as connection, connection.cursor() as cursor:
            cursor.executemany(INSERT, [(number, "batch", value) for value in range(BATCH)])
        with pool.connection() as connection, connection.pipeline():
            for value in range(BATCH):
                connection.execute(INSERT, (number, "pipeline", value))
        with pool.connection() as connection:
            big = "SELECT n, repeat('x', 100) FROM generate_series(1, %s) AS n"
            counts["big"] += sum(n + len(text) for n, text in connection.execute(big, (BIG,)))
        with pool.connection() as connection, connection.cursor() as cursor:
            with cursor.copy("COPY work (client, kind, value) FROM STDIN") as copy:
                for value in range(COPIED):
                    copy.write_row((number, "copy", value))
            with cursor.copy(f"COPY (SELECT * FROM work WHERE client = {number}) TO STDOUT") as out:
                counts["copied"] += sum(1 for _ in out.rows())
    with pool.connection() as connection:
        kept = "SELECT kind, count(*), sum(value) FROM work WHERE client = %s GROUP BY kind"
        for kind, rows, total in connection.execute(kept, (number,)):
            counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, int(total)


with ConnectionPool(min_size=CLIENTS) as pool:
    in_threads(f"psycopg {psycopg.__version__}", client)
