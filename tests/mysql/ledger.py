"""Clients that write on and on, and keep what each was told of its commits."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pymysql
from tests.fix_mysql_proxy import MySQLProxy
from tests.mysql.answers import Connection, port, value
from tests.servers import DEADLINE

LOST, UNKNOWN, STATE_LOST = 1213, 1158, 1053
# A driver's own, of a connection that was closed, or told goodbye, while it wasn't asked.
GONE = (2006, 2013)
CLIENTS = 8
COLUMNS = "id INT AUTO_INCREMENT PRIMARY KEY, client INT, number INT, port INT"
WRITES = "INSERT INTO notes (client, number, port) VALUES ({}, {}, @@port)"


@dataclass
class Ledger:
    """What one client knows of its commits: the servers that acknowledged each number."""

    acknowledged: dict[int, int] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    told: set[int] = field(default_factory=set)
    lost: int = 0
    paused: float = 0.0

    def count(self, proxy: MySQLProxy, number: int, stop: threading.Event) -> None:
        """Write numbers, one in each transaction or by itself, and note what is told of each."""
        client = proxy.client()
        turn = 0
        while not stop.is_set():
            turn += 1
            began = time.monotonic()
            try:
                self._write(client, number, turn)
            except pymysql.err.MySQLError as error:
                if error.args[0] == LOST:
                    self.lost += 1
                    continue
                self.told.add(error.args[0])
                self.unknown.add(turn)
                client.close()
                client = proxy.client()
            finally:
                self.paused = max(self.paused, time.monotonic() - began)
        client.close()

    def _write(self, client: Connection, number: int, turn: int) -> None:
        text = WRITES.format(number, turn)
        if turn % 2:
            client.begin()
            value(client, text)
            written = port(client)
            client.commit()
            self.acknowledged[turn] = written
            return
        # Of one by itself only the row says where it was written.
        value(client, text)
        self.acknowledged[turn] = 0


@contextlib.contextmanager
def many(proxy: MySQLProxy) -> Iterator[list[Ledger]]:
    """Clients that write on and on."""
    stop, ledgers = threading.Event(), [Ledger() for _ in range(CLIENTS)]
    threads = [
        threading.Thread(target=ledger.count, args=(proxy, number, stop))
        for number, ledger in enumerate(ledgers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield ledgers
    finally:
        stop.set()
        for thread in threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()
