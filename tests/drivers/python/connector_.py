"""Connector/Python; its cursors prepare statements where they are asked to."""

from typing import Any

import mysql.connector
import mysql_work as sql
from mysql_dbapi import work
from work import Counts


def connect() -> mysql.connector.abstracts.MySQLConnectionAbstract:
    return mysql.connector.connect(database=sql.DATABASE, **sql.WHERE)


def prepared(connection: Any, turn: int, counts: Counts) -> None:
    cursor = connection.cursor(prepared=True)
    for value in range(3):
        cursor.execute("SELECT %s + %s", (turn, value))
        counts["prepared"] += cursor.fetchone()[0]
    cursor.close()
    connection.commit()


work(
    f"Connector/Python {mysql.connector.__version__}",
    connect,
    mysql.connector.ProgrammingError,
    {"buffered": False},
    prepared,
)
