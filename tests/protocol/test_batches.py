"""Batches of extended messages: open ones, failed ones, and simple queries amid them."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest
from tests.fix_proxy import Proxy
from tests.raw_client import (
    FLUSH,
    SYNC,
    Message,
    RawClient,
    bind,
    cstring,
    error_fields,
    execute,
    message,
    parse,
    query,
)
from tests.servers import HOST, PASSWORDS, Postgres

RUN = bind() + execute()
DONE = message(b"c")


@pytest.fixture
def raw(proxy: Proxy) -> Iterator[RawClient]:
    """A session without a driver."""
    with RawClient(HOST, proxy.port) as client:
        yield client.login("app", PASSWORDS["app"])


@pytest.fixture(scope="module")
def table(postgres: Postgres) -> str:
    """A table for rows that are copied."""
    with postgres.connect("app") as connection:
        connection.execute("CREATE TABLE copied (a int NOT NULL)")
    return "copied"


def test_an_error_is_told_before_its_batch_ends(raw: RawClient) -> None:
    raw.send(parse("SELEKT 1"))
    assert raw.error()["C"] == "42601"
    raw.send(SYNC)
    assert raw.kinds() == b"Z"
    assert raw.value("SELECT 1") == "1"


def test_rows_come_before_their_batch_ends(raw: RawClient) -> None:
    raw.send(parse("SELECT repeat('x', 1000) FROM generate_series(1, 200)") + RUN)
    kinds = b"".join(raw.read()[0] for _ in range(100))
    assert kinds == b"12" + b"D" * 98
    raw.send(SYNC)
    assert raw.until()[-1][0] == b"Z"


@pytest.mark.parametrize("copy", ["COPY copied FROM STDIN", "COPY copied TO STDOUT"])
@pytest.mark.parametrize("opened", [parse("SELECT 1", "s"), parse("SELECT 1") + RUN])
def test_a_copy_behind_a_batch_that_was_only_flushed_is_answered_as_by_the_database(
    proxy: Proxy, postgres: Postgres, table: str, copy: str, opened: bytes
) -> None:
    sent_ahead = message(b"d", b"1\n") + DONE if "FROM" in copy else b""
    answers = []
    for port in (proxy.port, postgres.port):
        with RawClient(HOST, port).login("app", PASSWORDS["app"]) as client:
            client.ask(f"TRUNCATE {table}")
            client.send(opened + FLUSH)
            client.send(query(copy) + sent_ahead)
            answers.append([client.until(), client.ask("SELECT count(*) FROM copied")])
    assert answers[0] == answers[1]


async def test_copy_of_asyncpg(proxy: Proxy, table: str) -> None:
    connection = await asyncpg.connect(
        host=HOST, port=proxy.port, user="app", password=PASSWORDS["app"], database="app"
    )
    try:
        await connection.execute(f"TRUNCATE {table}")
        for _ in range(3):
            await connection.copy_records_to_table(table, records=[(n,) for n in range(500)])
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 1500
    finally:
        await connection.close(timeout=5)


@pytest.mark.parametrize(
    "skipped",
    [
        query("SELECT 2"),
        query("SELECT 2") + parse("SELECT 3") + RUN + query("SELECT 4"),
        query("COPY copied FROM STDIN") + message(b"d", b"1\n") + DONE,
        message(b"F", b"nothing at all"),
    ],
)
def test_what_stands_between_an_error_and_its_sync_is_not_answered(
    proxy: Proxy, postgres: Postgres, skipped: bytes
) -> None:
    answers = []
    for port in (proxy.port, postgres.port):
        with RawClient(HOST, port).login("app", PASSWORDS["app"]) as client:
            client.send(parse("SELECT 1/0") + RUN + skipped + SYNC)
            answers.append([client.until(), client.ask("SELECT 1")])
    assert answers[0] == answers[1]
    assert error_fields(answers[0][0][-2][1])["C"] == "22012"


@pytest.mark.usefixtures("table")
def test_a_batch_behind_a_copy_that_its_client_fails_is_answered_as_by_the_database(
    proxy: Proxy, postgres: Postgres
) -> None:
    """With a Sync behind the COPY, which the server throws away: tokio-postgres and pgx send it."""
    answers = []
    for port in (proxy.port, postgres.port):
        with RawClient(HOST, port).login("app", PASSWORDS["app"]) as client:
            client.send(parse("COPY copied FROM STDIN") + RUN + SYNC)
            begun = client.until(b"G")
            client.send(message(b"f", cstring("enough")) + SYNC + parse("SELECT 8") + RUN + SYNC)
            answers.append([begun, client.until(), client.until(), client.ask("SELECT 1")])
    assert answers[0] == answers[1]


def test_the_unnamed_statement_is_the_last_one_that_was_parsed_wherever_that_was(
    proxy: Proxy,
) -> None:
    """Two take turns on few connections: what is left there is not what was parsed last."""

    def answer(client: RawClient, *parts: bytes) -> list[Message]:
        client.send(*parts)
        return [one for one in client.until() if one[0] == b"D"]

    def login() -> RawClient:
        return RawClient(HOST, proxy.port).login("app", PASSWORDS["app"])

    with login() as first, login() as second:
        for number in range(20):
            answer(first, parse(f"SELECT 'first {number}'") + RUN, SYNC)
            second.ask("BEGIN")
            answer(first, parse(f"SELECT 'newer {number}'") + RUN, SYNC)
            second.ask("COMMIT")
            rows = answer(first, RUN, SYNC)
            assert cstring(f"newer {number}")[:-1] in rows[0][1]
