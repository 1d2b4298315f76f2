"""A cancel of what uses a prepared statement strikes that request wherever it is: also where the
proxy makes the statement for it first and that waits for somebody's lock."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import ProxyFactory
from tests.protocol.test_sql_prepared import Requests, Trio, client
from tests.raw_client import (
    CANCEL_REQUEST,
    SYNC,
    Message,
    RawClient,
    bind,
    error_fields,
    execute,
    parse,
    query,
    special,
)
from tests.servers import Postgres, wait_until

SCHEMA = "DROP TABLE IF EXISTS held; CREATE TABLE held (a) AS SELECT 1; GRANT ALL ON held TO PUBLIC"
WAITING = (
    "SELECT 1 FROM pg_stat_activity"
    " WHERE usename = 'app' AND wait_event_type IN ('Lock', 'Timeout')"
)


@pytest.fixture(scope="module")
def trio(postgres_template: Path, authority: Authority) -> Iterator[Trio]:
    """A database by itself, and one behind a proxy."""
    servers, proxies = PostgresFactory(postgres_template), ProxyFactory(authority)
    try:
        server = servers()
        yield servers(), server, proxies(server)
    finally:
        proxies.close()
        servers.close()


def cancel(raw: RawClient) -> None:
    """As drivers do: it is over when its connection is closed."""
    with socket.create_connection(raw.socket.getpeername(), timeout=20) as other:
        other.sendall(special(CANCEL_REQUEST, raw.key))
        assert other.recv(1) == b""


def told(answer: list[Message]) -> list[str]:
    """The kinds of an answer's messages, of errors their codes, and how the transaction stands."""
    words = []
    for kind, payload in answer:
        word = error_fields(payload)["C"] if kind == b"E" else kind.decode()
        words.append(payload.decode() if kind == b"Z" else word)
    return words


def cancelled(server: Postgres, port: int, before: Requests, request: bytes) -> list[list[str]]:
    """What is told of a request that is cancelled while it waits, and of those behind it."""
    server.psql(SCHEMA)
    with client(port) as raw:
        for one in before:
            raw.send(one)
            raw.until()
        answers = []
        with server.connect() as holder:
            holder.execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
            raw.send(request)
            wait_until(lambda: server.psql(WAITING), "the request waits")
            raw.socket.settimeout(20)
            cancel(raw)
            answers.append(told(raw.until()))
            raw.send(query("SELECT 1"))
            answers.append(told(raw.until()))
        behind = [query("ROLLBACK"), query("SELECT pg_sleep(0.2)"), query("SELECT a FROM held")]
        for one in behind:
            raw.send(one)
            answers.append(told(raw.until()))
        return answers


MAKE = query("PREPARE s AS SELECT * FROM held")
TOO = query("PREPARE t AS SELECT count(*) FROM held")
BEGIN = query("BEGIN")
OTHER_READING = query("SET DateStyle = 'SQL, DMY'")
NAMED = parse("select a, '1' from held", "s") + SYNC
USED = bind("s") + execute() + SYNC
CASES: dict[str, tuple[Requests, bytes]] = {
    "made by SQL": ([MAKE], query("EXECUTE s")),
    "made by SQL, in a transaction": ([MAKE, BEGIN], query("EXECUTE s")),
    "explained": ([MAKE], query("EXPLAIN ANALYZE EXECUTE s")),
    "made by a driver": ([NAMED], query("EXECUTE s")),
    "by a driver": ([NAMED], USED),
    "by a driver, in a transaction": ([NAMED, BEGIN], USED),
    "by a driver, under other settings": ([NAMED, OTHER_READING], USED),
    "by a driver, under other settings in a transaction": ([NAMED, BEGIN, OTHER_READING], USED),
    "by SQL, under other settings": ([NAMED, OTHER_READING], query("EXECUTE s")),
    "by SQL, under other settings in a transaction": (
        [NAMED, BEGIN, OTHER_READING],
        query("EXECUTE s"),
    ),
    "among others": ([MAKE], query("SELECT 1; EXECUTE s")),
    "among others, in a transaction": ([MAKE, BEGIN], query("EXECUTE s; SELECT 1")),
    "among others, deallocated": ([MAKE], query("EXECUTE s; DEALLOCATE s")),
    "several among others": ([MAKE, TOO], query("SELECT 1; EXECUTE s; EXECUTE t")),
    "several, in a transaction": ([MAKE, TOO, BEGIN], query("EXECUTE s; EXECUTE t")),
    "spoken of by chance": ([MAKE], query("SELECT a AS s FROM held; DEALLOCATE nothing")),
    "prepares": ([], MAKE),
    "prepares, in a transaction": ([BEGIN], MAKE),
    "prepares again": ([MAKE], MAKE),
    "runs long": (
        [query("PREPARE s AS SELECT pg_sleep(60)")],
        query("EXECUTE s"),
    ),
    "runs long, in a transaction": (
        [query("PREPARE s AS SELECT pg_sleep(60)"), BEGIN],
        query("EXECUTE s"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_cancel_strikes_what_uses_a_prepared_statement(trio: Trio, case: str) -> None:
    alone, server, proxy = trio
    before, request = CASES[case]
    wanted = cancelled(alone, alone.port, before, request)
    assert "57014" in wanted[0]
    assert cancelled(server, proxy.port, before, request) == wanted
