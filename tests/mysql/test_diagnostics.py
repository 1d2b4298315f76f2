"""What a statement leaves to ask for (warnings, errors, how many rows) is its client's, whoever
has had its connection since. Each script is run on the database itself by two clients, then
through the proxy, where they share connections: the same bytes are wanted, with the old end of
rows and with the new one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from tests.certificates import Authority
from tests.fix_mysql_proxy import MySQLProxy
from tests.mysql.sharing import few_connections
from tests.mysql.wire import DEPRECATE_EOF, packets
from tests.mysql_servers import MARIADB, Kind, MySQL

OBJECTS = (
    "TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",
    "PROCEDURE warns() BEGIN DECLARE a INT; SET a = (SELECT COUNT(*) FROM t);"
    " SELECT CAST('x' AS SIGNED); END",
    "PROCEDURE quiet() BEGIN INSERT INTO t (a) VALUES (8), (9); END",
    "PROCEDURE fails() BEGIN INSERT INTO t (a) VALUES (8); SELECT * FROM nowhere; END",
)
# Statements of client `a`, apart by `;`. Client `b` has warnings of its own between any two of
# them.
SCRIPTS = [
    "SHOW WARNINGS; SHOW ERRORS; SHOW COUNT(*) WARNINGS; SELECT @@warning_count",
    "SELECT CAST('a' AS SIGNED), 1 + 'b'; SHOW WARNINGS; SHOW WARNINGS; SHOW COUNT(*) WARNINGS;"
    " SHOW COUNT(*) ERRORS; SHOW ERRORS; SHOW WARNINGS",
    "SELECT CAST('a' AS SIGNED); SELECT @@warning_count; SELECT @@WARNING_COUNT;"
    " SELECT @@error_count",
    "SELECT CAST('a' AS SIGNED); SELECT @@session.warning_count; SHOW WARNINGS",
    "SELECT missing; SHOW WARNINGS; SHOW ERRORS; SHOW COUNT(*) ERRORS; select  @@error_count ;"
    " SHOW ERRORS",
    "SELECT * FROM nowhere; SHOW ERRORS; SELECT ROW_COUNT(); SHOW ERRORS",
    "INSERT INTO t (a) VALUES (1); SHOW WARNINGS; SELECT ROW_COUNT()",
    "INSERT INTO t (a) VALUES (1), (2); SELECT ROW_COUNT(); SELECT row_count ( )",
    "INSERT INTO t (a) VALUES (1); UPDATE t SET a = a; SELECT /* so many */ Row_Count() -- rows",
    "REPLACE INTO t VALUES (1, 9); DELETE FROM t; SELECT ROW_COUNT(); SELECT ROW_COUNT() ;",
    "DO 0; SELECT ROW_COUNT(); BEGIN; SELECT ROW_COUNT(); COMMIT; SELECT ROW_COUNT()",
    "SELECT 1; SELECT ROW_COUNT(); SET time_zone = '+01:00'; SELECT ROW_COUNT(); SHOW TABLES;"
    " SELECT ROW_COUNT()",
    "CALL quiet(); SELECT ROW_COUNT(); SHOW WARNINGS",
    "CALL warns(); SHOW WARNINGS; SELECT @@warning_count; CALL warns(); SELECT ROW_COUNT()",
    "CALL fails(); SHOW WARNINGS; SHOW COUNT(*) ERRORS",
    "BEGIN; INSERT INTO t (a) VALUES (1); SELECT ROW_COUNT(); SELECT CAST('a' AS SIGNED);"
    " SHOW WARNINGS; SHOW WARNINGS LIMIT 1; SELECT @@warning_count, 1; COMMIT; SHOW WARNINGS",
    "BEGIN; SELECT CAST('a' AS SIGNED); ROLLBACK; SHOW WARNINGS; SHOW WARNINGS",
    "SHOW WARNINGS LIMIT 1; SELECT @@warning_count + 1; SELECT @@error_count AS e",
    "INSERT INTO t (a) VALUES (1), (2), (3); SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1;"
    " SELECT FOUND_ROWS(); SELECT a FROM t",
    "INSERT INTO t (a) VALUES (1), (2), (3); SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1;"
    " SHOW WARNINGS; SELECT FOUND_ROWS(); SHOW WARNINGS",
    "SELECT CAST('a' AS SIGNED); USE app; SHOW WARNINGS",
    "SELECT CAST('a' AS SIGNED); INSERT INTO t (a) VALUES (1); SHOW WARNINGS",
    "SELECT CAST('a' AS SIGNED); SELECT * FROM t; SHOW WARNINGS; SHOW COUNT(*) WARNINGS",
    "SELECT CAST('a' AS SIGNED); SELECT ROW_COUNT(); SHOW WARNINGS; SELECT ROW_COUNT()",
    "SELECT CAST('a' AS SIGNED); SET NAMES utf8mb4; BEGIN; SAVEPOINT s; RELEASE SAVEPOINT s;"
    " DO 0; ROLLBACK;"
    " SELECT 1 + 1; SHOW WARNINGS",
    "SET NAMES latin1; SELECT CAST('ä' AS SIGNED); SHOW WARNINGS",
    "SET sql_select_limit = 1; SELECT CAST('a' AS SIGNED), CAST('b' AS SIGNED); SHOW WARNINGS;"
    " SHOW COUNT(*) WARNINGS",
    "DROP TABLE IF EXISTS nowhere; SHOW WARNINGS; SHOW ERRORS",
]
# MariaDB keeps what there is behind a statement without a table. Where nobody can know whether it
# has one the
# client is told so.
UNSURE_ON_MARIADB = [
    "SELECT CAST('a' AS SIGNED); SELECT EXTRACT(YEAR FROM CURRENT_DATE) > 0; SHOW WARNINGS",
    "DROP TABLE IF EXISTS nowhere; SHOW WARNINGS; EXPLAIN SELECT 1; SHOW COUNT(*) WARNINGS",
]
NOISE = "SELECT CAST('of another client' AS SIGNED)"


@pytest.fixture(scope="module")
def shared(mysql_kind: Kind, mysql: MySQL, authority: Authority) -> Iterator[MySQLProxy]:
    """A proxy of few connections, over a server with what the scripts name."""
    with few_connections(mysql_kind, mysql, authority, OBJECTS) as proxy:
        yield proxy


def played(script: str, connect: Any, server: MySQL, flags: int) -> list[tuple[str, list[bytes]]]:
    """What client `a` of a script is told."""
    server.sql("TRUNCATE TABLE app.t")
    with (
        contextlib.closing(connect(client_flag=flags)) as client,
        contextlib.closing(connect()) as other,
    ):
        told = []
        for text in script.split("; "):
            told.append((text, packets(client, text)))
            packets(other, NOISE)
        return told


@pytest.mark.parametrize("flags", [0, DEPRECATE_EOF], ids=["eof", "ok"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_statement_left_is_told_as_by_the_database(
    shared: MySQLProxy, mysql: MySQL, script: str, flags: int
) -> None:
    pins = shared.metric("dbproxy_session_pins_total")
    wanted = played(script, direct(mysql), mysql, flags)
    assert played(script, shared.client, mysql, flags) == wanted
    assert shared.metric("dbproxy_session_pins_total") == pins


def test_what_another_connection_has_found_is_refused(shared: MySQLProxy, mysql: MySQL) -> None:
    script = "SELECT 1 UNION SELECT 2; BEGIN; DELETE FROM t WHERE a = 5; SELECT FOUND_ROWS()"
    wanted = played(script, direct(mysql), mysql, 0)
    told = played(script, shared.client, mysql, 0)
    assert told[:-1] == wanted[:-1]
    _, [refusal] = told[-1]
    assert int.from_bytes(refusal[5:7], "little") == 1235


@pytest.mark.parametrize("script", UNSURE_ON_MARIADB)
def test_what_nobody_can_know_is_refused(
    shared: MySQLProxy, mysql: MySQL, mysql_kind: Kind, script: str
) -> None:
    wanted = played(script, direct(mysql), mysql, 0)
    told = played(script, shared.client, mysql, 0)
    assert told[:-1] == wanted[:-1]
    if mysql_kind is MARIADB:
        _, [refusal] = told[-1]
        assert int.from_bytes(refusal[5:7], "little") == 1235
    else:
        assert told[-1] == wanted[-1]


def direct(server: MySQL) -> Any:
    def connect(**options: Any) -> pymysql.connections.Connection[Any]:
        return server.connect("app", password=b"app-password", **options)

    return connect
