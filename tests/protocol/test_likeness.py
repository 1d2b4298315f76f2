"""Whatever a client says, it is answered as the database itself would answer.

Random scripts (statements.py) run by one client alone on the database, then by many at once
through few connections of the proxy. `FIRST_SEED` and `SEEDS` choose others, and more;
`CONNECTIONS` how many connections there are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, LiteralString

import psycopg
import pytest
from tests.certificates import Authority
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.protocol.repertoire import RESET, SCHEMA
from tests.protocol.statements import Author, Step
from tests.raw_client import ClosedError, Message, RawClient
from tests.servers import HOST, PASSWORDS, Postgres, wait_until

Notifier = psycopg.Connection[Any]
"""One that is served at any time, whoever holds the proxy's connections."""

CLIENTS = 6
CONNECTIONS = int(os.environ.get("CONNECTIONS", "3"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "1"))
REFUSED = b"was prepared under other settings"
"""Where the proxy can't do as the database does it says so (docs/pinning.md)."""
ELSEWHERE = [b"0A000", b"25P02", b"08P01"]
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
        share = (100 * (CONNECTIONS + 1) - 1) // (CONNECTIONS + CLIENTS)
        proxy.write_pool(maxConnectionsPercent=share)
        yield server, proxy.start()
    finally:
        proxies.close()
        servers.close()


def run(
    port: int, client: int, script: list[Step], parting: bytes, seed: int, notifier: Notifier
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
            for number, channel in enumerate(step.news):
                notifier.execute("SELECT pg_notify(%s, %s)", (channel, f"of another {number}"))
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
    return [[comparable(one) for one in in_place(answer)] for answer in heard]


def in_place(answer: list[Message]) -> list[Message]:
    """An answer with the notifications where they must stand at the latest, before ReadyForQuery.

    Of what was committed before the request some come before the rest of its answer.
    """
    placed: list[Message] = []
    notes: list[Message] = []
    for told in answer:
        if told[0] == b"A":
            notes.append(told)
            continue
        if told[0] == b"Z":
            placed += notes
            notes = []
        placed.append(told)
    return placed + notes


def comparable(told: Message) -> Message:
    """A message without what may differ: who sent a notification, which table a column is from (it
    is made anew for each run), and where in its source a server finds that a plan has changed, a
    transaction has failed, or a statement has another number of parameters."""
    kind, payload = told
    if kind == b"A":
        return kind, payload[4:]
    if kind == b"T":
        return kind, columns(payload)
    if kind == b"E" and any(b"\0C" + code + b"\0" in payload for code in ELSEWHERE):
        return kind, b"\0".join(part for part in payload.split(b"\0") if part[:1] not in b"FLR")
    return told


def ends_by_itself(answer: list[Message]) -> bool:
    """PostgreSQL gives up where a batch rolls back to the same savepoint twice."""
    return any(kind == b"E" and b"unexpected state" in payload for kind, payload in answer)


def columns(payload: bytes) -> bytes:
    """A RowDescription without tables and their columns' numbers."""
    found, rest = payload[:2], payload[2:]
    while rest:
        name, rest = rest.split(b"\0", 1)
        found += name + b"\0" + rest[6:18]
        rest = rest[18:]
    return found


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
        with server.connect() as notifier, ThreadPoolExecutor(CLIENTS) as threads:
            begun = [
                threads.submit(run, port, client, script, parting, seed, notifier)
                for client, (script, parting) in enumerate(scripts)
            ]
            return [one.result() for one in begun]

    for client, (direct, proxied) in enumerate(zip(at(server.port), at(proxy.port), strict=True)):
        ended = direct[-1][-1][0] == b"Z" or ends_by_itself(direct[-1])
        assert ended, "the database itself refuses no script"
        for step, got, wanted in zip(scripts[client][0], proxied, direct, strict=False):
            if any(REFUSED in payload for _, payload in got):
                break
            assert got == wanted, (client, step.said)
        else:
            assert len(proxied) == len(direct)
