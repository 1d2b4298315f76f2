"""A prepared statement is on every connection what it was when it was parsed."""

from __future__ import annotations

import asyncio
from typing import Any, LiteralString

import asyncpg
import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.raw_client import SYNC, RawClient, bind, describe, execute, parse, query
from tests.servers import HOST, PASSWORDS, Postgres

Connection = psycopg.Connection[Any]

SCHEMAS = """
CREATE SCHEMA first; CREATE SCHEMA second; GRANT USAGE ON SCHEMA first, second TO app;
CREATE TABLE first.t AS SELECT 1 AS a; CREATE TABLE second.t AS SELECT 2 AS a;
GRANT SELECT ON first.t, second.t TO app; GRANT other TO app; CREATE TABLE secret (a int);
"""
MONTH: LiteralString = "SELECT extract(month FROM date '01/02/2020')::int"
HOUR: LiteralString = "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')::int"
TABLE: LiteralString = "SELECT a FROM t"
SHOWN: list[LiteralString] = ["SHOW datestyle", "SHOW timezone", "SHOW search_path", "SHOW role"]


@pytest.fixture
def server(make_postgres: PostgresFactory) -> Postgres:
    """One with room for two connections of the proxy's to it."""
    server = make_postgres(max_connections=9)
    server.psql(SCHEMAS)
    return server


@pytest.fixture
def proxy(server: Postgres, make_proxy: ProxyFactory) -> Proxy:
    return make_proxy(server)


def shown(connection: Connection, sql: LiteralString, prepare: bool = True) -> object:
    """What a statement says; or the error."""
    try:
        row = connection.execute(sql, prepare=prepare).fetchone()
    except psycopg.Error as error:
        return error.sqlstate
    assert row is not None
    return row[0]


def does(connection: Connection, sql: LiteralString) -> None:
    connection.execute(sql, prepare=False)


CASES: list[tuple[LiteralString, LiteralString, list[LiteralString]]] = [
    (MONTH, "", ["SET datestyle = 'ISO, DMY'"]),
    (MONTH, "SET datestyle = 'ISO, DMY'", ["RESET datestyle"]),
    (MONTH, "", ["BEGIN", "SET LOCAL datestyle = 'ISO, DMY'"]),
    (MONTH, "", ["BEGIN", "SET datestyle = 'ISO, DMY'", "SAVEPOINT a"]),
    (HOUR, "SET timezone = 'Asia/Tokyo'", ["SET TIME ZONE 'America/New_York'"]),
    (HOUR, "", ["BEGIN", "SET TIME ZONE -7"]),
    (TABLE, "SET search_path = first", ["SET search_path = second"]),
    (TABLE, "SET search_path = first", ["BEGIN", "SET LOCAL search_path = second"]),
    (TABLE, "SET search_path = first", ["SET search_path = nowhere"]),
    (TABLE, "SET search_path = first", ["SET ROLE other"]),
    ("SELECT current_user::text", "", ["SET ROLE other"]),
    ("SELECT 'a\\b' || current_setting('standard_conforming_strings')", "", ["SET ROLE other"]),
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_a_statement_is_elsewhere_what_it_was_when_it_was_parsed(
    server: Postgres, proxy: Proxy, case: tuple[LiteralString, LiteralString, list[LiteralString]]
) -> None:
    sql, before, then = case
    told = []
    for connection in (server.connect("app"), proxy.connect(prepare_threshold=5)):
        with connection as client, proxy.connect() as other:
            if before:
                does(client, before)
            answers = [shown(client, sql)]
            # The one connection that has the statement is another client's now.
            does(other, "BEGIN")
            for one in then:
                does(client, one)
            answers += [shown(client, sql), shown(client, sql)]
            answers += [shown(client, one, prepare=False) for one in SHOWN]
        told.append(answers)
    assert told[1] == told[0]
    assert proxy.metric("dbproxy_session_pins_total") == 0


def test_clients_of_other_settings_share_no_statement(proxy: Proxy) -> None:
    with proxy.connect(prepare_threshold=5) as one, proxy.connect(prepare_threshold=5) as two:
        does(two, "SET datestyle = 'ISO, DMY'")
        for _ in range(3):
            assert shown(one, MONTH) == 1
            assert shown(two, MONTH) == 2
    assert proxy.metric("dbproxy_session_pins_total") == 0


def test_a_prepared_set_goes_with_its_client(proxy: Proxy) -> None:
    with proxy.connect(prepare_threshold=5) as client, proxy.connect() as other:
        client.execute("SET work_mem = '7MB'", prepare=True)
        does(other, "BEGIN")
        assert shown(client, "SHOW work_mem") == "7MB"
    assert proxy.metric("dbproxy_session_pins_total") == 0


def test_a_driver_that_prepares_everything_shares_fewer_connections(proxy: Proxy) -> None:
    """asyncpg names each statement, and asks for it and uses it in requests of their own."""

    async def work(number: int) -> list[int]:
        connection = await asyncpg.connect(
            host=HOST, port=proxy.port, user="app", password=PASSWORDS["app"], database="app"
        )
        try:
            told = []
            for step in range(20):
                told.append(await connection.fetchval("SELECT $1::int + $2::int", number, step))
                if step % 5 == 0:
                    await connection.reset()
            return told
        finally:
            await connection.close()

    async def eight() -> list[list[int]]:
        return await asyncio.gather(*(work(number) for number in range(8)))

    told = asyncio.run(eight())
    assert told == [[number + step for step in range(20)] for number in range(8)]
    assert proxy.metric("dbproxy_session_pins_total") == 0


def test_an_unnamed_statement_is_shared_that_is_used_in_a_later_request(proxy: Proxy) -> None:
    """As lib/pq and pg8000 use one: what it needs is asked for in a request of its own."""
    clients = [RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) for _ in range(6)]
    try:
        for _ in range(3):
            for number, client in enumerate(clients):
                client.send(parse(f"select {number}, 'x'") + describe(b"S") + SYNC)
                assert client.kinds() == b"1tTZ"
            for number, client in enumerate(clients):
                client.send(bind() + execute() + SYNC)
                rows = [payload for kind, payload in client.until() if kind == b"D"]
                assert rows == [b"\0\x02\0\0\0\x01" + str(number).encode() + b"\0\0\0\x01x"]
    finally:
        for client in clients:
            client.close()
    assert proxy.metric("dbproxy_session_pins_total") == 0


FOLDED: LiteralString = "SELECT (0.1::float8 + 0.2::float8)::text"
DATED: LiteralString = "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')::int FROM first.t"
PLANS: list[tuple[LiteralString, list[LiteralString]]] = [
    (FOLDED, ["SET extra_float_digits = -10"]),
    (FOLDED, ["BEGIN", "SET LOCAL extra_float_digits = -10"]),
    (FOLDED, ["BEGIN", "SET extra_float_digits = -10", "SAVEPOINT a"]),
    (DATED, ["SET timezone = 'Asia/Tokyo'"]),
    (DATED, ["BEGIN", "SET LOCAL timezone = 'Asia/Tokyo'"]),
]


@pytest.mark.parametrize("case", PLANS, ids=range(len(PLANS)))
def test_nobody_uses_a_plan_that_was_made_under_anothers_settings(
    server: Postgres, proxy: Proxy, case: tuple[LiteralString, list[LiteralString]]
) -> None:
    sql, sets = case
    with (
        proxy.connect(prepare_threshold=5) as victim,
        proxy.connect(prepare_threshold=5) as other,
        server.connect("app") as direct,
    ):
        wanted = shown(direct, sql)
        assert shown(other, sql) == wanted
        for one in sets:
            does(other, one)
        # Whoever uses it next analyses it anew.
        server.psql("ANALYZE first.t")
        shown(other, sql)
        if sets[0] == "BEGIN":
            does(other, "COMMIT")
        assert [shown(victim, sql) for _ in range(3)] == [wanted] * 3
    assert proxy.metric("dbproxy_session_pins_total") == 0


def test_what_has_no_columns_is_described_whatever_its_names_mean_by_now(
    server: Postgres, proxy: Proxy
) -> None:
    for port in (server.port, proxy.port):
        with RawClient(HOST, port).login("app", PASSWORDS["app"]) as client:
            client.send(query("SET search_path = first"))
            client.until()
            client.send(parse("delete from t", "w") + SYNC)
            client.until()
            client.send(query("SET search_path = nowhere"))
            client.until()
            client.send(describe(b"S", "w") + SYNC)
            assert client.kinds() == b"tnZ"
