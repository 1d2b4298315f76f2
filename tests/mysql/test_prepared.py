"""Prepared statements that clients share: each is answered as if its own connection had them."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest
from tests.certificates import Authority
from tests.fix_mysql import MySQLFactory
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.prepared import CURSOR, EXECUTE, RESET_CONNECTION, Raw, Statement
from tests.mysql_servers import Kind, MySQL

Script = Callable[[Raw, Raw], list[object]]


@pytest.fixture(scope="module")
def shared(mysql_kind: Kind, mysql: MySQL, authority: Authority) -> Iterator[MySQLProxy]:
    """A proxy of few connections, of which clients that hold none are given the same."""
    mysql.sql("CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b LONGTEXT)")
    factory = MySQLProxyFactory(mysql_kind, authority)
    try:
        proxy = factory(mysql, start=False)
        proxy.workers = 1
        proxy.write_pool(maxConnectionsPercent=10, maxIdleConnectionsPercent=10)
        proxy.start()
        yield proxy
    finally:
        factory.close()


def attempt(act: Callable[[], object]) -> object:
    """What it answers, or the error."""
    try:
        return act()
    except pymysql.MySQLError as error:
        return error.args


def both_types(one: Raw, other: Raw) -> list[object]:
    told: list[object] = []
    first, second = one.prepare("SELECT ?"), other.prepare("SELECT ?")
    told += [first.execute(5), second.execute("five"), first.execute(6, types=False)]
    told += [second.execute("six", types=False), first.execute(None, types=False)]
    return told


def never_sent(one: Raw, other: Raw) -> list[object]:
    first, second = one.prepare("SELECT ?"), other.prepare("SELECT ?")
    return [second.execute("x"), first.execute(5, types=False), first.execute(5)]


def sent_ahead(one: Raw, other: Raw) -> list[object]:
    first, second = one.prepare("SELECT ?, ?"), other.prepare("SELECT ?, ?")
    first.long_data(0, b"abc")
    told: list[object] = [second.execute("x", 7)]
    first.long_data(0, b"def")
    told += [first.execute(..., 5), first.execute("now", 6), second.execute(..., 8)]
    second.long_data(1, b"left")
    second.close()
    told += [first.execute("x", 9), other.prepare("SELECT ?, ?").execute("a", 10)]
    first.long_data(0, b"reset")
    told += [first.reset(), first.execute("c", 11)]
    return told


def wrong_parameter(one: Raw, other: Raw) -> list[object]:
    first, second = one.prepare("SELECT ?"), other.prepare("SELECT ?")
    first.long_data(7, b"abc")
    told: list[object] = [second.execute("x"), first.execute("y")]
    return [*told, second.execute("z"), first.reset(), first.execute("y")]


def cursors(one: Raw, other: Raw) -> list[object]:
    text = "SELECT 1 UNION SELECT 2 UNION SELECT 3"
    first, again, second = one.prepare(text), one.prepare(text), other.prepare(text)
    told: list[object] = [first.execute(flags=CURSOR), second.execute(flags=CURSOR)]
    told += [first.fetch(1), second.fetch(2), again.execute(flags=CURSOR), again.fetch(1)]
    told += [one.query("SELECT 1"), first.fetch(2), first.fetch(2)]
    told += [again.reset(), again.fetch(1), second.fetch(2), again.execute(flags=CURSOR)]
    again.close()
    return [*told, again.fetch(1), first.execute(flags=CURSOR), first.fetch(9)]


def many_texts(one: Raw, other: Raw) -> list[object]:
    """More than a connection keeps."""
    statements = [(one, other)[number % 2].prepare(f"SELECT {number}") for number in range(230)]
    return [statement.execute() for statement in (*statements, *statements[:5])]


def definitions(one: Raw, other: Raw) -> list[object]:
    told: list[object] = []
    one.query("CREATE TABLE d (a INT)")
    one.query("INSERT INTO d VALUES (1)")
    try:
        first, second = one.prepare("SELECT * FROM d"), other.prepare("SELECT * FROM d")
        told += [first.execute(), second.execute()]
        one.query("ALTER TABLE d ADD b INT")
        told += [first.execute(), second.execute(), first.execute()]
    finally:
        one.query("DROP TABLE d")
    told += [first.execute(), second.execute()]
    return [*told, attempt(lambda: one.prepare("SELECT * FROM d")), one.query("SELECT 1")]


def settings(one: Raw, other: Raw) -> list[object]:
    one.query("SET sql_mode = 'ANSI_QUOTES'")
    first, second = one.prepare('SELECT "a" FROM t'), other.prepare('SELECT "a" FROM t')
    told: list[object] = [first.execute(), second.execute()]
    one.query("SET sql_mode = ''")
    other.query("SET sql_mode = 'ANSI_QUOTES'")
    return [*told, first.execute(), second.execute(), one.prepare('SELECT "a" FROM t').execute()]


def databases(one: Raw, other: Raw) -> list[object]:
    first, second = one.prepare("SELECT a FROM t"), other.prepare("SELECT DATABASE()")
    one.query("USE second")
    other.query("USE second")
    told: list[object] = [first.execute(), second.execute(), one.query("SELECT DATABASE()")]
    other.query("BEGIN")
    told += [
        other.prepare("SELECT a FROM app.t").execute(),
        attempt(lambda: one.prepare("SELECT a FROM t")),
    ]
    other.query("COMMIT")
    return [*told, first.execute()]


def transactions(one: Raw, other: Raw) -> list[object]:
    write, read = (
        one.prepare("INSERT INTO t (a) VALUES (?)"),
        other.prepare("SELECT COUNT(*) FROM t"),
    )
    told: list[object] = [read.execute()]
    one.query("BEGIN")
    told += [
        write.execute(1),
        write.reset(),
        read.execute(),
        one.prepare("SELECT COUNT(*) FROM t").execute(),
    ]
    one.query("ROLLBACK")
    told += [
        read.execute(),
        one.prepare("SET autocommit = 0").execute(),
        write.execute(2),
        read.execute(),
    ]
    told += [one.prepare("COMMIT").execute(), read.execute()]
    return [*told, one.prepare("SELECT LAST_INSERT_ID()").execute(), write.execute(3)]


def bindings(one: Raw, other: Raw) -> list[object]:
    told: list[object] = [one.prepare("SET @v = ?").execute(5), other.query("SELECT @v")]
    told += [one.prepare("SELECT @v").execute(), other.prepare("SELECT @v").execute()]
    told += [one.prepare("SELECT GET_LOCK('x', 0)").execute()]
    told += [other.prepare("SELECT IS_FREE_LOCK('x')").execute()]
    return [*told, one.prepare("SELECT RELEASE_LOCK('x')").execute()]


def errors(one: Raw, _: Raw) -> list[object]:
    statement = one.prepare("SELECT ?")
    told = [attempt(lambda: one.prepare("nonsense")), statement.fetch(1)]
    statement.send(EXECUTE, b"\0")
    told += [attempt(one.packet), statement.reset()]
    statement.send(EXECUTE, struct.pack("<BI", 0, 1))
    told += [attempt(one.packet), statement.execute(5)]
    statement.close()
    told += [statement.execute(5), statement.fetch(5)]
    statement.long_data(0, b"x")
    told += [statement.reset(), one.query("SELECT 1")]
    statement = one.prepare("SELECT 1")
    one.send(RESET_CONNECTION)
    one.packet()
    told += [statement.execute(), one.query("SELECT 2")]
    last = Statement(one, 0xFFFFFFFF, 0)
    told += [one.prepare("SELECT 3").execute(), last.execute()]
    return told


SCRIPTS = (
    both_types,
    never_sent,
    sent_ahead,
    wrong_parameter,
    cursors,
    many_texts,
    definitions,
    settings,
    databases,
    transactions,
    bindings,
    errors,
)


def played(script: Script, connect: Callable[[], Any], server: MySQL) -> list[object]:
    """What two clients are told by a script."""
    server.sql("TRUNCATE TABLE app.t")
    server.sql("INSERT INTO app.t (a, b) VALUES (1, 'one')")
    with contextlib.closing(Raw(connect())) as one, contextlib.closing(Raw(connect())) as other:
        return script(one, other)


def unnumbered(told: list[object]) -> list[object]:
    """Without the numbers of statements in errors: a server's own have gaps."""
    return [
        (one[0], re.sub(r"\(\d+\)", "(n)", one[1])) if isinstance(one, tuple) else one
        for one in told
    ]


@pytest.mark.parametrize("script", SCRIPTS)
def test_two_clients_are_told_what_each_would_be_alone(
    shared: MySQLProxy, mysql: MySQL, script: Script
) -> None:
    direct = played(script, lambda: mysql.connect("app", password=b"app-password"), mysql)
    assert unnumbered(played(script, shared.client, mysql)) == unnumbered(direct)


def test_more_clients_than_connections_share_a_statement(shared: MySQLProxy, mysql: MySQL) -> None:
    text = "SELECT ? /* shared */"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(Raw(shared.client()))) for _ in range(12)]
        before = prepared_statements(mysql)
        statements = [client.prepare(text) for client in clients]
        for turn in range(5):
            for place, statement in enumerate(statements):
                expected = b"\0\0" + struct.pack("<q", 100 * turn + place)
                assert statement.execute(100 * turn + place, types=turn == 0) == [expected]
        assert len(mysql.connections("app")) < len(clients) / 2
        assert prepared_statements(mysql) - before < len(clients)
        assert shared.metric("dbproxy_sessions_pinned") == 0


def prepared_statements(mysql: MySQL) -> int:
    """How many the server has for all its connections."""
    return int(mysql.sql("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")[0][1])


def test_a_statement_that_had_a_cursor_is_executed_without_one(shared: MySQLProxy) -> None:
    """MySQL 8.0.31 itself doesn't end the answer to that."""
    with (
        contextlib.closing(Raw(shared.client())) as one,
        contextlib.closing(Raw(shared.client())) as other,
    ):
        statement = one.prepare("SELECT 1 /* cursor */")
        assert statement.execute(flags=CURSOR) == []
        (row,) = statement.execute()
        assert statement.execute(flags=CURSOR) == []
        # A number of another width.
        assert statement.fetch(9)[0][:6] == row[:6]
        assert other.prepare("SELECT 1 /* cursor */").execute() == [row]
        assert statement.execute() == [row]


def test_a_server_without_room_for_more_is_given_some(shared: MySQLProxy, mysql: MySQL) -> None:
    with contextlib.closing(Raw(shared.client())) as client:
        statements = [client.prepare(f"SELECT {number} /* room */") for number in range(20)]
        kept = prepared_statements(mysql)
        assert kept >= 20
        mysql.sql(f"SET GLOBAL max_prepared_stmt_count = {kept}")
        try:
            rows = [client.prepare(f"SELECT {number} /* more */").execute() for number in range(20)]
            assert [statement.execute() for statement in statements] == rows
        finally:
            mysql.sql("SET GLOBAL max_prepared_stmt_count = DEFAULT")


def test_a_statement_outlives_its_server(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    first = make_mysql()
    second = make_mysql.replica_of(first)
    proxy = make_mysql_proxy(first, second)
    with contextlib.closing(Raw(proxy.client())) as client:
        statement = client.prepare("SELECT @@port + ?")
        assert statement.execute(1) == [b"\0\0" + struct.pack("<q", first.port + 1)]
        ahead = client.prepare("SELECT ?")
        ahead.long_data(0, b"abc")
        first.set_read_only()
        second.set_read_only(False)
        proxy.elect(second.name)
        proxy.wait_writer(second.name)
        assert statement.execute(2, types=False) == [b"\0\0" + struct.pack("<q", second.port + 2)]
        assert ahead.execute(...)[0] == 1213
        ahead.long_data(0, b"def")
        assert ahead.execute(...) == [b"\0\0\3def"]


@pytest.mark.parametrize("size", [1 << 20, (1 << 24) - 1, (1 << 24) + 5])
def test_a_large_parameter_goes_through(shared: MySQLProxy, mysql: MySQL, size: int) -> None:
    mysql.sql("SET GLOBAL max_allowed_packet = 64 * 1024 * 1024")
    mysql.end_connections("app")
    with contextlib.closing(Raw(shared.client())) as client:
        statement = client.prepare("SELECT LENGTH(?)")
        found = statement.execute("x" * size)
        assert int.from_bytes(found[0][2:], "little") == size
        statement.long_data(0, b"y" * size)
        assert statement.execute(...) == found
