"""COM_CHANGE_USER: a new log-in on a client's connection; on the database directly too."""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pymysql
import pytest
from pymysql import _auth
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.fix_proxy import READ_WRITE
from tests.mysql_servers import MARIADB, MYSQL, PASSWORDS, MySQL
from tests.servers import wait_until

Connection: TypeAlias = "pymysql.connections.Connection[Any]"
Connect: TypeAlias = Callable[..., Connection]
CHANGE_USER = 0x11
OK, SWITCH, MORE = 0x00, 0xFE, 0x01
FULL = b"\x01\x04"
LOST = (2006, 2013)
UTF8MB4, LATIN1 = 45, 8


def proof(plugin: bytes, password: str, scramble: bytes) -> bytes:
    if plugin == b"mysql_native_password":
        return bytes(_auth.scramble_native_password(password.encode(), scramble))
    return bytes(_auth.scramble_caching_sha2(password.encode(), scramble))


def change_user(
    client: Connection,
    user: str,
    password: str | None = None,
    *,
    database: str = "app",
    collation: int = UTF8MB4,
    scramble: bytes | None = None,
) -> list[int]:
    """Change to a user; the first bytes of what was answered. An error is raised. With a scramble
    the proof is made for that, whatever is asked."""
    password = PASSWORDS[user] if password is None else password
    text = user.encode() + b"\0\0" + database.encode() + b"\0"
    # No server's plugin is called so: each asks for its own.
    client._execute_command(CHANGE_USER, text + struct.pack("<H", collation) + b"none\0" + b"\0")
    kinds, shown = [], b""
    while True:
        packet = bytes(client._read_packet().get_all_data())
        kinds.append(packet[0])
        if packet[0] == OK:
            return kinds
        if packet[0] == SWITCH:
            plugin, _, rest = packet[1:].partition(b"\0")
            shown = scramble or rest[:20]
            client.write_packet(proof(plugin, password, shown))
        elif packet == FULL:
            client.write_packet(b"\x02")
            key = bytes(client._read_packet().get_all_data())[1:]
            client.write_packet(_auth.sha2_rsa_encrypt(password.encode(), shown, key))


def row(client: Connection, text: str) -> Any:
    cursor = client.cursor()
    cursor.execute(text)
    return (cursor.fetchall() or [None])[0]


def code(does: Callable[[], Any]) -> int:
    """The number of the error that it ends with; 0: none."""
    try:
        does()
    except pymysql.err.MySQLError as error:
        return int(error.args[0])
    return 0


@pytest.fixture(params=["direct", "proxy"])
def connect(request: pytest.FixtureRequest, mysql: MySQL, mysql_proxy: MySQLProxy) -> Connect:
    """Connections to the server, and then to the proxy."""
    return mysql.connect if request.param == "direct" else mysql_proxy.client


@contextlib.contextmanager
def connected(connect: Connect, user: str = "app", **options: Any) -> Iterator[Connection]:
    client = connect(user, **options)
    try:
        yield client
    finally:
        client._force_close()


WHO = "SELECT CURRENT_USER(), DATABASE(), @@collation_connection, @@time_zone, @a"


def test_a_client_is_another_user_and_has_nothing_of_its_session(connect: Connect) -> None:
    with connected(connect) as client:
        number = client.thread_id()
        row(client, "SET time_zone = '+03:00'")
        row(client, "SET @a = 5")
        change_user(client, "legacy", database="app", collation=LATIN1)
        assert row(client, WHO) == ("legacy@%", "app", "latin1_swedish_ci", "SYSTEM", None)
        assert row(client, "SELECT CONNECTION_ID()") == (number,)
        change_user(client, "app", database="second")
        assert row(client, WHO) == ("app@%", "second", "utf8mb4_general_ci", "SYSTEM", None)
        change_user(client, "app", database="")
        assert row(client, "SELECT DATABASE()") == (None,)
        assert code(lambda: row(client, "SELECT 1 FROM t")) == 1046
        assert row(client, "SELECT 6 * 7") == (42,)


def test_the_scramble_that_a_client_had_first_is_good_for_all_its_users(
    mysql_proxy: MySQLProxy,
) -> None:
    # So do MySQL's and MariaDB's own libraries with native passwords.
    for user in ("app", "legacy"):
        with connected(mysql_proxy.client, user) as client:
            first = bytes(client.salt[:20])
            for other in ("legacy", "app", "legacy"):
                change_user(client, other, scramble=first)
                assert row(client, "SELECT CURRENT_USER()") == (f"{other}@%",)


def test_what_was_begun_is_rolled_back_and_what_was_held_is_given_back(
    connect: Connect, mysql: MySQL
) -> None:
    mysql.sql("CREATE TABLE app.begun (a INT)")
    try:
        with connected(connect) as client, connected(connect) as other:
            row(client, "CREATE TEMPORARY TABLE hidden (a INT)")
            assert row(client, "SELECT GET_LOCK('held', 5)") == (1,)
            row(client, "PREPARE mine FROM 'SELECT 1'")
            row(client, "BEGIN")
            row(client, "INSERT INTO begun VALUES (1)")
            change_user(client, "legacy")
            row(client, "DO 0")
            assert not client.server_status & 1
            assert row(other, "SELECT GET_LOCK('held', 5)") == (1,)
            assert row(other, "SELECT RELEASE_LOCK('held')") == (1,)
            assert row(other, "SELECT count(*) FROM begun FOR UPDATE") == (0,)
            for user in ("app", "legacy"):
                assert code(lambda: row(client, "SELECT * FROM hidden")) == 1146
                assert code(lambda: row(client, "EXECUTE mine")) == 1243
                change_user(client, user)
    finally:
        mysql.sql("DROP TABLE app.begun")


def fails(client: Connection, mysql: MySQL, *who: Any) -> None:
    """It isn't let in. At MySQL that is its end; at MariaDB it stays who it was."""
    assert code(lambda: change_user(client, *who)) == 1045
    if mysql.kind is MYSQL:
        assert code(lambda: row(client, "SELECT 1")) in LOST
    else:
        # Its collation is the server's own then; the proxy leaves it the one of its log-in.
        user, database, _, *settings = row(client, WHO)
        assert (user, database, settings) == ("app@%", "app", ["SYSTEM", None])


@pytest.mark.parametrize("who", [("legacy", "wrong"), ("nobody", "wrong"), ("app", "")])
def test_who_is_not_let_in_is_told_so(connect: Connect, mysql: MySQL, who: Any) -> None:
    with connected(connect) as client:
        row(client, "SET @a = 5")
        row(client, "SET time_zone = '+03:00'")
        fails(client, mysql, *who)


def test_mariadb_takes_three_failures_and_then_none(connect: Connect, mysql: MySQL) -> None:
    if mysql.kind is not MARIADB:
        # It takes one.
        return
    with connected(connect) as client:
        for _ in range(3):
            fails(client, mysql, "legacy", "wrong")
        for who in (("legacy", "wrong"), ("legacy", None)):
            assert code(functools.partial(change_user, client, *who)) == 1047
        assert row(client, "SELECT CURRENT_USER()") == ("app@%",)


def test_no_connection_is_spent_before_something_is_asked(
    mysql_proxy: MySQLProxy, mysql: MySQL
) -> None:
    # The first of its kind opens one.
    with connected(mysql_proxy.client, "legacy", charset="latin1"):
        pass
    before = mysql.connections("legacy")
    with connected(mysql_proxy.client) as client:
        for _ in range(20):
            change_user(client, "legacy", collation=LATIN1)
            change_user(client, "app")
        assert mysql.connections("legacy") == before
        assert row(client, "SELECT CURRENT_USER()") == ("app@%",)


def test_clients_are_counted_by_who_they_are_now(
    make_mysql_proxy: MySQLProxyFactory, mysql: MySQL
) -> None:
    proxy = make_mysql_proxy(mysql)
    with connected(proxy.client) as client:
        change_user(client, "legacy")
        change_user(client, "legacy")
        assert row(client, "SELECT 6 * 7") == (42,)
        assert proxy.metric("dbproxy_client_connections", endpoint=READ_WRITE) == 1
        failed = "dbproxy_client_connections_setup_failed_auth_total"
        assert code(lambda: change_user(client, "app", "wrong")) == 1045
        wait_until(lambda: proxy.metric(failed, endpoint=READ_WRITE) == 1, "it is counted")
        assert proxy.events("login_failed")


def test_a_client_that_is_ended_by_number_is_found_after_its_change(
    mysql_proxy: MySQLProxy,
) -> None:
    with connected(mysql_proxy.client) as client, connected(mysql_proxy.client, "legacy") as other:
        number = client.thread_id()
        assert code(lambda: row(other, f"KILL {number}")) == 1095
        change_user(client, "legacy")
        assert code(lambda: row(other, f"KILL {number}")) == 0
        assert code(lambda: row(client, "SELECT 1")) in LOST


def test_over_tls_too(mysql_proxy: MySQLProxy) -> None:
    tls = {"ca": str(mysql_proxy.authority.ca), "check_hostname": False}
    with connected(mysql_proxy.client, ssl=tls) as client:
        for user in ("legacy", "app") * 3:
            change_user(client, user)
            assert row(client, "SELECT CURRENT_USER()") == (f"{user}@%",)
