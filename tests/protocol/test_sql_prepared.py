"""What SQL says of statements by their names is of their client's own, as in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.protocol.test_likeness import columns
from tests.raw_client import (
    SYNC,
    Message,
    RawClient,
    bind,
    describe,
    execute,
    message,
    parse,
    query,
)
from tests.servers import HOST, PASSWORDS, Postgres

Requests = list[bytes]
Trio = tuple[Postgres, Postgres, Proxy]


@pytest.fixture(scope="module")
def trio(postgres_template: Path, authority: Authority) -> Iterator[Trio]:
    """A database by itself, and one that leaves its proxy a single connection."""
    servers, proxies = PostgresFactory(postgres_template), ProxyFactory(authority)
    try:
        server = servers(max_connections=6, log_min_duration_statement=0)
        yield servers(), server, proxies(server)
    finally:
        proxies.close()
        servers.close()


def client(port: int) -> RawClient:
    return RawClient(HOST, port).login("app", PASSWORDS["app"])


def told(raw: RawClient, requests: Requests) -> list[list[Message]]:
    """What each request is answered, but for what a server says of its own: where in its source it
    says so, and which number a table has."""

    def comparable(one: Message) -> Message:
        kind, payload = one
        if kind == b"T":
            return kind, columns(payload)
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
def test_deallocating_is_answered_as_by_the_database(trio: Trio, requests: Requests) -> None:
    alone, _, proxy = trio
    with client(alone.port) as direct:
        wanted = told(direct, requests)
    with client(proxy.port) as proxied, client(proxy.port) as other:
        told(other, [parse("select 4", "s") + SYNC])
        assert told(proxied, requests) == wanted
        assert [kind for kind, _ in told(other, [used("s")])[0]] == [b"2", b"D", b"C", b"Z"]


@pytest.mark.parametrize("text", ["DEALLOCATE ALL", "deallocate prepare all;", 'DEALLOCATE "s"'])
def test_what_one_client_deallocates_others_keep(trio: Trio, text: str) -> None:
    _, server, proxy = trio
    mark = f"of {text!r}"
    shared = parse(f"select 5 /* {mark} */", "s") + SYNC
    with client(proxy.port) as one, client(proxy.port) as other:
        told(one, [shared, used("s")])
        told(other, [shared, used("s")])
        for _ in range(3):
            told(one, [query("BEGIN"), query("ROLLBACK"), query(text), query("BEGIN")])
            told(one, [query("SELECT 1/0"), query(text), query("ROLLBACK"), query(text)])
            told(other, [used("s")])
        lines = [line for line in server.log().splitlines() if mark in line]
        assert sum(" parse " in line for line in lines) == 2, "each client's own"
        assert sum(" execute " in line for line in lines) == 5


SCHEMA = """
DROP TABLE IF EXISTS t, u; DROP SCHEMA IF EXISTS first CASCADE; DROP FUNCTION IF EXISTS twice;
CREATE TABLE t (a int, b text DEFAULT 'x'); GRANT ALL ON t TO app;
CREATE SCHEMA first; CREATE TABLE first.t AS SELECT 1 AS a; GRANT ALL ON SCHEMA first TO app;
GRANT ALL ON first.t TO app;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
ALTER TABLE t OWNER TO app;
"""
MAKE = query("PREPARE s AS SELECT 1, 'x'")
VIEW = query(
    "SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY 1"
)
SPOKEN: list[Requests] = [
    [MAKE, query("EXECUTE s"), query("EXECUTE s"), query("DEALLOCATE s"), query("EXECUTE s")],
    [query("prepare Plan (int, text) as select $1 + 1, $2;"), query("EXECUTE PLAN('41', 'y')")],
    [query('PREPARE "Plan" AS TABLE t'), query('EXECUTE "Plan"'), query("EXECUTE plan")],
    [MAKE, MAKE, query("PREPARE s AS SELECT bogus"), query("EXECUTE s")],
    [NAMED, MAKE, query("EXECUTE s"), used("s"), query("EXECUTE s(1)")],
    [MAKE, NAMED, used("s"), describe(b"S", "s") + SYNC, message(b"C", b"Ss\0") + SYNC, used("s")],
    [MAKE, message(b"C", b"Ss\0") + SYNC, query("EXECUTE s"), MAKE, query("EXECUTE s")],
    # What is refused, and where in the text.
    [query("PREPARE s AS SELECT nothing FROM t"), query("EXECUTE s"), query("DEALLOCATE s")],
    [
        query("PREPARE s AS SELEC 1"),
        query("PREPARE AS SELECT 1"),
        query("PREPARE s (int AS SELECT"),
    ],
    [query("PREPARE s (nothing) AS SELECT 1"), query("PREPARE s AS SELECT $1 + $2, $3")],
    [
        query("PREPARE s AS DROP TABLE t"),
        query("PREPARE s AS SELECT 1; SELECT 2"),
        query("EXECUTE s"),
    ],
    [query("PREPARE select AS SELECT 1"), query("EXECUTE select"), query("DEALLOCATE select")],
    [parse("select 6", "select") + SYNC, query("DEALLOCATE select"), used("select")],
    [query("PREPARE plan AS SELECT 1"), query("DEALLOCATE plan"), query("EXECUTE plan")],
    [query('PREPARE "all" AS SELECT 1'), query('DEALLOCATE "all"'), query('DEALLOCATE "all"')],
    [query("PREPARE s (int) AS SELECT $1"), query("EXECUTE s"), query("EXECUTE s(1, 2)")],
    [query("PREPARE s (int) AS SELECT $1"), query("EXECUTE s('x')"), query("EXECUTE s(true)")],
    [query("PREPARE s (int) AS SELECT $1"), query("EXECUTE s(nothing)"), query("EXECUTE s(1/0)")],
    [query("PREPARE s (int) AS SELECT $1"), query("EXECUTE s(twice(4))"), query("EXECUTE s((1))")],
    [query("PREPARE s (int) AS SELECT 1/$1"), query("EXECUTE s(0)"), query("EXECUTE s(1)")],
    # Transactions.
    [query("BEGIN"), MAKE, query("ROLLBACK"), query("EXECUTE s"), query("DEALLOCATE s")],
    [
        query("BEGIN"),
        query("SELECT 1/0"),
        MAKE,
        query("EXECUTE s"),
        query("END"),
        query("EXECUTE s"),
    ],
    [
        MAKE,
        query("BEGIN"),
        query("EXECUTE s(1)"),
        query("EXECUTE s"),
        query("END"),
        query("EXECUTE s"),
    ],
    [
        MAKE,
        query("BEGIN"),
        query("SAVEPOINT a"),
        query("EXECUTE s; SELECT 1/0"),
        query("ROLLBACK TO a"),
        query("EXECUTE s"),
        query("END"),
    ],
    [
        query("PREPARE s (int) AS INSERT INTO t VALUES ($1) RETURNING a"),
        query("BEGIN"),
        query("EXECUTE s(1)"),
        query("ROLLBACK"),
        query("EXECUTE s(2)"),
        query("TABLE t"),
        query("DELETE FROM t"),
    ],
    [
        query("PREPARE s AS UPDATE t SET a = 1"),
        query("EXECUTE s"),
        parse("EXECUTE s") + bind() + describe() + execute() + SYNC,
    ],
    # What has changed since.
    [
        query("PREPARE s AS SELECT * FROM t"),
        query("ALTER TABLE t ADD c int"),
        query("EXECUTE s"),
        query("BEGIN"),
        query("EXECUTE s"),
        query("EXECUTE s"),
        query("END"),
        query("ALTER TABLE t DROP c"),
        query("EXECUTE s"),
    ],
    [
        query("PREPARE s AS SELECT a FROM t"),
        query("ALTER TABLE t RENAME TO u"),
        query("EXECUTE s"),
        query("BEGIN"),
        query("EXECUTE s"),
        query("EXECUTE s"),
        query("END"),
        query("ALTER TABLE u RENAME TO t"),
        query("EXECUTE s"),
    ],
    [
        query("PREPARE s AS SELECT a FROM t"),
        query("SET search_path = first"),
        query("EXECUTE s"),
        query("BEGIN; SET LOCAL search_path = nowhere"),
        query("EXECUTE s"),
        query("END"),
    ],
    [
        query("PREPARE s AS SELECT extract(month FROM date '01/02/2020')::int"),
        query("SET datestyle = 'ISO, DMY'"),
        query("EXECUTE s"),
        query("BEGIN"),
        query("SET LOCAL datestyle = 'ISO, YMD'"),
        query("EXECUTE s"),
        query("END"),
    ],
    # In other company.
    [
        MAKE,
        query("EXPLAIN (COSTS off) EXECUTE s"),
        query("EXPLAIN EXECUTE nobody"),
        query("EXPLAIN (COSTS off, TIMING off, SUMMARY off, ANALYZE) EXECUTE s"),
    ],
    [MAKE, query("CREATE TEMP TABLE made AS EXECUTE s"), query("TABLE made"), query("EXECUTE s")],
    [MAKE, query("SELECT 1; EXECUTE s; DEALLOCATE s; EXECUTE s"), query("EXECUTE s")],
    [
        MAKE,
        query("SELECT 1; PREPARE r AS SELECT 2"),
        query("EXECUTE r"),
        query("EXECUTE s"),
        query("DEALLOCATE r"),
        query("EXECUTE s"),
    ],
    [
        MAKE,
        query("PREPARE r (int, varchar(3)) AS SELECT $1, $2"),
        NAMED,
        VIEW,
        query("DEALLOCATE r"),
        VIEW,
        query("EXECUTE s"),
    ],
    [
        query("PREPARE v AS SELECT name FROM pg_prepared_statements"),
        query("EXECUTE v"),
        MAKE,
        query("EXECUTE v"),
    ],
    [
        parse("select $1::int, $2::text", "p") + SYNC,
        query("EXECUTE p(1, 'a')"),
        query("EXECUTE p"),
        VIEW,
    ],
    [
        parse("begin", "b") + parse("commit", "c") + SYNC,
        query("EXECUTE b"),
        query("SELECT 1"),
        query("EXECUTE c"),
    ],
    [parse("prepare s as select 7") + bind() + execute() + SYNC, query("EXECUTE s"), used("s")],
    [MAKE, parse("execute s") + bind() + describe() + execute() + SYNC, query("EXECUTE s")],
    [MAKE, parse("select 8") + bind() + execute() + query("EXECUTE s") + SYNC, query("EXECUTE s")],
    [parse("select 9") + bind() + execute() + MAKE + SYNC, query("EXECUTE s"), used("s")],
    [
        query("PREPARE s AS SELECT pg_advisory_lock(5)"),
        query("EXECUTE s"),
        query("SELECT pg_advisory_unlock(5)"),
        query("EXECUTE s"),
        query("SELECT pg_advisory_unlock_all()"),
    ],
    [
        query("PREPARE s AS SELECT set_config('work_mem', '7MB', false)"),
        query("EXECUTE s"),
        query("SHOW work_mem"),
    ],
    [query("PREPARE s AS SELECT generate_series(1, 3000), repeat('x', 100)"), query("EXECUTE s")],
    [parse("copy t to stdout", "w") + SYNC, query("EXECUTE w"), query("EXECUTE w(1)")],
]


@pytest.mark.parametrize("requests", SPOKEN, ids=range(len(SPOKEN)))
def test_what_names_a_statement_is_answered_as_by_the_database(
    trio: Trio, requests: Requests
) -> None:
    alone, server, proxy = trio
    alone.psql(SCHEMA)
    with client(alone.port) as direct:
        wanted = told(direct, requests)
    server.psql(SCHEMA)
    with client(proxy.port) as proxied:
        for request, got, want in zip(requests, told(proxied, requests), wanted, strict=True):
            assert got == want, request
