"""Tens of clients do all that clients do, while backends are killed: nothing is mixed up or lost.

`SOAK_SECONDS` says for how long, `SOAK_SEED` with which random numbers; `make soak` takes ten
minutes. The clients' deeds follow from the seed, how they fall together doesn't.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random, randrange
from typing import LiteralString

import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import Postgres, wait_until
from tests.soak.client import TABLE, Client
from tests.soak.deeds import DEEDS
from tests.soak.ledger import disagreements
from tests.soak.session import CHANGED, SHOWN

SECONDS = int(os.environ.get("SOAK_SECONDS", "60"))
SEED = int(os.environ.get("SOAK_SEED", randrange(1_000_000)))
CLIENTS = 32
CONNECTIONS = 8
# Three for superusers, and those that ask how the database is.
OTHERS = 5
# Whether its rows are there, may be there.
GAUGES = ("dbproxy_client_connections", "dbproxy_sessions_pinned", "dbproxy_clients_waiting")
SHOW: LiteralString = f"SELECT {SHOWN}"
END_ONE: LiteralString = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename IN ('app', 'other') ORDER BY random() LIMIT 1
"""
BUSY: LiteralString = """
SELECT pid, state, query FROM pg_stat_activity
WHERE usename IN ('app', 'other') AND state <> 'idle'
"""
LOCKS: LiteralString = "SELECT * FROM pg_locks WHERE locktype = 'advisory'"
LEFT_BEHIND: LiteralString = """
SELECT 'cursor', name FROM pg_cursors WHERE name <> ''
UNION ALL SELECT 'statement', name FROM pg_prepared_statements WHERE NOT from_sql
    AND name LIKE 's_'
UNION ALL SELECT 'table', relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
"""


@contextmanager
def killed_backends(server: Postgres) -> Iterator[list[int]]:
    """Ends a random connection now and then, until it is left; how many it ended."""
    over = threading.Event()
    ended: list[int] = []

    def disturb() -> None:
        random = Random(f"{SEED}/disturb")
        with server.connect() as direct:
            while not over.wait(random.uniform(0.05, 1)):
                ended.append(direct.execute(END_ONE).rowcount)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield ended
    finally:
        over.set()
        thread.join()


def live(client: Client, end: float, failed: threading.Event) -> str:
    """What went wrong, with the client's last events."""
    try:
        client.run(DEEDS, lambda: time.monotonic() > end or failed.is_set())
    except Exception as error:
        failed.set()
        events = "\n  ".join(client.events)
        return f"SOAK_SEED={SEED}, client {client.number}: {error!r}\n  {events}"
    return ""


def lived(proxy: Proxy, server: Postgres) -> list[Client]:
    """Clients that had their time, of which none saw anything wrong."""
    defaults = dict(zip(CHANGED, server.psql(SHOW)[0], strict=True))
    clients = [Client(number, proxy.port, SEED, defaults) for number in range(CLIENTS)]
    failed = threading.Event()
    end = time.monotonic() + SECONDS
    with killed_backends(server) as ended, ThreadPoolExecutor(CLIENTS) as pool:
        told = [pool.submit(live, client, end, failed) for client in clients]
        wrong = [report for one in told if (report := one.result())]
    if wrong:
        pytest.fail("\n\n".join(wrong))
    assert sum(ended) > 0, "no connection was killed"
    return clients


def audit(server: Postgres, clients: list[Client]) -> None:
    """What the database has is what its clients were told, row by row."""
    ledgers = {client.number: client.ledger for client in clients}
    rows = server.psql("SELECT client, number, part FROM soak")
    assert disagreements(ledgers, rows) == [], f"SOAK_SEED={SEED}"
    foreign = server.psql("SELECT * FROM soak WHERE actual <> expected LIMIT 9")
    assert foreign == [], f"SOAK_SEED={SEED}"


def come_to_rest(server: Postgres, proxy: Proxy) -> None:
    """Nobody is left, and no connection keeps anything of anybody."""
    wait_until(lambda: sum(map(proxy.metric, GAUGES)) == 0, f"{GAUGES} are 0, SOAK_SEED={SEED}")
    wait_until(lambda: server.psql(BUSY) == [], f"nobody works, SOAK_SEED={SEED}")
    wait_until(lambda: server.psql(LOCKS) == [], f"nobody has a lock, SOAK_SEED={SEED}")
    fresh = server.psql(SHOW)[0]
    held = [proxy.connect(user) for user in ("app", "other") for _ in range(CONNECTIONS // 2)]
    for connection in held:
        connection.execute("BEGIN")
        assert connection.execute(SHOW).fetchone() == fresh
        assert connection.execute(LEFT_BEHIND).fetchall() == []
    for connection in held:
        connection.close()


@pytest.mark.timeout(SECONDS + 240)
def test_nothing_is_mixed_up_and_nothing_acknowledged_is_lost(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres(max_connections=CONNECTIONS + OTHERS)
    server.psql(TABLE)
    proxy = make_proxy(server)
    proxy.write_pool(connectionBorrowTimeout=60)
    proxy.wait_config()
    clients = lived(proxy, server)
    come_to_rest(server, proxy)
    audit(server, clients)
