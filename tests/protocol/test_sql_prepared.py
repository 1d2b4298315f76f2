"""What SQL says of statements by their names is of their client's own, as in PostgreSQL."""

from __future__ import annotations

import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.raw_client import (
    SYNC,
    Message,
    RawClient,
    bind,
    describe,
    execute,
    parse,
    query,
)
from tests.servers import HOST, PASSWORDS, Postgres

Requests = list[bytes]


@pytest.fixture
def server(make_postgres: PostgresFactory) -> Postgres:
    """One that leaves the proxy a single connection."""
    return make_postgres(max_connections=6, log_min_duration_statement=0)


@pytest.fixture
def proxy(server: Postgres, make_proxy: ProxyFactory) -> Proxy:
    return make_proxy(server)


def client(port: int) -> RawClient:
    return RawClient(HOST, port).login("app", PASSWORDS["app"])


def told(raw: RawClient, requests: Requests) -> list[list[Message]]:
    """What each request is answered, but for where in its source the server says so."""

    def comparable(one: Message) -> Message:
        kind, payload = one
        if kind != b"E":
            return one
        return kind, b"\0".join(part for part in payload.split(b"\0") if part[:1] not in b"FLR")

    answers = []
    for request in requests:
        raw.send(request)
        answers.append([comparable(one) for one in raw.until()])
    return answers


def used(name: str) -> bytes:
    return bind(name) + execute() + SYNC


NAMED = parse("select 1, 'x'", "s") + SYNC
DEALLOCATIONS: list[Requests] = [
    [NAMED, query("DEALLOCATE ALL"), used("s")],
    [NAMED, query("deallocate prepare all ; -- gone"), used("s"), NAMED, used("s")],
    [query("DEALLOCATE ALL"), query("DEALLOCATE ALL")],
    [NAMED, query('DEALLOCATE "ALL"'), used("s")],
    [NAMED, query("BEGIN"), query("DEALLOCATE ALL"), query("ROLLBACK"), used("s")],
    [query("BEGIN"), NAMED, query("ROLLBACK"), used("s"), query("DEALLOCATE ALL"), used("s")],
    [NAMED, query("BEGIN"), query("SELECT 1/0"), query("DEALLOCATE ALL"), query("END"), used("s")],
    [NAMED, query("BEGIN"), query("SELECT 1/0"), query("DEALLOCATE s"), query("END"), used("s")],
    [NAMED, query("DEALLOCATE ALL; SELECT 1/0"), used("s")],
    [NAMED, query("SELECT 1; DEALLOCATE ALL"), used("s")],
    [NAMED, parse("DEALLOCATE ALL") + bind() + describe() + execute() + SYNC, used("s")],
    [NAMED, parse("select 2") + bind() + execute() + query("DEALLOCATE ALL"), SYNC, used("s")],
    [NAMED, parse("select 1/0") + bind() + execute() + query("DEALLOCATE ALL") + SYNC, used("s")],
    [
        NAMED,
        query("BEGIN"),
        parse("select generate_series(1, 5)", "n") + bind("n", "p") + execute("p", 2) + SYNC,
        query("DEALLOCATE ALL"),
        execute("p", 2) + SYNC,
        query("END"),
        used("n"),
    ],
    [parse("select 3") + SYNC, query("DEALLOCATE ALL"), used("")],
    [query("DO $$ BEGIN EXECUTE 'PREPARE s AS SELECT 1'; END $$; DEALLOCATE ALL"), used("s")],
    [
        query("BEGIN"),
        query("DO $$ BEGIN EXECUTE 'PREPARE s AS SELECT 1'; END $$"),
        query("DEALLOCATE ALL"),
        used("s"),
        query("END"),
    ],
]


@pytest.mark.parametrize("requests", DEALLOCATIONS, ids=range(len(DEALLOCATIONS)))
def test_deallocating_is_answered_as_by_the_database(
    server: Postgres, proxy: Proxy, requests: Requests
) -> None:
    with client(server.port) as direct:
        wanted = told(direct, requests)
    with client(proxy.port) as proxied, client(proxy.port) as other:
        told(other, [parse("select 4", "s") + SYNC])
        assert told(proxied, requests) == wanted
        assert [kind for kind, _ in told(other, [used("s")])[0]] == [b"2", b"D", b"C", b"Z"]


@pytest.mark.parametrize("text", ["DEALLOCATE ALL", "deallocate prepare all;", 'DEALLOCATE "s"'])
def test_what_one_client_deallocates_others_keep(server: Postgres, proxy: Proxy, text: str) -> None:
    shared = parse("select 5, 'shared'", "s") + SYNC
    with client(proxy.port) as one, client(proxy.port) as other:
        told(one, [shared, used("s")])
        told(other, [shared, used("s")])
        before = server.log().count("select 5, 'shared'")
        for _ in range(3):
            told(one, [query("BEGIN"), query("ROLLBACK"), query(text), query("BEGIN")])
            told(one, [query("SELECT 1/0"), query(text), query("ROLLBACK"), query(text)])
            told(other, [used("s")])
        log = server.log()
        parses = [line for line in log.splitlines() if " parse " in line and "'shared'" in line]
        assert len(parses) == 2, "each client's own"
        assert log.count("select 5, 'shared'") > before
