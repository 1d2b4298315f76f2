"""What binds a session is over when the server says so, and not before. Each script is run on the
database itself by two clients, then through the proxy: the same answers are wanted, and so many
sessions pinned at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from tests.certificates import Authority
from tests.fix_mysql_proxy import MySQLProxy
from tests.mysql.sharing import few_connections
from tests.mysql.wire import packets
from tests.mysql_servers import Kind, MySQL
from tests.servers import wait_until

OBJECTS = (
    "TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",
    "PROCEDURE hides() CREATE TEMPORARY TABLE hidden (n INT)",
    "FUNCTION takes() RETURNS INT RETURN GET_LOCK('f', 0)",
)
# Statements of client `a`, apart by `;`. Client `b` looks at what is free between any two of them.
OVER = [
    "LOCK TABLES t READ; SELECT COUNT(*) FROM t; UNLOCK TABLES; SELECT COUNT(*) FROM t",
    "LOCK TABLES t READ; LOCK TABLES t READ; UNLOCK TABLES",
    "SELECT GET_LOCK('x', 0); SELECT RELEASE_LOCK('x'); SELECT 1",
    "SELECT GET_LOCK('x', 0) AS l; SELECT GET_LOCK('y', 0); SELECT RELEASE_LOCK('x');"
    " SELECT RELEASE_LOCK('y') AS freed",
    "SELECT GET_LOCK('x', 0); SELECT GET_LOCK('x', 0); SELECT RELEASE_LOCK('x');"
    " SELECT RELEASE_LOCK('x')",
    "SELECT GET_LOCK('x', 0), GET_LOCK('y', 0); SELECT RELEASE_ALL_LOCKS()",
    "DO GET_LOCK('x', 0); DO RELEASE_ALL_LOCKS(); SELECT RELEASE_LOCK('x')",
    "CREATE TEMPORARY TABLE o (n INT); INSERT INTO o VALUES (1); SELECT * FROM o;"
    " DROP TEMPORARY TABLE o;"
    " SELECT * FROM o",
    "CREATE TEMPORARY TABLE o (n INT); CREATE TEMPORARY TABLE p LIKE t; DROP TEMPORARY TABLE o, p",
    "CREATE TEMPORARY TABLE o (n INT); DROP TEMPORARY TABLE IF EXISTS o; SELECT * FROM o",
    "CREATE TEMPORARY TABLE t (n INT, n INT); SELECT * FROM t",
    "HANDLER t OPEN; HANDLER t READ FIRST; HANDLER t CLOSE; HANDLER t READ FIRST",
    "XA START 'x'; INSERT INTO t (a) VALUES (1); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x';"
    " SELECT COUNT(*) FROM t",
    "XA START 'x'; INSERT INTO t (a) VALUES (1); XA END 'x'; XA ROLLBACK 'x';"
    " SELECT COUNT(*) FROM t",
    "SET TRANSACTION READ ONLY; BEGIN; INSERT INTO t (a) VALUES (1); COMMIT;"
    " INSERT INTO t (a) VALUES (1)",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1; BEGIN; SELECT COUNT(*) FROM t;"
    " COMMIT AND CHAIN;"
    " ROLLBACK; SELECT 1",
    "BEGIN; SET TRANSACTION READ ONLY; INSERT INTO t (a) VALUES (1); COMMIT;"
    " INSERT INTO t (a) VALUES (2);"
    " BEGIN; COMMIT",
    "SET @@transaction_read_only = 1; INSERT INTO t (a) VALUES (1); BEGIN; ROLLBACK;"
    " INSERT INTO t (a) VALUES (1)",
]
BOUND = [
    "LOCK TABLES t READ; SELECT COUNT(*) FROM t",
    "SELECT GET_LOCK('x', 0); SELECT GET_LOCK('y', 0); SELECT RELEASE_LOCK('x')",
    "SELECT GET_LOCK('x', 0); SELECT RELEASE_LOCK('y')",
    "SELECT GET_LOCK('x', 0), GET_LOCK('y', 0); SELECT RELEASE_LOCK('x'); SELECT RELEASE_LOCK('y')",
    "SELECT GET_LOCK('x', 0); SELECT GET_LOCK('x', 0); SELECT RELEASE_LOCK('x')",
    "CREATE TEMPORARY TABLE o (n INT); CREATE TEMPORARY TABLE p (n INT); DROP TEMPORARY TABLE o;"
    " SELECT * FROM p",
    "CREATE TEMPORARY TABLE o (n INT); DROP TEMPORARY TABLE IF EXISTS p; SELECT * FROM o",
    "CREATE TEMPORARY TABLE IF NOT EXISTS o (n INT); DROP TEMPORARY TABLE o; SELECT * FROM o",
    "CREATE TEMPORARY TABLE o (n INT); DROP TEMPORARY TABLE p; SELECT * FROM o",
    "HANDLER t OPEN; HANDLER t OPEN AS u; HANDLER t CLOSE; HANDLER u READ FIRST",
    "XA START 'x'; SELECT COUNT(*) FROM t; XA END 'x'; XA COMMIT 'y'",
]
ELSEWHERE = "SELECT IS_FREE_LOCK('x'), IS_FREE_LOCK('y'), (SELECT COUNT(*) FROM t)"


@pytest.fixture(scope="module")
def shared(mysql_kind: Kind, mysql: MySQL, authority: Authority) -> Iterator[MySQLProxy]:
    """A proxy of few connections, over a server with what the scripts name."""
    with few_connections(mysql_kind, mysql, authority, OBJECTS) as proxy:
        yield proxy


def played(
    script: str, connect: Any, server: MySQL, pinned: Any = lambda: 0.0
) -> tuple[list[tuple[str, list[bytes]]], float]:
    """What both clients of a script are told, and how many sessions are pinned at its end."""
    wait_until(lambda: pinned() == 0, "nobody is pinned")
    server.sql("TRUNCATE TABLE app.t")
    server.sql("INSERT INTO app.t (a) VALUES (1)")
    with contextlib.closing(connect()) as client, contextlib.closing(connect()) as other:
        told = []
        for text in script.split("; "):
            told.append((text, packets(client, text)))
            told.append(("elsewhere", packets(other, ELSEWHERE)))
        return told, pinned()


@pytest.mark.parametrize("script", OVER)
def test_a_session_is_free_when_what_bound_it_is_over(
    shared: MySQLProxy, mysql: MySQL, script: str
) -> None:
    check(shared, mysql, script, 0)


@pytest.mark.parametrize("script", BOUND)
def test_it_stays_bound_where_something_may_be_left(
    shared: MySQLProxy, mysql: MySQL, script: str
) -> None:
    check(shared, mysql, script, 1)


def check(proxy: MySQLProxy, server: MySQL, script: str, left: int) -> None:
    def direct() -> pymysql.connections.Connection[Any]:
        return server.connect("app", password=b"app-password")

    def pinned() -> float:
        return proxy.metric("dbproxy_sessions_pinned")

    wanted, _ = played(script, direct, server)
    assert played(script, proxy.client, server, pinned) == (wanted, left)


def test_what_a_routine_holds_is_not_counted(shared: MySQLProxy, mysql: MySQL) -> None:
    with contextlib.closing(shared.client()) as client:
        for text in ["SELECT GET_LOCK('x', 0)", "SELECT takes()", "SELECT RELEASE_LOCK('x')"]:
            packets(client, text)
    assert mysql.value("SELECT IS_FREE_LOCK('x')") == 1
    wait_until(lambda: mysql.value("SELECT IS_FREE_LOCK('f')") == 1, "it is reset")
