"""What clients send day by day is answered as by the database itself."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pymysql
import pytest
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.answers import answer
from tests.mysql_servers import MySQL


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "SELECT NULL, '', 'ü', x'00ff', 1.50, DATE '2026-11-27'",
        "SELECT 1 AS `äö` FROM dual WHERE false",
        "SELECT * FROM missing",
        "nonsense",
        "",
        "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3",
        "DO 1",
        "SELECT REPEAT('x', 100000)",
        "SHOW VARIABLES LIKE 'character_set_client'",
        "SET @a = 1",
        "SELECT DATABASE(), CURRENT_USER() LIKE 'app%'",
    ],
)
def test_a_text_is_answered_as_by_the_database(
    mysql_proxy: MySQLProxy, mysql: MySQL, text: str
) -> None:
    with (
        contextlib.closing(mysql_proxy.client()) as through,
        contextlib.closing(mysql.connect("app")) as direct,
    ):
        assert answer(through, text) == answer(direct, text)
        # And leaves the connection in step.
        assert answer(through, "SELECT 42") == answer(direct, "SELECT 42")


def test_a_client_is_greeted_as_by_the_database(mysql_proxy: MySQLProxy, mysql: MySQL) -> None:
    with (
        contextlib.closing(mysql_proxy.client()) as through,
        contextlib.closing(mysql.connect("app")) as direct,
    ):
        assert through.get_server_info() == direct.get_server_info()


def test_rows_are_written_and_read(mysql_proxy: MySQLProxy, mysql: MySQL) -> None:
    mysql.sql("CREATE TABLE app.notes (id INT AUTO_INCREMENT PRIMARY KEY, note TEXT)")
    try:
        with contextlib.closing(mysql_proxy.client()) as client:
            cursor = client.cursor()
            cursor.execute("INSERT INTO notes (note) VALUES (%s)", ("äöü",))
            assert (cursor.rowcount, cursor.lastrowid) == (1, 1)
            cursor.execute("SELECT * FROM notes")
            assert cursor.fetchall() == ((1, "äöü"),)
            client.begin()
            cursor.execute("UPDATE notes SET note = 'x'")
            client.rollback()
            cursor.execute("SELECT note FROM notes")
            assert cursor.fetchall() == (("äöü",),)
    finally:
        mysql.sql("DROP TABLE app.notes")


def test_the_text_of_an_answer_is_whole(mysql_proxy: MySQLProxy, mysql: MySQL) -> None:
    text = "DROP TABLE IF EXISTS app.absent"
    said = []
    for client in (mysql_proxy.client(), mysql.connect("app")):
        with contextlib.closing(client), contextlib.closing(client.cursor()) as cursor:
            cursor.execute("CREATE TEMPORARY TABLE numbers (n INT)")
            cursor.execute("INSERT INTO numbers VALUES (1), (2)")
            said.append((client._result.message, client._result.warning_count))
            cursor.execute(text)
            said.append((client._result.message, client._result.warning_count))
    assert said[:2] == said[2:]
    assert said[0] == (b"\x26Records: 2  Duplicates: 0  Warnings: 0", 0)


def test_an_id_that_another_client_made_is_not_seen_through_a_view(
    mysql_proxy: MySQLProxy, mysql: MySQL
) -> None:
    mysql.sql("CREATE TABLE app.made (id INT AUTO_INCREMENT PRIMARY KEY)")
    mysql.sql("CREATE SQL SECURITY INVOKER VIEW app.last_made AS SELECT LAST_INSERT_ID()")
    try:
        with (
            contextlib.closing(mysql_proxy.client()) as one,
            contextlib.closing(mysql_proxy.client()) as other,
        ):
            for client in (one, one, other):
                answer(client, "INSERT INTO made VALUES ()")
            found = []
            for client in (one, other, one):
                with contextlib.closing(client.cursor()) as cursor:
                    cursor.execute("SELECT * FROM last_made")
                    found.append(cursor.fetchone())
            assert found == [(2,), (3,), (2,)]
    finally:
        mysql.sql("DROP VIEW app.last_made")
        mysql.sql("DROP TABLE app.made")


def test_more_clients_than_connections_are_served_by_few(
    mysql_proxy: MySQLProxy, mysql: MySQL
) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(mysql_proxy.client())) for _ in range(20)]
        for client in clients * 3:
            assert answer(client, "SELECT 1")
        assert len(mysql.connections("app")) < len(clients) / 2


@pytest.mark.parametrize("user", ["app", "legacy"])
def test_a_wrong_password_is_told_as_by_the_database(mysql_proxy: MySQLProxy, user: str) -> None:
    with pytest.raises(pymysql.OperationalError) as refused:
        mysql_proxy.client(user, password=b"wrong")
    assert refused.value.args[0] == 1045
    assert f"Access denied for user '{user}'@" in refused.value.args[1]


def test_an_unknown_user_is_told_of_a_wrong_password(mysql_proxy: MySQLProxy) -> None:
    with pytest.raises(pymysql.OperationalError) as refused:
        mysql_proxy.client("nobody", password=b"x")
    assert refused.value.args[0] == 1045


@pytest.mark.parametrize("user", ["app", "legacy"])
def test_each_plugin_lets_its_clients_in_with_tls_and_without(
    mysql_proxy: MySQLProxy, user: str
) -> None:
    secured: dict[str, Any] = {"ssl": {"ca": str(mysql_proxy.authority.ca)}}
    for options in (dict[str, Any](), secured):
        with contextlib.closing(mysql_proxy.client(user, **options)) as client:
            assert answer(client, "SELECT 1")


def test_a_role_that_a_client_gave_up_is_given_up_by_it_alone(
    make_mysql_proxy: MySQLProxyFactory, mysql: MySQL
) -> None:
    mysql.sql("CREATE TABLE app.kept (n INT)")
    proxy = make_mysql_proxy(mysql)
    proxy.write_pool(maxConnectionsPercent=4, maxIdleConnectionsPercent=4)
    proxy.wait_config()
    try:
        with contextlib.closing(proxy.client()) as one:
            assert answer(one, "SET ROLE NONE")
        for statement in ("INSERT INTO kept VALUES (1)", "SELECT * FROM kept"):
            with (
                contextlib.closing(proxy.client()) as through,
                contextlib.closing(mysql.connect("app")) as direct,
            ):
                assert answer(through, statement) == answer(direct, statement)
                mysql.sql("TRUNCATE TABLE app.kept")
    finally:
        mysql.sql("DROP TABLE app.kept")


def test_the_id_that_a_loaded_file_made_is_its_clients_own(
    mysql_proxy: MySQLProxy, mysql: MySQL, tmp_path: Path
) -> None:
    mysql.sql("SET GLOBAL local_infile = 1")
    mysql.sql("CREATE TABLE app.loaded (id INT AUTO_INCREMENT PRIMARY KEY, n INT)")
    file = tmp_path / "rows"
    file.write_text("1\n2\n")
    try:
        with (
            contextlib.closing(mysql_proxy.client(local_infile=True)) as one,
            contextlib.closing(mysql_proxy.client(local_infile=True)) as other,
        ):
            answer(one, f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded (n)")
            found = []
            for client in (other, one):
                with contextlib.closing(client.cursor()) as cursor:
                    cursor.execute("SELECT LAST_INSERT_ID()")
                    found.append(cursor.fetchone())
            assert found == [(0,), (1,)]
    finally:
        mysql.sql("DROP TABLE app.loaded")
