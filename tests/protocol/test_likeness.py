"""Whatever a client says, it is answered as the database itself would answer.

Random scripts (statements.py) run by one client alone on the database, then by many at once
through few connections of the proxy. `FIRST_SEED` and `SEEDS` choose others, and more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import LiteralString

import pytest
from tests.certificates import Authority
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.protocol.statements import RESET, SCHEMA, Author, Step
from tests.raw_client import ClosedError, Message, RawClient
from tests.servers import HOST, PASSWORDS, Postgres, wait_until

CLIENTS = 6
CONNECTIONS = 3
FIRST_SEED = int(os.environ.get("FIRST_SEED", "1"))
BUSY: LiteralString = (
    "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'"
)
SEEDS = int(os.environ.get("SEEDS", "60"))


@pytest.fixture(scope="module")
def pair(postgres_template: Path, authority: Authority) -> Iterator[tuple[Postgres, Proxy]]:
    """A database with each client's own objects, and a proxy with few connections to it."""
    servers, proxies = PostgresFactory(postgres_template), ProxyFactory(authority)
    try:
        server = servers(max_connections=CONNECTIONS + CLIENTS + 5, max_prepared_transactions=0)
        server.psql("CREATE ROLE pal; GRANT pal, other TO app")
        with server.connect("app") as connection:
            for client in range(CLIENTS):
                connection.execute(SCHEMA.replace("{c}", str(client)))
        proxy = proxies(server, start=False)
        share = 100 * (CONNECTIONS + 1) // (CONNECTIONS + CLIENTS)
        proxy.write_pool(maxConnectionsPercent=share)
        yield server, proxy.start()
    finally:
        proxies.close()
        servers.close()


def run(
    port: int, client: int, script: list[Step], parting: bytes, seed: int
) -> list[list[Message]]:
    """What each step is answered. At last the client leaves, perhaps in the middle of something."""
    random = Random(f"{seed}/{client}/cuts")
    heard = []
    name = f"client-{client % 3}"
    with RawClient(HOST, port).login("app", PASSWORDS["app"], application_name=name) as raw:
        for step in script:
            cut = random.randint(0, len(step.data)) if random.random() < 0.3 else 0
            answer: list[Message] = []
            heard.append(answer)
            try:
                raw.send(step.data[:cut])
                raw.send(step.data[cut:])
                while sum(kind == b"Z" for kind, _ in answer) < step.ready:
                    answer.append(raw.read())
            except (ClosedError, OSError) as error:
                answer.append((b"", repr(error).encode()))
                break
        with contextlib.suppress(OSError):
            raw.send(parting)
    return [[comparable(one) for one in answer] for answer in heard]


def comparable(told: Message) -> Message:
    """A message without what may differ: who sent a notification, and which part of the server says
    that a transaction is aborted (of a statement that is parsed again, the parser)."""
    kind, payload = told
    if kind == b"E" and b"\0C25P02\0" in payload:
        return kind, payload.partition(b"\0F")[0]
    return (kind, payload[4:]) if kind == b"A" else told


def reset(server: Postgres) -> None:
    """Begin anew, once nobody is at work any more."""
    wait_until(lambda: server.value(BUSY) == 0, "the clients before have left")
    with server.connect("app") as connection:
        for client in range(CLIENTS):
            connection.execute(RESET.replace("{c}", str(client)))


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_a_client_is_answered_as_by_the_database(pair: tuple[Postgres, Proxy], seed: int) -> None:
    server, proxy = pair
    authors = [Author(seed, client) for client in range(CLIENTS)]
    scripts = [(author.script(), author.parting()) for author in authors]

    def at(port: int) -> list[list[list[Message]]]:
        reset(server)
        with ThreadPoolExecutor(CLIENTS) as threads:
            begun = [
                threads.submit(run, port, client, script, parting, seed)
                for client, (script, parting) in enumerate(scripts)
            ]
            return [one.result() for one in begun]

    for client, (direct, proxied) in enumerate(zip(at(server.port), at(proxy.port), strict=True)):
        for step, got, wanted in zip(scripts[client][0], proxied, direct, strict=False):
            assert got == wanted, (client, step.said)
        assert direct[-1][-1][0] == b"Z", "the database itself refuses no script"
        assert len(proxied) == len(direct)
