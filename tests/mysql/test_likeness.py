"""Whatever a client says, it is answered as the database itself would answer, packet by packet.

Random scripts (statements.py) run by clients with a connection each to the database, then by as
many at once through few connections of the proxy. `FIRST_SEED` and `SEEDS` choose others, and more;
`CONNECTIONS` how many connections there are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from random import Random

import pytest
from pymysql.cursors import Cursor
from tests.certificates import Authority
from tests.fix_mysql import MySQLFactory, MySQLTemplates
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.comparable import may_differ
from tests.mysql.repertoire import RESET, RESTART, SCHEMA, SEQUENCE, statements
from tests.mysql.scripted import Login, ScriptedClient
from tests.mysql.statements import Author
from tests.mysql_servers import KINDS, MARIADB, MySQL
from tests.raw_mysql import Packet
from tests.servers import wait_until

CLIENTS = 6
CONNECTIONS = int(os.environ.get("CONNECTIONS", "3"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "1"))
SEEDS = int(os.environ.get("SEEDS", "20"))
OTHERS = 7
"""Connections that are nobody's of the scripts: probes, and those that begin anew."""
BUSY = """
SELECT id, command, info FROM information_schema.processlist
WHERE user = 'legacy' AND command NOT IN ('Sleep', 'Killed')
"""
"""MariaDB shows an idle connection as killed from a KILL QUERY on until its next command."""
OPEN = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx"


@dataclass(frozen=True)
class Pair:
    """A database with each client's own objects, and a proxy with few connections to it."""

    server: MySQL
    proxy: MySQLProxy


# Each kind's by one worker, which starts one server for all of them.
TOGETHER = [pytest.param(name, marks=pytest.mark.xdist_group(f"likeness-{name}")) for name in KINDS]


@pytest.fixture(scope="module", params=TOGETHER)
def pair(
    request: pytest.FixtureRequest, mysql_templates: MySQLTemplates, authority: Authority
) -> Iterator[Pair]:
    kind = KINDS[request.param]
    servers = MySQLFactory(kind, mysql_templates.of(kind))
    proxies = MySQLProxyFactory(kind, authority)
    most = CLIENTS + CONNECTIONS + OTHERS
    try:
        server = servers(max_connections=most, local_infile=1)
        make_objects(server)
        proxy = proxies(server, start=False)
        proxy.write_pool(
            maxConnectionsPercent=(100 * (CONNECTIONS + 1) - 1) // most, connectionBorrowTimeout=60
        )
        proxy.start()
        yield Pair(server, proxy)
    finally:
        proxies.close()
        servers.close()


def make_objects(server: MySQL) -> None:
    server.sql("SET GLOBAL log_bin_trust_function_creators = 1")
    server.sql("GRANT ALL ON second.* TO legacy@'%'")
    with contextlib.closing(server.connect(database="app")) as connection:
        text = SCHEMA + (SEQUENCE if server.kind is MARIADB else "")
        run_for_all(connection.cursor(), text)


def begin_anew(server: MySQL) -> None:
    """With empty tables, once nobody is at work any more."""
    text = RESET + (RESTART if server.kind is MARIADB else "")
    with contextlib.closing(server.connect(database="app")) as connection:
        cursor = connection.cursor()
        at_rest = [BUSY, OPEN]
        wait_until(lambda: not any(map(cursor.execute, at_rest)), "those before have left")
        run_for_all(cursor, text)


def run_for_all(cursor: Cursor, text: str) -> None:
    """Statements for each client."""
    for client in range(CLIENTS):
        for statement in statements(text, client):
            cursor.execute(statement)


Heard = list[list[Packet]]


def play(port: int, clients: list[ScriptedClient], seed: int) -> list[Heard]:
    """What each client hears. Under the seed they take turns: one of those that aren't waiting for
    an answer says what comes next, and the others wait for that answer, or don't."""
    random = Random(f"{seed}/turns")
    patience = random.choice([0, 0, 0.02, 0.1])
    free = list(range(len(clients)))
    busy: dict[Future[bool], int] = {}
    with ThreadPoolExecutor(len(clients)) as threads:
        while free or busy:
            if free:
                chosen = free.pop(random.randrange(len(free)))
                busy[threads.submit(clients[chosen].goes_on, port)] = chosen
                done, _ = wait(busy, patience, FIRST_COMPLETED)
            else:
                done, _ = wait(busy, None, FIRST_COMPLETED)
            for one in done:
                client = busy.pop(one)
                if one.result():
                    free.append(client)
            free.sort()
    return [client.heard for client in clients]


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_a_client_is_answered_as_by_the_database(pair: Pair, seed: int) -> None:
    kind = pair.server.kind
    login = Random(f"{seed}/logins")
    logins = [Login.under(login) for _ in range(2)]
    authors = [Author(kind, seed, client) for client in range(CLIENTS)]
    scripts = [(author.script(), author.parting()) for author in authors]
    chosen = [login.choice(logins) for _ in scripts]

    def at(port: int) -> list[Heard]:
        begin_anew(pair.server)
        clients = [
            ScriptedClient(logs_in, script, parting)
            for logs_in, (script, parting) in zip(chosen, scripts, strict=True)
        ]
        return play(port, clients, seed)

    heard = zip(at(pair.server.port), at(pair.proxy.port), strict=True)
    for client, (direct, proxied) in enumerate(heard):
        said = ["log-in", *(step.said for step in scripts[client][0])]
        for words, got, wanted in zip(said, proxied, direct, strict=False):
            assert got == wanted or may_differ(got, wanted), (client, words)
        assert len(proxied) == len(direct) == len(said), (client, said[len(direct) :])
