"""Tens of clients of MySQL's do all that clients do, while connections are killed: nothing is mixed
up or lost.

`SOAK_SECONDS` says for how long, `SOAK_SEED` with which random numbers; `make soak ENGINE=mysql`
takes ten minutes. The clients' deeds follow from the seed, how they fall together doesn't.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random, randrange

import pymysql
import pytest
from tests.fix_mysql import MySQLFactory
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.soak.client import OBJECTS, SHOW, SHOWN, Client
from tests.mysql.soak.deeds import DEEDS
from tests.mysql.soak.session import USER, Session
from tests.mysql_servers import MySQL
from tests.servers import wait_until
from tests.soak.ledger import disagreements

SECONDS = int(os.environ.get("SOAK_SECONDS", "20"))
SEED = int(os.environ.get("SOAK_SEED", randrange(1_000_000)))
CLIENTS = 32
CONNECTIONS = 8
# Those of superusers and probes.
OTHERS = 8
# Whether its rows are there, may be there.
GAUGES = ("dbproxy_client_connections", "dbproxy_sessions_pinned", "dbproxy_clients_waiting")
BUSY = f"""
SELECT id, command, info FROM information_schema.processlist
WHERE user = '{USER}' AND command NOT IN ('Sleep', 'Killed')
"""
CONNECTED = f"SELECT id FROM information_schema.processlist WHERE user = '{USER}'"
OPEN = "SELECT * FROM information_schema.innodb_trx"
LEFT_BEHIND = "SELECT @owner, @@autocommit, IS_USED_LOCK('nobody')"


@contextmanager
def killed_connections(server: MySQL) -> Iterator[list[int]]:
    """Ends a random connection now and then, until it is left; which it ended."""
    over = threading.Event()
    ended: list[int] = []

    def disturb() -> None:
        random = Random(f"{SEED}/disturb")
        with contextlib.closing(server.connect()) as direct:
            cursor = direct.cursor()
            while not over.wait(random.uniform(0.05, 1)):
                cursor.execute(CONNECTED)
                if found := cursor.fetchall():
                    (chosen,) = random.choice(found)
                    # It may have gone by itself.
                    with contextlib.suppress(pymysql.OperationalError):
                        cursor.execute(f"KILL {chosen}")
                        ended.append(chosen)

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


def shown(port: int) -> str:
    """What is set in a session that has set nothing."""
    with Session(port, Random(0), deque()) as session:
        session.login()
        ((state,),) = session.ask(f"SELECT {SHOW}").rows
    assert state is not None
    return state


def lived(proxy: MySQLProxy, server: MySQL) -> list[Client]:
    """Clients that had their time, of which none saw anything wrong."""
    defaults = dict(zip(SHOWN, shown(server.port).split("|"), strict=True))
    clients = [Client(number, proxy.port, SEED, defaults) for number in range(CLIENTS)]
    failed = threading.Event()
    end = time.monotonic() + SECONDS
    with killed_connections(server) as ended, ThreadPoolExecutor(CLIENTS) as pool:
        told = [pool.submit(live, client, end, failed) for client in clients]
        wrong = [report for one in told if (report := one.result())]
    if wrong:
        pytest.fail("\n\n".join(wrong))
    assert ended, "no connection was killed"
    fates = Counter(written.fate for client in clients for written in client.ledger.values())
    lives = sum(client.lives for client in clients)
    print(f"SOAK_SEED={SEED}: {lives} lives, {dict(fates)}, {len(ended)} killed")
    return clients


def audit(server: MySQL, clients: list[Client]) -> None:
    """What the database has is what its clients were told, row by row."""
    ledgers = {client.number: client.ledger for client in clients}
    rows = server.sql("SELECT client, number, part FROM app.soak")
    assert disagreements(ledgers, rows) == [], f"SOAK_SEED={SEED}"
    foreign = server.sql("SELECT * FROM app.soak WHERE NOT (actual <=> expected) LIMIT 9")
    assert foreign == [], f"SOAK_SEED={SEED}"


def come_to_rest(server: MySQL, proxy: MySQLProxy) -> None:
    """Nobody is left, and no connection keeps anything of anybody."""
    wait_until(lambda: sum(map(proxy.metric, GAUGES)) == 0, f"{GAUGES} are 0, SOAK_SEED={SEED}")
    wait_until(lambda: server.sql(BUSY) == [], f"nobody works, SOAK_SEED={SEED}")
    wait_until(lambda: server.sql(OPEN) == [], f"nobody is in a transaction, SOAK_SEED={SEED}")
    fresh = shown(server.port)
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS // 2):
            held = stack.enter_context(contextlib.closing(proxy.client(USER)))
            cursor = held.cursor()
            cursor.execute("BEGIN")
            cursor.execute(LEFT_BEHIND)
            assert cursor.fetchone() == (None, 1, None)
            with pytest.raises(pymysql.ProgrammingError):
                cursor.execute("SELECT * FROM app.own")
    assert shown(proxy.port) == fresh


@pytest.mark.timeout(SECONDS + 300)
def test_nothing_is_mixed_up_and_nothing_acknowledged_is_lost(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    server = make_mysql(max_connections=CONNECTIONS + OTHERS, local_infile=1)
    for statement in OBJECTS:
        server.sql(statement)
    for database in ("app", "second"):
        server.sql(f"GRANT ALL ON {database}.* TO {USER}@'%'")
    proxy = make_mysql_proxy(server)
    most = 100 * CONNECTIONS // (CONNECTIONS + OTHERS)
    proxy.write_pool(connectionBorrowTimeout=100, maxConnectionsPercent=most)
    proxy.wait_config()
    clients = lived(proxy, server)
    come_to_rest(server, proxy)
    audit(server, clients)
