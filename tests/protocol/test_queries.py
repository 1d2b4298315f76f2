"""What clients send day by day is answered as by the database itself: drivers, raw messages."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import asyncpg
import psycopg
import pytest
from psycopg import sql
from tests.fix_proxy import Proxy
from tests.raw_client import (
    FLUSH,
    SYNC,
    RawClient,
    bind,
    cstring,
    describe,
    error_fields,
    execute,
    message,
    parse,
    query,
)
from tests.servers import HOST, PASSWORDS, Postgres


@pytest.fixture
def raw(proxy: Proxy) -> Iterator[RawClient]:
    """A session without a driver."""
    with RawClient(HOST, proxy.port) as client:
        yield client.login("app", PASSWORDS["app"])


def both(proxy: Proxy, postgres: Postgres, *parts: bytes, syncs: int = 1) -> list[list[object]]:
    """What the proxy and the database answer to the same messages."""
    answers: list[list[object]] = []
    for port in (proxy.port, postgres.port):
        with RawClient(HOST, port).login("app", PASSWORDS["app"]) as client:
            client.send(*parts)
            answers.append([message for _ in range(syncs) for message in client.until()])
    return answers


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "",
        ";",
        "SELECT 1; SELECT 2; SELECT 3",
        "SELECT 1/0",
        "SELECT 1; SELECT 1/0; SELECT 3",
        "nonsense",
        "SELECT NULL, '', 'ü', E'\\\\x'",
        "SELECT generate_series(1, 3)",
        "DO $$ BEGIN RAISE NOTICE 'hello'; END $$",
        "BEGIN; SELECT 1; COMMIT",
        "BEGIN; SELECT 1/0; COMMIT",
        'SELECT 1 AS "äö" WHERE false',
        "COPY (SELECT generate_series(1, 5)) TO STDOUT",
    ],
)
def test_a_simple_query_is_answered_as_by_the_database(
    proxy: Proxy, postgres: Postgres, text: str
) -> None:
    through, direct = both(proxy, postgres, query(text))
    assert through == direct


@pytest.mark.parametrize(
    ("parts", "syncs"),
    [
        ([parse("SELECT 1"), bind(), describe(), execute(), SYNC], 1),
        ([parse("SELECT 1"), describe(b"S"), SYNC], 1),
        ([SYNC], 1),
        ([SYNC, SYNC, SYNC], 3),
        ([parse("nonsense"), bind(), execute(), SYNC], 1),
        ([parse("SELECT 1/0"), bind(), execute(), SYNC, query("SELECT 2")], 2),
        ([parse("SELECT 1"), bind(), execute(), parse("SELECT 2"), bind(), execute(), SYNC], 1),
        ([parse("SELECT generate_series(1, 9)"), bind(), execute(rows=4), execute(), SYNC], 1),
        ([bind("missing"), execute(), SYNC], 1),
        ([message(b"E", b"\0"), SYNC, query("SELECT 1")], 2),
        ([message(b"B", b"\0\0\xff\xff\0\0"), SYNC, query("SELECT 1")], 2),
        ([query("SELECT 1"), query("SELECT 2"), query("SELECT 3")], 3),
        ([query("BEGIN"), query("SELECT 1"), query("SELECT 1/0"), query("ROLLBACK")], 4),
    ],
)
def test_an_extended_query_is_answered_as_by_the_database(
    proxy: Proxy, postgres: Postgres, parts: list[bytes], syncs: int
) -> None:
    through, direct = both(proxy, postgres, *parts, syncs=syncs)
    assert through == direct


def test_a_flush_brings_answers_before_the_sync(raw: RawClient) -> None:
    raw.send(parse("SELECT 1"), bind(), execute(), FLUSH)
    assert [kind for kind, _ in raw.until(b"C")] == [b"1", b"2", b"D", b"C"]
    raw.send(SYNC)
    assert raw.kinds() == b"Z"


def test_a_message_that_comes_byte_by_byte_is_understood(raw: RawClient) -> None:
    for byte in query("SELECT 'slowly'"):
        raw.send(bytes([byte]))
    assert raw.kinds() == b"TDCZ"


def test_a_hundred_queries_in_one_write_are_answered_in_order(raw: RawClient) -> None:
    raw.send(*(query(f"SELECT {number}") for number in range(100)))
    values = []
    for _ in range(100):
        values += [payload[6:].decode() for kind, payload in raw.until() if kind == b"D"]
    assert values == [str(number) for number in range(100)]


def test_large_values_go_both_ways(proxy: Proxy) -> None:
    large = "x" * 20_000_000
    with proxy.connect() as connection:
        row = connection.execute("SELECT length(%s), repeat('y', 20000000)", (large,)).fetchone()
    assert row is not None
    assert row[0] == len(large)
    assert len(row[1]) == 20_000_000


def test_many_rows_come_whole(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        rows = connection.execute("SELECT n, repeat('z', 100) FROM generate_series(1, 200000) n")
        assert sum(row[0] for row in rows) == 200_000 * 200_001 // 2


def test_a_statement_larger_than_any_buffer_is_run(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        text = "SELECT 1 /* " + "c" * 3_000_000 + " */"
        assert connection.execute(sql.SQL(text)).fetchone() == (1,)


def test_copy_in_and_out(proxy: Proxy) -> None:
    rows = [(number, f"row {number}") for number in range(50_000)]
    with proxy.connect() as connection, connection.transaction():
        connection.execute("CREATE TABLE copied (id int, text text)")
        with connection.cursor() as cursor:
            with cursor.copy("COPY copied FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            with cursor.copy("COPY copied TO STDOUT") as copy:
                copy.set_types(["int4", "text"])
                assert list(copy.rows()) == rows
        connection.execute("DROP TABLE copied")


def test_copy_of_psql_both_ways(proxy: Proxy, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_text("".join(f"{number}\n" for number in range(1000)))
    script = (
        (
            "CREATE TABLE by_psql (id int)\n"
            f"\\copy by_psql from {source}\n"
            f"\\copy (SELECT id FROM by_psql ORDER BY id) to {tmp_path / 'out'}\n"
            "DROP TABLE by_psql\n"
        )
        .replace(")\n\\", ");\n\\")
        .replace("by_psql\n", "by_psql;\n")
    )
    subprocess.run(
        ["psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", proxy.dsn()],
        input=script,
        text=True,
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "out").read_text() == source.read_text()


def copy_and_fail(connection: psycopg.Connection[Any]) -> None:
    with connection.cursor() as cursor, cursor.copy("COPY half FROM STDIN") as copy:
        copy.write("1\n")
        raise ZeroDivisionError


def test_a_copy_that_the_client_fails_leaves_the_session_usable(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        connection.execute("CREATE TABLE half (id int)")
        with pytest.raises(ZeroDivisionError):
            copy_and_fail(connection)
        assert connection.execute("SELECT count(*) FROM half").fetchone() == (0,)
        connection.execute("DROP TABLE half")


def test_a_copy_that_the_database_fails_leaves_the_session_usable(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        connection.execute("CREATE TABLE wrong (id int)")
        with (
            pytest.raises(psycopg.errors.InvalidTextRepresentation),
            connection.cursor() as cursor,
            cursor.copy("COPY wrong FROM STDIN") as copy,
        ):
            copy.write("not a number\n")
        assert connection.execute("SELECT count(*) FROM wrong").fetchone() == (0,)
        connection.execute("DROP TABLE wrong")


def test_copy_swallows_syncs_that_were_sent_too_early(raw: RawClient) -> None:
    raw.ask("CREATE TABLE swallowed (id int)")
    raw.send(parse("COPY swallowed FROM STDIN"), bind(), execute(), SYNC)
    assert [kind for kind, _ in raw.until(b"G")] == [b"1", b"2", b"G"]
    raw.send(SYNC, message(b"d", b"1\n"), SYNC, message(b"c"), SYNC)
    assert raw.kinds() == b"CZ"
    assert raw.value("SELECT count(*) FROM swallowed") == "1"
    raw.ask("DROP TABLE swallowed")


def test_pipelines_of_psycopg(proxy: Proxy) -> None:
    with proxy.connect() as connection, connection.pipeline():
        cursors = [connection.execute("SELECT %s", (number,)) for number in range(50)]
        assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(50)]


def pipeline_of(connection: psycopg.Connection[Any], *texts: LiteralString) -> None:
    with connection.pipeline():
        for text in texts:
            connection.execute(text)


def test_an_error_in_a_pipeline_skips_to_its_sync(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            pipeline_of(connection, "SELECT 1/0", "SELECT 1")
        assert connection.execute("SELECT 2").fetchone() == (2,)


def test_a_transaction_keeps_its_connection(proxy: Proxy) -> None:
    with proxy.connect() as one, proxy.connect() as two, one.transaction():
        pid = one.execute("SELECT pg_backend_pid()").fetchone()
        for _ in range(5):
            assert two.execute("SELECT pg_backend_pid()").fetchone() != pid
            assert one.execute("SELECT pg_backend_pid()").fetchone() == pid


def test_a_failed_transaction_stays_failed_until_it_is_rolled_back(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        connection.execute("BEGIN")
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.execute("ROLLBACK")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_savepoints(proxy: Proxy) -> None:
    with proxy.connect() as connection, connection.transaction():
        connection.execute("CREATE TABLE saved (id int)")
        with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
            connection.execute("INSERT INTO saved VALUES (1/0)")
        with connection.transaction():
            connection.execute("INSERT INTO saved VALUES (2)")
        assert connection.execute("SELECT id FROM saved").fetchall() == [(2,)]
        connection.execute("DROP TABLE saved")


def test_a_cursor_of_the_server_within_a_transaction(proxy: Proxy) -> None:
    with (
        proxy.connect() as connection,
        connection.transaction(),
        connection.cursor(name="rows") as cursor,
    ):
        cursor.execute("SELECT generate_series(1, 1000)")
        cursor.itersize = 10
        assert sum(row[0] for row in cursor) == 500_500


def test_notices_reach_their_client(proxy: Proxy) -> None:
    heard: list[str | None] = []
    with proxy.connect() as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
    assert heard == ["hello"]


def test_large_objects(proxy: Proxy) -> None:
    with proxy.connect() as connection, connection.transaction():
        oid = connection.execute("SELECT lo_from_bytea(0, %s)", (b"large",)).fetchone()
        assert oid is not None
        assert connection.execute("SELECT lo_get(%s)", oid).fetchone() == (b"large",)
        connection.execute("SELECT lo_unlink(%s)", oid)


async def test_prepared_statements_of_asyncpg(proxy: Proxy) -> None:
    connection = await asyncpg.connect(
        host=HOST, port=proxy.port, user="app", password=PASSWORDS["app"], database="app", ssl=False
    )
    statement = await connection.prepare("SELECT $1::int * 2")
    assert [await statement.fetchval(number) for number in range(20)] == list(range(0, 40, 2))
    rows = await connection.fetch("SELECT * FROM unnest($1::text[])", ["a", "b"])
    assert [row[0] for row in rows] == ["a", "b"]
    data = io.BytesIO()
    await connection.copy_from_query("SELECT 7", output=data)
    assert data.getvalue() == b"7\n"
    await connection.close()


def test_prepared_statements_of_psycopg(proxy: Proxy) -> None:
    with proxy.connect(prepare_threshold=0) as connection:
        for number in range(20):
            assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)


def test_a_function_call_message(raw: RawClient) -> None:
    oid = int(raw.value("SELECT 'pg_catalog.int4pl(int4,int4)'::regprocedure::oid"))
    numbers = b"".join((4).to_bytes(4, "big") + number.to_bytes(4, "big") for number in (40, 2))
    head = oid.to_bytes(4, "big") + b"\0\1\0\1" + b"\0\2"
    raw.send(message(b"F", head + numbers + b"\0\1"))
    answer = raw.until()
    assert answer[0] == (b"V", (4).to_bytes(4, "big") + (42).to_bytes(4, "big"))


def test_an_error_has_all_the_fields_of_the_database(raw: RawClient) -> None:
    raw.ask("CREATE TABLE fields (id int CONSTRAINT positive CHECK (id > 0))")
    answer = raw.ask("INSERT INTO fields VALUES (-1)")
    fields = error_fields(answer[0][1])
    assert (fields["C"], fields["n"], fields["t"]) == ("23514", "positive", "fields")
    raw.ask("DROP TABLE fields")


def test_a_terminated_backend_tells_its_client_verbatim(proxy: Proxy, postgres: Postgres) -> None:
    with proxy.connect() as connection:
        connection.execute("BEGIN")
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        postgres.psql("SELECT pg_terminate_backend(%s)", row[0])
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("SELECT 1")
        assert caught.value.sqlstate in ("57P01", "40001")


def test_a_password_message_in_the_middle_of_a_session_is_a_violation(raw: RawClient) -> None:
    raw.send(message(b"p", cstring("again")))
    assert [kind for kind, _ in raw.closed()][:1] == [b"E"]
