"""Caps of users and databases on all workers at once, while the server ends connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import Postgres

CAP = 3
CLIENTS = 16
ROUNDS = 40
KINDS = [(user, dbname) for user in ("app", "other") for dbname in ("app", "postgres")]
HELD = """
SELECT max(of_user), max(of_database) FROM (
    SELECT count(*) OVER (PARTITION BY usename) AS of_user,
           count(*) OVER (PARTITION BY datname) AS of_database
    FROM pg_stat_activity WHERE usename IN ('app', 'other')) AS held
"""
END_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename IN ('app', 'other') ORDER BY random() LIMIT 1
"""


@dataclass
class Client:
    """Asks for what only it asks for, and writes down what it was told is committed."""

    number: int
    acknowledged: set[str] = field(default_factory=set)
    foreign: list[object] = field(default_factory=list)

    def run(self, proxy: Proxy) -> None:
        user, dbname = KINDS[self.number % len(KINDS)]
        connection = proxy.connect(user, dbname)
        for turn in range(ROUNDS):
            text = f"{self.number}-{turn}"
            try:
                self._ask(connection, text)
            except psycopg.OperationalError:
                connection.close()
                connection = proxy.connect(user, dbname)
        connection.close()

    def _ask(self, connection: psycopg.Connection[Any], text: str) -> None:
        row = connection.execute("SELECT %s::text", [text]).fetchone()
        if row != (text,):
            self.foreign.append((text, row))
        connection.execute("BEGIN")
        connection.execute("INSERT INTO told VALUES (%s)", [text])
        connection.execute("COMMIT")
        self.acknowledged.add(text)


@contextmanager
def watched(server: Postgres) -> Iterator[list[tuple[int, int]]]:
    """Looks how many connections there are, and ends one now and then, until it is left."""
    over = threading.Event()
    seen: list[tuple[int, int]] = []

    def watch() -> None:
        with server.connect(dbname="postgres") as direct:
            while not over.wait(0.01):
                row = direct.execute(HELD).fetchone()
                if row and row[0] is not None:
                    seen.append((row[0], row[1]))
                if len(seen) % 20 == 19:
                    direct.execute(END_ONE)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_nobody_has_more_than_its_cap_and_nobody_is_forgotten_while_connections_end(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres(max_connections=40)
    for dbname in ("app", "postgres"):
        server.psql("CREATE TABLE told (what text)", dbname=dbname)
        server.psql("GRANT ALL ON told TO PUBLIC", dbname=dbname)
    proxy = make_proxy(server)
    proxy.write_pool(maxConnectionsPerUser=CAP, maxConnectionsPerDatabase=CAP)
    proxy.wait_config()
    clients = [Client(number) for number in range(CLIENTS)]
    with watched(server) as seen, ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client.run, proxy) for client in clients]:
            done.result()
    assert max(of_user for of_user, _ in seen) <= CAP
    assert max(of_database for _, of_database in seen) <= CAP
    tables = [server.psql("TABLE told", dbname=dbname) for dbname in ("app", "postgres")]
    kept = {what for rows in tables for (what,) in rows}
    for client in clients:
        assert client.foreign == []
        assert client.acknowledged
        assert client.acknowledged <= kept
