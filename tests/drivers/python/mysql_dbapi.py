"""The work of drivers with Python's DB-API, which have no pool: each client has a connection."""

from collections.abc import Callable
from typing import Any

import mysql_work as sql
from work import BATCH, CLIENTS, ROUNDS, Counts, in_threads


def work(
    driver: str,
    connect: Any,
    error: type[Exception],
    streaming: dict[str, Any],
    more: Callable[[Any, int, Counts], None] = lambda connection, turn, counts: None,
) -> None:
    """All clients at it; `streaming` makes a cursor that doesn't fetch everything at once."""
    connections = [connect() for _ in range(CLIENTS)]

    def client(number: int, counts: Counts) -> None:
        for turn in range(ROUNDS):
            _round(connections[number], number, turn, counts, error)
            _one_by_one(connections[number], number, turn, counts)
            _big(connections[number], counts, streaming)
            more(connections[number], turn, counts)
        _kept(connections[number], number, counts)

    in_threads(driver, client)


def _round(
    connection: Any, number: int, turn: int, counts: Counts, expected: type[Exception]
) -> None:
    cursor = connection.cursor()
    cursor.execute(sql.ASKED, (turn, "é"))
    row = cursor.fetchone()
    counts["parameters"] += row[0] + len(row[1])
    try:
        cursor.execute(sql.NOWHERE)
    except expected as error:
        counts[f"error {error.args[0]}"] += 1
    connection.rollback()
    cursor.execute(sql.INSERT, (number, "commit", turn))
    cursor.execute(sql.BY_ID, (cursor.lastrowid,))
    counts["by id"] += cursor.fetchone() == (number, "commit", turn)
    connection.commit()
    cursor.execute(sql.INSERT, (number, "rollback", turn))
    connection.rollback()
    cursor.executemany(sql.INSERT, [(number, "batch", value) for value in range(BATCH)])
    counts["batch rows told"] += cursor.rowcount
    connection.commit()
    cursor.execute(sql.TYPED, sql.typed(number, turn))
    cursor.execute(sql.TYPED_BACK, (cursor.lastrowid, number))
    counts[sql.told(cursor.fetchone())] += 1
    connection.commit()
    cursor.execute(sql.UPDATE, (number,))
    counts["updated"] += cursor.rowcount
    connection.commit()
    cursor.close()


def _autocommit(connection: Any, on: bool) -> None:
    """Two ways that drivers have of it."""
    if callable(connection.autocommit):
        connection.autocommit(on)
    else:
        connection.autocommit = on


def _one_by_one(connection: Any, number: int, turn: int, counts: Counts) -> None:
    """In autocommit any statement may be any connection's."""
    _autocommit(connection, True)
    cursor = connection.cursor()
    cursor.execute(sql.INSERT, (number, "autocommit", turn))
    inserted = cursor.lastrowid
    cursor.execute("SELECT LAST_INSERT_ID()")
    counts["id told"] += cursor.fetchone() == (inserted,)
    cursor.close()
    _autocommit(connection, False)


def _big(connection: Any, counts: Counts, streaming: dict[str, Any]) -> None:
    cursor = connection.cursor(**streaming)
    cursor.execute(sql.BIG_RESULT)
    counts["big"] += sum(n + len(text) for n, text in cursor)
    cursor.close()
    connection.commit()


def _kept(connection: Any, number: int, counts: Counts) -> None:
    cursor = connection.cursor()
    cursor.execute(sql.KEPT, (number,))
    for kind, rows, total in cursor:
        counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, int(total)
    cursor.close()
    connection.commit()
