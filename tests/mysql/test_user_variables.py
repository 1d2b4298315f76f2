"""User variables are their client's own, on whatever connection. Each script is run on the
database itself by two clients, then through the proxy, where they share connections: the same
bytes are wanted, so types, lengths and collations as well."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from tests.certificates import Authority
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.sharing import few_connections
from tests.mysql.wire import packets
from tests.mysql_servers import Kind, MySQL

OBJECTS = (
    "TABLE v (id INT AUTO_INCREMENT PRIMARY KEY, a VARCHAR(20))",
    "FUNCTION seen() RETURNS VARCHAR(20) RETURN CONCAT(@a, '!')",
    "TRIGGER copies BEFORE INSERT ON v FOR EACH ROW SET NEW.a = @a",
    "TABLE w (id INT AUTO_INCREMENT PRIMARY KEY)",
    "TRIGGER tells BEFORE INSERT ON w FOR EACH ROW SELECT 5, 'x' INTO @told, @`Too`",
)
# Statements of client `a`, apart by `;`. Client `b` asks for all variables between any two of them.
FOLLOWED = [
    "SELECT @a; SET @a = NULL; SELECT @a",
    "SET @a = 5; SELECT @a; SELECT @a, @A, @`a`, @b; SET @a = -5; SELECT @a",
    "SET @a = +5, @b = 1.50, @c = 1e3; SELECT @a, @b, @c; SELECT @a + @b",
    "SET @a = 18446744073709551615; SELECT @a; SET @a = 99999999999999999999999; SELECT @a",
    "SET @a = TRUE, @b = false; SELECT @a, @b",
    "SET @a = 'x', @b = \"y\"; SELECT @a, COLLATION(@a), COERCIBILITY(@b); SELECT @b",
    "SET @a = 'it''s \\' \\\\ \\n'; SELECT @a, LENGTH(@a)",
    "SET @a = 'äöü'; SELECT @a, LENGTH(@a), CHAR_LENGTH(@a)",
    "SET @a = _latin1'x'; SELECT @a, COLLATION(@a)",
    "SET @a = x'4142', @b = 0x41, @c = b'01'; SELECT @a, @b, @c, COLLATION(@a)",
    "SET @a := 5; SELECT @a",
    "SET @a = 5; SET @a = NULL; SELECT @a; SET @a = 'x'; SET @a = NULL; SELECT @a",
    "SET @a = 'x'; SET @a = 5; SELECT @a",
    "SET @a = 5, @a = 'x'; SELECT @a",
    "SET @a = 'x'; INSERT INTO v () VALUES (); SELECT a FROM v",
    "SET @a = 5; BEGIN; SELECT @a; SET @a = 6; ROLLBACK; SELECT @a",
    "SET NAMES latin1; SET @a = 'x'; SELECT @a, COLLATION(@a)",
    "SET sql_mode = 'ANSI_QUOTES'; SET @a = 'x'; SELECT @a, @\"a\"",
    "SET @a = 5; SET time_zone = '+01:00'; SELECT @a, @@time_zone",
]
BOUND = [
    "SET @a = 5; SELECT @a := @a + 1; SELECT @a",
    "SET @a = 5; SELECT 6 INTO @a; SELECT @a",
    "SET @a = 1 + 1; SELECT @a",
    "SET @a = 'x'; SET NAMES latin1; SELECT @a, COLLATION(@a)",
    "SET @a = 'x'; SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SELECT @a",
    "SET @a = 5; SET @b = @a; SELECT @b",
    "SET @a = 5, time_zone = '+01:00'; SELECT @a",
    "SET @a = 5, time_zone = 'bad'; SELECT @a",
    "SET @`a b` = 5; SELECT @`a b`",
]
ELSEWHERE = "SELECT @a, @b, @c, @`a b`"


@pytest.fixture(scope="module")
def shared(mysql_kind: Kind, mysql: MySQL, authority: Authority) -> Iterator[MySQLProxy]:
    """A proxy of few connections, over a server with what the scripts name."""
    with few_connections(mysql_kind, mysql, authority, OBJECTS) as proxy:
        yield proxy


def played(script: str, connect: Any, server: MySQL) -> list[tuple[str, list[bytes]]]:
    """What both clients of a script are told."""
    server.sql("TRUNCATE TABLE app.v")
    with contextlib.closing(connect()) as client, contextlib.closing(connect()) as other:
        told = []
        for text in script.split("; "):
            told.append((text, packets(client, text)))
            told.append(("elsewhere", packets(other, ELSEWHERE)))
        return told


@pytest.mark.parametrize("script", FOLLOWED)
def test_what_is_set_to_a_literal_goes_with_its_client(
    shared: MySQLProxy, mysql: MySQL, script: str
) -> None:
    pins = shared.metric("dbproxy_session_pins_total")
    assert played(script, shared.client, mysql) == played(script, direct(mysql), mysql)
    assert shared.metric("dbproxy_session_pins_total") == pins


@pytest.mark.parametrize("script", BOUND)
def test_what_is_set_otherwise_binds(shared: MySQLProxy, mysql: MySQL, script: str) -> None:
    pins = shared.metric("dbproxy_session_pins_total")
    assert played(script, shared.client, mysql) == played(script, direct(mysql), mysql)
    assert shared.metric("dbproxy_session_pins_total") > pins


def test_a_function_reads_what_its_client_has_set(shared: MySQLProxy, mysql: MySQL) -> None:
    script = "SET @a = 'x'; SELECT seen(); SELECT @a"
    assert played(script, shared.client, mysql) == played(script, direct(mysql), mysql)


TOLD = "SELECT @told, @too"
UNTOLD = {
    "alone": [TOLD],
    "in a transaction": ["BEGIN", TOLD, "SELECT @TOLD, @`told`", "COMMIT", TOLD],
    "behind its own reads": ["BEGIN", "SELECT COUNT(*) FROM w", TOLD, "COMMIT"],
    "in a text that sets it": ["BEGIN", "SELECT @told, @told := 1", "SELECT @told"],
    "by name": ["PREPARE s FROM 'SELECT @told, @too'", "EXECUTE s"],
}


@pytest.mark.parametrize("texts", UNTOLD.values(), ids=list(UNTOLD))
def test_what_a_trigger_sets_is_told_to_no_other_client(
    shared: MySQLProxy, mysql: MySQL, texts: list[str]
) -> None:
    """No server reports it: the trigger sets it by INTO."""

    def rows(connect: Any) -> list[tuple[Any, ...]]:
        with contextlib.ExitStack() as stack:
            many = [stack.enter_context(contextlib.closing(connect())) for _ in range(8)]
            for client in many:
                packets(client, "INSERT INTO w () VALUES ()")
            cursor = stack.enter_context(contextlib.closing(connect())).cursor()
            told: list[tuple[Any, ...]] = []
            for text in texts:
                cursor.execute(text)
                told += cursor.fetchall()
            return told

    mysql.sql("TRUNCATE TABLE app.w")
    wanted = rows(direct(mysql))
    mysql.sql("TRUNCATE TABLE app.w")
    assert rows(shared.client) == wanted


def test_in_one_transaction_a_client_reads_what_its_trigger_has_set(shared: MySQLProxy) -> None:
    with contextlib.closing(shared.client()) as client:
        cursor = client.cursor()
        for text in ["BEGIN", "INSERT INTO w () VALUES ()", TOLD]:
            cursor.execute(text)
        assert cursor.fetchall() == ((5, "x"),)


def test_by_the_operators_rule_nothing_that_is_set_binds(
    mysql_kind: Kind, mysql: MySQL, authority: Authority
) -> None:
    factory = MySQLProxyFactory(mysql_kind, authority)
    try:
        proxy = factory(mysql)
        filters = ["EXCLUDE_VARIABLE_SETS"]
        proxy.write_pool(
            maxConnectionsPercent=4, maxIdleConnectionsPercent=4, sessionPinningFilters=filters
        )
        proxy.wait_config()
        with contextlib.closing(proxy.client()) as one, contextlib.closing(proxy.client()) as other:
            for text in ["SET @a = 1 + 1", "SET max_error_count = 5", "SET timestamp = 1000"]:
                packets(one, text)
            cursor = other.cursor()
            cursor.execute("SELECT @a, @@max_error_count = 5, NOW() < '2000-01-01'")
            assert cursor.fetchall() == ((None, 0, 0),)
        assert proxy.metric("dbproxy_session_pins_total") == 0
    finally:
        factory.close()


def direct(server: MySQL) -> Any:
    def connect(**options: Any) -> pymysql.connections.Connection[Any]:
        return server.connect("app", password=b"app-password", **options)

    return connect
