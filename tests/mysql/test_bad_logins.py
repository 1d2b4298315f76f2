"""A database, or somebody in its place, that says what no server says: its connection is given up,
its client is told the truth, no password is shown, no file asked for, and nobody else notices."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pymysql
import pytest
from tests.certificates import Authority
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.answers import Connection, refused, value
from tests.mysql.raw import Raw, packet, query, resident
from tests.mysql.tamper import Play, Tamper, says
from tests.mysql_servers import PASSWORDS, Kind, MySQL
from tests.servers import wait_until

pytestmark = pytest.mark.together
LOST, UNKNOWN, STATE_LOST = 1213, 1158, 1053
OK = b"\0\0\0\2\0\0\0"
COLUMN = b"\3def\0\0\0\1a\0\x0c\x3f\0\0\0\0\0\xfd\0\0\0\0\0"
ALLOWED = 48


@pytest.fixture(scope="module")
def tamper(mysql: MySQL) -> Iterator[Tamper]:
    with Tamper(mysql) as tamper:
        yield tamper


@pytest.fixture(scope="module")
def proxy(
    mysql_kind: Kind, mysql: MySQL, tamper: Tamper, authority: Authority
) -> Iterator[MySQLProxy]:
    """Over the database, as the one between lets it through."""
    factory = MySQLProxyFactory(mysql_kind, authority)
    try:
        proxy = factory(mysql, start=False)
        target = {"name": mysql.name, "host": "127.0.0.1", "port": tamper.port}
        proxy.write_group(targets=[target])
        proxy.start()
        yield proxy
    finally:
        factory.close()


@pytest.fixture
def bystander(proxy: MySQLProxy) -> Iterator[Connection]:
    """Somebody else, in the middle of a transaction."""
    with contextlib.closing(proxy.client(ssl_disabled=True)) as client:
        value(client, "BEGIN")
        value(client, "SET @mine = 42")
        yield client
        assert value(client, "SELECT @mine") == 42
        value(client, "ROLLBACK")


def out_of_step(proxy: MySQLProxy) -> float:
    name = "dbproxy_database_connections_closed_total"
    return proxy.metric(name, reason="out_of_step")


ANSWERS = {
    "a number that isn't its turn": packet(5, OK),
    "nothing in a packet": packet(1, b""),
    "an OK cut short": packet(1, b"\0\0"),
    "an OK whose text ends behind it": packet(1, OK + b"\xfc\xff\xffx"),
    "columns without end": packet(1, b"\xfe" + b"\xff" * 8),
    "columns of no number": packet(1, b"\xfd\xff\xff\xff"),
    "another log-in": packet(1, b"\xfemysql_clear_password\0"),
    "more of a log-in": packet(1, b"\1\4"),
    "an error cut short": packet(1, b"\xff\x01"),
    "an error of 16 MiB": b"\xfe\xff\xff\1\xff" + b"x" * 2_000_000,
    "changes that are none": packet(1, b"\0\0\0\2\x40\0\0\0\5\0\xff\1a1"),
    "a row whose number isn't its turn": packet(1, b"\1") + packet(2, COLUMN) + packet(9, b"\x011"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_no_server_gives_costs_its_connection_and_no_more(
    proxy: MySQLProxy, tamper: Tamper, bystander: Connection, name: str
) -> None:
    word = f"tampered: {name}"
    tamper.plays = {word.encode(): says(ANSWERS[name])}
    before = out_of_step(proxy)
    with Raw.of(proxy.client(local_infile=True, ssl_disabled=True)) as client:
        client.send(query(f'SELECT "{word}"'))
        told = client.read()
        # It may be told that it is out of its turn only where its answer had begun.
        while told is not None and told[1][:1] in (b"\1", b"\3"):
            told = client.read()
        assert told is None or told[1][:1] == b"\xff", "an error, and nothing of what was said"
        if told is not None:
            code = int(struct.unpack("<H", told[1][1:3])[0])
            assert code in (LOST, UNKNOWN, STATE_LOST)
            if code == LOST:
                client.send(query("SELECT 1"))
                assert client.read() is not None
    assert out_of_step(proxy) == before + 1
    with contextlib.closing(proxy.client(ssl_disabled=True)) as another:
        assert value(another, "SELECT 7") == 7


def test_more_than_was_asked_for_costs_the_connection_and_its_client_nothing(
    proxy: MySQLProxy, tamper: Tamper, bystander: Connection
) -> None:
    tamper.plays = {b"tampered twice": says(packet(1, OK), packet(1, OK))}
    with contextlib.closing(proxy.client(ssl_disabled=True)) as client:
        assert value(client, "DO 'tampered twice'") is None
        assert value(client, "SELECT 7") == 7


def endless(proxy: socket.socket) -> None:
    """Rows, and rows."""
    proxy.sendall(packet(1, b"\1") + packet(2, COLUMN) + packet(3, b"\xfe\0\0\2\0"))
    number = 3
    while True:
        number = (number + 1) % 256
        proxy.sendall(packet(number, b"\xfd\xf0\xff\x00" + b"x" * 65_520))


def test_rows_without_end_to_who_reads_none_stay_small(
    proxy: MySQLProxy, tamper: Tamper, bystander: Connection
) -> None:
    tamper.plays = {b"tampered without end": endless}
    with Raw.of(proxy.client(ssl_disabled=True)) as client:
        resting = resident(proxy)
        client.send(query("SELECT 'tampered without end'"))
        client.socket.settimeout(20)
        for _ in range(20):
            assert client.read() is not None
            with contextlib.closing(proxy.client(ssl_disabled=True)) as other:
                assert value(other, "SELECT 1") == 1
        assert resident(proxy) - resting < ALLOWED


# --- log-ins ------------------------------------------------------------------------------------


def switches(proxy: socket.socket) -> None:
    """Another plugin, and another."""
    number = 2
    for _ in range(1_000):
        plugin = b"mysql_native_password\0" + b"abcdefghijklmnopqrst\0"
        proxy.sendall(packet(number % 256, b"\xfe" + plugin))
        proxy.recv(1_000)
        number += 2


LOG_INS: dict[str, Play] = {
    "garbage": says(b"\xff" * 64),
    "a clear password": says(packet(2, b"\xfemysql_clear_password\0")),
    "a dialogue": says(packet(2, b"\xfedialog\0\4Password: ")),
    "an old password": says(packet(2, b"\xfe")),
    "an unknown plugin": says(packet(2, b"\xfenobody_knows\0abcdefghijklmnopqrst\0")),
    "a switch without data": says(packet(2, b"\xfemysql_native_password\0")),
    "plugins without end": switches,
    "data of 16 MiB": says(b"\xfe\xff\xff\2\xfe" + b"x" * 200_000),
    "a number that isn't its turn": says(packet(7, OK)),
    "a file": says(packet(2, b"\xfb/etc/passwd")),
    "nothing": says(packet(2, b"")),
    "an error cut short": says(packet(2, b"\xff\x15")),
    "a key that is none": says(packet(2, b"\1\4"), packet(4, b"\1-----BEGIN PUBLIC KEY-----\nx")),
    "the end": lambda proxy: proxy.shutdown(socket.SHUT_RDWR),
}


@pytest.fixture(scope="module")
def hasty(proxy: MySQLProxy) -> MySQLProxy:
    """One whose clients don't wait for long."""
    proxy.write_pool(connectionBorrowTimeout=1)
    proxy.wait_config()
    return proxy


@pytest.mark.parametrize("name", LOG_INS)
def test_a_log_in_that_no_server_asks_for_is_given_up_and_shows_no_password(
    hasty: MySQLProxy, mysql: MySQL, tamper: Tamper, bystander: Connection, name: str
) -> None:
    user = "legacy"
    for number in mysql.connections(user):
        mysql.sql(f"KILL {number}")
    tamper.heard.clear()
    tamper.plays = {user.encode() + b"\0": LOG_INS[name]}
    with pytest.raises(pymysql.err.OperationalError) as told:
        hasty.client(user, ssl_disabled=True).close()
    assert told.value.args[0] in (1105, 9501, 1043)
    assert PASSWORDS[user].encode() not in tamper.heard
    tamper.plays = {}
    wait_until(lambda: logs_in(hasty, user), "it is let in again")


def logs_in(proxy: MySQLProxy, user: str) -> bool:
    """Whether it gets a connection now."""
    try:
        with contextlib.closing(proxy.client(user, ssl_disabled=True)) as client:
            return refused(client, "SELECT 1") is None
    except pymysql.err.OperationalError:
        return False
