"""psycopg2 with its pool."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2.extras import execute_batch, execute_values
from psycopg2.pool import ThreadedConnectionPool
from work import BATCH, BIG, CLIENTS, COPIED, ROUNDS, Counts, in_threads

INSERT = "INSERT INTO work (client, kind, value) VALUES (%s, %s, %s)"


@contextlib.contextmanager
def taken() -> Iterator[tuple[Any, Any]]:
    """A connection of the pool in a transaction, and a cursor of it."""
    connection = pool.getconn()
    try:
        with connection, connection.cursor() as cursor:
            yield connection, cursor
    finally:
        pool.putconn(connection)


def client(number: int, counts: Counts) -> None:
    for turn in range(ROUNDS):
        with taken() as (_, cursor):
            cursor.execute("SELECT %s::int + 1, %s::text", (turn, "é"))
            row = cursor.fetchone()
            counts["parameters"] += row[0] + len(row[1])
        with taken() as (connection, cursor):
            try:
                cursor.execute("SELECT 1 / %s::int", (0,))
            except psycopg2.Error as error:
                counts[f"error {error.pgcode}"] += 1
            connection.rollback()
            cursor.execute("SELECT 1")
            counts["went on"] += cursor.fetchone()[0]
        with taken() as (connection, cursor):
            cursor.execute(INSERT, (number, "commit", turn))
            cursor.execute(INSERT, (number, "commit", turn))
            connection.commit()
            cursor.execute(INSERT, (number, "rollback", turn))
            connection.rollback()
        with taken() as (_, cursor):
            execute_batch(cursor, INSERT, [(number, "batch", value) for value in range(BATCH)])
            values = [(number, "values", value) for value in range(BATCH)]
            execute_values(cursor, "INSERT INTO work (client, kind, value) VALUES %s", values)
        with taken() as (connection, _), connection.cursor(name="big") as cursor:
            cursor.execute("SELECT n, repeat('x', 100) FROM generate_series(1, %s) AS n", (BIG,))
            counts["big"] += sum(n + len(text) for n, text in cursor)
        with taken() as (_, cursor):
            text = io.StringIO("".join(f"{number}\tcopy\t{value}\n" for value in range(COPIED)))
            cursor.copy_expert("COPY work (client, kind, value) FROM STDIN", text)
            out = io.StringIO()
            cursor.copy_expert(f"COPY (SELECT 1 FROM work WHERE client = {number}) TO STDOUT", out)
            counts["copied"] += out.getvalue().count("\n")
    with taken() as (_, cursor):
        kept = "SELECT kind, count(*), sum(value) FROM work WHERE client = %s GROUP BY kind"
        cursor.execute(kept, (number,))
        for kind, rows, total in cursor:
            counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, int(total)


pool = ThreadedConnectionPool(CLIENTS, CLIENTS, "")
in_threads(f"psycopg2 {psycopg2.__version__.split()[0]}", client)
pool.closeall()
