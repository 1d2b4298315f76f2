"""What a client sets is its own: on connections that two clients share each is answered as if it
had one to itself. Each script is run on the database directly, then through the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from tests.certificates import Authority
from tests.fix_mysql_proxy import MySQLProxy
from tests.mysql.answers import answer
from tests.mysql.sharing import few_connections
from tests.mysql_servers import MARIADB, Kind, MySQL

OBJECTS = (
    "TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",
    "VIEW made AS SELECT LAST_INSERT_ID() AS id",
    "PROCEDURE sets() SET time_zone = '+06:00'",
    "PROCEDURE fails() BEGIN SET time_zone = '+06:00'; SELECT * FROM nowhere; END",
    "PROCEDURE opens() START TRANSACTION",
    "PROCEDURE tables() CREATE TEMPORARY TABLE hidden (n INT)",
    "TABLE triggered (id INT PRIMARY KEY)",
    "TRIGGER sets BEFORE INSERT ON triggered FOR EACH ROW SET @v = NEW.id",
    "FUNCTION zones() RETURNS INT BEGIN SET time_zone = '+07:00'; RETURN 1; END",
    "FUNCTION mutes() RETURNS INT BEGIN SET session_track_schema = OFF; RETURN 1; END",
)
# Statements apart by `;`, of two clients `a` and `b`; `-a` leaves, and comes again.
SCRIPTS = [
    "a: SET time_zone = '+01:00'; b: SELECT @@time_zone; a: SELECT @@time_zone",
    "a: SET @@time_zone = '+01:00'; b: SELECT @@time_zone; a: SELECT @@time_zone",
    "a: SET @@sql_mode = 'ANSI_QUOTES'; b: SELECT @@sql_mode; a: SELECT \"id\" FROM t; -a;"
    " b: SELECT @@sql_mode",
    "a: SET @@session.time_zone = '+01:00'; b: SELECT @@time_zone; a: SELECT @@time_zone",
    'a: SET sql_mode = \'ANSI_QUOTES\'; b: SELECT "a"; a: SELECT "id" FROM t; b: SELECT @@sql_mode',
    "a: SET sql_mode = 'NO_BACKSLASH_ESCAPES'; b: SELECT '\\\\'; a: SELECT '\\\\'",
    "a: SET NAMES latin1; b: SELECT @@collation_connection; a: SELECT @@collation_connection",
    "a: SET NAMES utf8mb4 COLLATE utf8mb4_bin; b: SELECT COLLATION('a'); a: SELECT COLLATION('a')",
    "a: SET CHARACTER SET latin1; b: SELECT @@character_set_client;"
    " a: SELECT @@collation_connection",
    "a: USE second; b: SELECT DATABASE(); a: SELECT DATABASE()",
    "a: USE nowhere; b: SELECT DATABASE(); a: SELECT DATABASE()",
    "a: SET time_zone = '+05:00', missing = 1; b: SELECT @@time_zone; a: SELECT @@time_zone",
    "a: CALL sets(); b: SELECT @@time_zone; a: SELECT @@time_zone",
    "a: CALL fails(); b: SELECT @@time_zone; a: SELECT @@time_zone",
    "a: SELECT zones(); b: SELECT @@time_zone; a: SELECT @@time_zone",
    "a: CALL opens(); a: INSERT INTO t (a) VALUES (1); b: SELECT COUNT(*) FROM t; a: ROLLBACK;"
    " b: SELECT COUNT(*) FROM t",
    "a: CALL tables(); b: SELECT * FROM hidden; a: SELECT * FROM hidden",
    "a: SET @v = 5; b: SELECT @v; a: SELECT @v",
    "a: SELECT 5 INTO @v; b: SELECT @v; a: SELECT @v",
    "a: SELECT @v := 5; b: SELECT @v; a: SELECT @v; -a; a: SELECT @v",
    "a: INSERT INTO t (a) VALUES (1); b: SELECT LAST_INSERT_ID(); b: SELECT * FROM made;"
    " a: SELECT * FROM made",
    "a: INSERT INTO t (a) VALUES (1) RETURNING a; b: SELECT LAST_INSERT_ID();"
    " a: SELECT LAST_INSERT_ID()",
    "a: INSERT INTO triggered VALUES (1) RETURNING id; b: SELECT @v; a: SELECT @v; a: ROLLBACK;"
    " a: DELETE FROM triggered",
    "a: INSERT INTO triggered VALUES (1); -a; a: INSERT INTO triggered VALUES (1); b: SELECT @v;"
    " a: SELECT @v; a: DELETE FROM triggered",
    "a: SET completion_type = 1; a: INSERT INTO t (a) VALUES (1) RETURNING a;"
    " b: SELECT COUNT(*) FROM t; a: ROLLBACK; b: SELECT COUNT(*) FROM t",
    "a: SET character_set_server = latin1; b: SELECT @@collation_server;"
    " a: SELECT @@collation_server",
    "a: SET collation_server = latin1_bin; a: SET character_set_server = latin1;"
    " b: SELECT @@character_set_server; a: SELECT @@collation_server",
    "a: SET character_set_server = utf8mb4, collation_server = latin1_bin;"
    " b: SELECT @@collation_server; a: SELECT @@character_set_server, @@collation_server",
    "a: SET sql_auto_is_null = 1; a: INSERT INTO t (a) VALUES (1); b: SELECT @@sql_auto_is_null;"
    " a: SELECT a FROM t WHERE id IS NULL",
    "a: SET insert_id = 500; b: INSERT INTO t (a) VALUES (1); a: INSERT INTO t (a) VALUES (1)",
    "a: SET timestamp = 1000; b: SELECT NOW() < '2000-01-01'; a: SELECT NOW() < '2000-01-01'",
    "a: SET @@transaction_read_only = 1; b: INSERT INTO t (a) VALUES (1);"
    " a: INSERT INTO t (a) VALUES (1); a: INSERT INTO t (a) VALUES (1)",
    "a: SET TRANSACTION READ ONLY; b: INSERT INTO t (a) VALUES (1);"
    " a: INSERT INTO t (a) VALUES (1)",
    "a: SET SESSION TRANSACTION READ ONLY; b: INSERT INTO t (a) VALUES (1);"
    " a: INSERT INTO t (a) VALUES (1)",
    "a: SET autocommit = 0; a: START TRANSACTION READ ONLY; a: SET autocommit = 1; -a;"
    " b: INSERT INTO t (a) VALUES (1); a: INSERT INTO t (a) VALUES (1)",
    "a: SET autocommit = 0; a: INSERT INTO t (a) VALUES (5); b: SELECT COUNT(*) FROM t;"
    " b: SELECT @@autocommit; a: ROLLBACK; b: SELECT COUNT(*) FROM t",
    "a: SET autocommit = 0; a: INSERT INTO t (a) VALUES (5); a: CREATE TABLE made_by_a (n INT);"
    " b: SELECT COUNT(*) FROM t; a: DROP TABLE made_by_a; a: SELECT @@autocommit",
    "a: BEGIN; a: nonsense; a: INSERT INTO t (a) VALUES (3); b: SELECT COUNT(*) FROM t; a: COMMIT;"
    " b: SELECT COUNT(*) FROM t",
    "a: LOCK TABLES t READ; b: SELECT COUNT(*) FROM t; a: INSERT INTO t (a) VALUES (1);"
    " a: UNLOCK TABLES; b: INSERT INTO t (a) VALUES (1)",
    "a: SELECT GET_LOCK('x', 0); b: SELECT IS_FREE_LOCK('x'); b: SELECT RELEASE_LOCK('x');"
    " a: SELECT RELEASE_LOCK('x')",
    "a: SELECT GET_LOCK/**/('x', 0); -a; b: SELECT GET_LOCK('x', 5)",
    "a: CREATE TEMPORARY TABLE own (n INT); b: SELECT * FROM own; a: SELECT * FROM own; -a;"
    " a: SELECT * FROM own",
    "a: PREPARE p FROM 'SELECT 12345'; b: EXECUTE p; a: EXECUTE p",
    "a: HANDLER t OPEN; b: HANDLER t READ FIRST; a: HANDLER t READ FIRST",
    "a: SELECT mutes(); b: USE second; b: SELECT DATABASE(); b: USE app; b: SELECT DATABASE()",
    "a: SET session_track_schema = OFF; a: USE second; b: SELECT DATABASE(); a: SELECT DATABASE()",
    "a: SET max_error_count = 0; b: SELECT @@max_error_count; a: SELECT @@max_error_count",
    "a: SET sql_select_limit = 1; b: SELECT 1 UNION SELECT 2; a: SELECT 1 UNION SELECT 2",
    "a: SET ROLE NONE; -a; b: INSERT INTO t (a) VALUES (1)",
]


@pytest.fixture(scope="module")
def shared(mysql_kind: Kind, mysql: MySQL, authority: Authority) -> Iterator[MySQLProxy]:
    """A proxy of few connections, over a server with what the scripts name."""
    with few_connections(mysql_kind, mysql, authority, OBJECTS) as proxy:
        yield proxy


def played(script: str, connect: Any, server: MySQL) -> list[object]:
    """What the clients of a script are told."""
    server.sql("DELETE FROM app.t")
    server.sql("ALTER TABLE app.t AUTO_INCREMENT = 1")
    told: list[object] = []
    clients: dict[str, pymysql.connections.Connection[Any]] = {}
    try:
        for step in script.split("; "):
            if step.startswith("-"):
                clients.pop(step[1:]).close()
                continue
            name, text = step.split(": ", 1)
            if name not in clients:
                clients[name] = connect()
            told.append((text, answer(clients[name], text)))
    finally:
        for client in clients.values():
            client.close()
    return told


@pytest.mark.parametrize("script", SCRIPTS)
def test_two_clients_are_told_what_each_would_be_alone(
    shared: MySQLProxy, mysql: MySQL, script: str
) -> None:
    direct = played(script, lambda: mysql.connect("app", password=b"app-password"), mysql)
    assert played(script, shared.client, mysql) == direct


def test_rows_of_a_write_are_no_reason_to_keep_a_connection(
    shared: MySQLProxy, mysql_kind: Kind
) -> None:
    if mysql_kind is not MARIADB:
        pytest.skip("it has no RETURNING")
    before = shared.metric("dbproxy_session_pins_total")
    with shared.client() as client, client.cursor() as cursor:
        cursor.execute("INSERT INTO t (a) VALUES (7) RETURNING a")
        assert cursor.fetchall() == ((7,),)
    assert shared.metric("dbproxy_session_pins_total") == before
