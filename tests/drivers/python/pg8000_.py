"""pg8000, which has no pool: eight connections."""

import io
import os

import pg8000
import pg8000.native
from work import BATCH, BIG, COPIED, ROUNDS, Counts, in_threads


def fail(connection: pg8000.native.Connection, counts: Counts) -> None:
    try:
        connection.run("SELECT 1 / CAST(:zero AS int)", zero=0)
    except pg8000.native.DatabaseError as error:
        counts[f"error {error.args[0]['C']}"] += 1


def insert(connection: pg8000.native.Connection, number: int, kind: str, value: int) -> None:
    text = "INSERT INTO work (client, kind, value) VALUES (:number, :kind, :value)"
    connection.run(text, number=number, kind=kind, value=value)


def client(number: int, counts: Counts) -> None:
    connection = pg8000.native.Connection(
        os.environ["PGUSER"],
        host=os.environ["PGHOST"],
        port=int(os.environ["PGPORT"]),
        password=os.environ["PGPASSWORD"],
        database=os.environ["PGDATABASE"],
    )
    connections.append(connection)
    # Another text for each client.
    prepared = connection.prepare(f"SELECT {number} + CAST(:n AS int)")
    for turn in range(ROUNDS):
        asked = "SELECT CAST(:n AS int) + 1, CAST(:t AS text)"
        row = connection.run(asked, n=turn, t="é")[0]
        counts["parameters"] += row[0] + len(row[1])
        counts["prepared"] += prepared.run(n=turn)[0][0]
        fail(connection, counts)
        connection.run("START TRANSACTION")
        insert(connection, number, "commit", turn)
        connection.run("COMMIT")
        connection.run("START TRANSACTION")
        insert(connection, number, "failed", turn)
        fail(connection, counts)
        connection.run("ROLLBACK")
        for value in range(BATCH):
            insert(connection, number, "many", value)
        big = "SELECT n, repeat('x', 100) FROM generate_series(1, CAST(:big AS int)) AS n"
        counts["big"] += sum(n + len(text) for n, text in connection.run(big, big=BIG))
        rows = [f"{number}\tcopy\t{value}\n" for value in range(COPIED)]
        connection.run("COPY work (client, kind, value) FROM STDIN", stream=rows)
        out = io.BytesIO()
        connection.run(f"COPY (SELECT 1 FROM work WHERE client = {number}) TO STDOUT", stream=out)
        counts["copied"] += out.getvalue().count(b"\n")
    kept = "SELECT kind, count(*), sum(value) FROM work WHERE client = :number GROUP BY kind"
    for kind, many, total in connection.run(kept, number=number):
        counts[f"{kind} rows"], counts[f"{kind} sum"] = many, int(total)


connections: list[pg8000.native.Connection] = []
in_threads(f"pg8000 {pg8000.__version__}", client)
