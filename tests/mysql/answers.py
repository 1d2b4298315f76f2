"""What a server answers to a text, so that it can be compared with what the proxy answers."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pymysql
from tests.fix_mysql_proxy import MySQLProxy
from tests.servers import DEADLINE

Connection: TypeAlias = "pymysql.connections.Connection[Any]"


def answer(connection: Connection, text: str) -> list[object]:
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


def value(connection: Connection, text: str) -> Any:
    """The first column of the first row; nothing if there is none."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(text)
        row = cursor.fetchone()
        return row[0] if row else None


def port(connection: Connection) -> int:
    """Which server answers."""
    return int(value(connection, "SELECT @@port"))


def refused(connection: Connection, text: str) -> int | None:
    """The number of the error that a text gets; nothing if it gets none."""
    try:
        value(connection, text)
    except pymysql.MySQLError as error:
        return int(error.args[0])
    return None


def last_words(connection: Connection) -> int | None:
    """The number of the error that a client is told unasked before it is closed, if it is told one.

    The driver itself would take it for a lost connection."""
    reads = connection._rfile
    with contextlib.suppress(ConnectionError):
        head = reads.read(4)
        if head:
            payload = reads.read(int.from_bytes(head[:3], "little"))
            assert (head[3], payload[0]) == (0, 0xFF)
            assert reads.read(1) == b"", "it is closed"
            return int(struct.unpack("<H", payload[1:3])[0])
    return None


def entering(proxy: MySQLProxy, **options: Any) -> int | None:
    """The number of the error that a new client gets; nothing if it comes in."""
    try:
        proxy.client(**options).close()
    except pymysql.MySQLError as error:
        return int(error.args[0])
    return None


def later(client: Connection, text: str) -> Callable[[], list[object]]:
    """Asks in a thread; what it was told, once it was."""
    told: list[object] = []

    def work() -> None:
        try:
            told.append(value(client, text))
        except pymysql.err.MySQLError as error:
            told.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def answers() -> list[object]:
        thread.join(DEADLINE)
        return told

    return answers


def code(told: list[object]) -> int:
    """The number of the error that this is."""
    (error,) = told
    assert isinstance(error, pymysql.err.MySQLError), error
    return int(error.args[0])
