"""What a server answers to a text, so that it can be compared with what the proxy answers."""

from __future__ import annotations

import contextlib
from typing import Any

import pymysql


def answer(connection: pymysql.connections.Connection[Any], text: str) -> list[object]:
    """All results of a text: columns and rows, what was changed, or the error."""
    found: list[object] = []
    with contextlib.closing(connection.cursor()) as cursor:
        try:
            cursor.execute(text)
            while True:
                columns = [column[:2] for column in cursor.description or ()]
                found.append((columns, cursor.rowcount, cursor.lastrowid, cursor.fetchall()))
                if not cursor.nextset():
                    return found
        except pymysql.MySQLError as error:
            return [*found, type(error), error.args]
