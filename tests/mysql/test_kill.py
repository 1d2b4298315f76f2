"""KILL and COM_PROCESS_KILL: a client of the proxy's has the number that it was greeted with."""

from __future__ import annotations

import contextlib
import functools
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pymysql
import pytest
from pymysql.constants import COMMAND
from tests.certificates import Authority
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql_servers import MYSQL, PASSWORDS, Kind, MySQL
from tests.servers import HOST, free_port, wait_until

Connection: TypeAlias = "pymysql.connections.Connection[Any]"
LONG = "SELECT SLEEP(600), 6 * 7"
RUNNING = "SELECT count(*) FROM information_schema.processlist WHERE info = %s"
LOST = (2006, 2013)
ADDRESSES = (HOST, "127.0.0.2")


@contextlib.contextmanager
def clients(proxy: MySQLProxy, *users: str) -> Iterator[list[Connection]]:
    with contextlib.ExitStack() as stack:
        made = [proxy.client(user) for user in users]
        for client in made:
            stack.callback(client._force_close)
        yield made


def value(client: Connection, text: str) -> Any:
    cursor = client.cursor()
    cursor.execute(text)
    rows = cursor.fetchall()
    return rows[0][0] if rows else None


def code(does: Callable[[], Any]) -> int:
    """The number of the error that it ends with; 0: none."""
    try:
        does()
    except pymysql.err.MySQLError as error:
        return int(error.args[0])
    return 0


def says(client: Connection, text: str) -> int:
    return code(lambda: value(client, text))


def process_kill(client: Connection, number: int) -> None:
    client._execute_command(COMMAND.COM_PROCESS_KILL, struct.pack("<I", number))
    client._read_ok_packet()


class Running:
    """A statement that a client runs meanwhile, and what came of it."""

    def __init__(self, client: Connection, server: MySQL, text: str = LONG) -> None:
        self.code = -1
        self._server = server
        self._text = text
        self._thread = threading.Thread(target=self._run, args=(client,))
        self._thread.start()
        wait_until(lambda: self.is_there(), "the statement runs")

    def _run(self, client: Connection) -> None:
        self.code = says(client, self._text)

    def is_there(self) -> bool:
        return bool(self._server.value(RUNNING, self._text) == 1)

    def ended(self) -> int:
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert not self.is_there()
        return self.code


def interrupted(kind: Kind) -> int:
    """MySQL's SLEEP answers that it was interrupted."""
    return 0 if kind is MYSQL else 1317


@pytest.mark.parametrize("user", ["app", "legacy"])
@pytest.mark.parametrize("text", ["KILL QUERY {}", "/* ctrl-c */ kill query {};"])
def test_what_another_connection_of_the_same_user_runs_is_ended(
    mysql_proxy: MySQLProxy, mysql: MySQL, user: str, text: str
) -> None:
    with clients(mysql_proxy, user, user) as (victim, killer):
        running = Running(victim, mysql)
        assert says(killer, text.format(victim.thread_id())) == 0
        assert running.ended() == interrupted(mysql.kind)
        assert value(victim, "SELECT SLEEP(0.05)") == 0
        assert value(killer, "SELECT SLEEP(0.05)") == 0


@pytest.mark.parametrize("hard", ["KILL {}", "KILL CONNECTION {}", None])
def test_a_connection_is_ended_and_so_is_what_it_runs(
    mysql_proxy: MySQLProxy, mysql: MySQL, hard: str | None
) -> None:
    def kill(killer: Connection, number: int) -> None:
        if hard is None:
            process_kill(killer, number)
        else:
            value(killer, hard.format(number))

    with clients(mysql_proxy, "app", "app", "app") as (victim, idle, killer):
        running = Running(victim, mysql)
        kill(killer, victim.thread_id())
        assert running.ended() in LOST
        kill(killer, idle.thread_id())
        assert says(idle, "SELECT 1") in LOST
        for number in (victim.thread_id(), idle.thread_id()):
            assert code(functools.partial(kill, killer, number)) == 1094
        assert value(killer, "SELECT 6 * 7") == 42


def test_what_a_killed_connection_had_begun_is_rolled_back(
    mysql_proxy: MySQLProxy, mysql: MySQL
) -> None:
    mysql.sql("CREATE TABLE app.begun (a INT)")
    try:
        with clients(mysql_proxy, "app", "app") as (victim, killer):
            value(victim, "BEGIN")
            value(victim, "INSERT INTO begun VALUES (1)")
            assert says(killer, f"KILL {victim.thread_id()}") == 0
            assert says(victim, "COMMIT") in LOST
            assert value(killer, "SELECT count(*) FROM begun FOR UPDATE") == 0
    finally:
        mysql.sql("DROP TABLE app.begun")


def test_only_the_same_user_ends_a_statement_and_who_is_nobody_is_unknown(
    mysql_proxy: MySQLProxy, mysql: MySQL
) -> None:
    with clients(mysql_proxy, "app", "legacy", "app") as (victim, other, friend):
        running = Running(victim, mysql)
        number = victim.thread_id()
        for kill in ("KILL QUERY", "KILL"):
            with pytest.raises(pymysql.err.OperationalError) as caught:
                value(other, f"{kill} {number}")
            assert caught.value.args == (1095, f"You are not owner of thread {number}")
        assert code(functools.partial(process_kill, other, number)) == 1095
        nobody = number ^ 0x80000
        with pytest.raises(pymysql.err.OperationalError) as caught:
            value(other, f"KILL {nobody}")
        assert caught.value.args == (1094, f"Unknown thread id: {nobody}")
        assert running.is_there()
        assert says(friend, f"KILL QUERY {number}") == 0
        assert running.ended() == interrupted(mysql.kind)


def test_who_ends_itself_is_told_as_the_server_tells_it(
    mysql_proxy: MySQLProxy, mysql: MySQL
) -> None:
    for connect in (functools.partial(mysql.connect, "app"), mysql_proxy.client):
        with contextlib.closing(connect()) as client:
            assert says(client, f"KILL QUERY {client.thread_id()}") == 1317
            assert value(client, "SELECT 1") == 1
            told = says(client, f"KILL {client.thread_id()}")
            assert told == (1317 if mysql.kind is MYSQL else 1927)
            assert says(client, "SELECT 1") in LOST
            client._force_close()


def test_amid_a_transaction_one_kills_and_goes_on(mysql_proxy: MySQLProxy, mysql: MySQL) -> None:
    with clients(mysql_proxy, "app", "app") as (victim, killer):
        value(killer, "BEGIN")
        assert value(killer, "SELECT 1") == 1
        running = Running(victim, mysql)
        value(killer, f"KILL QUERY {victim.thread_id()}")
        assert killer.server_status & 1
        assert running.ended() == interrupted(mysql.kind)
        value(killer, "COMMIT")
        assert not killer.server_status & 1


def test_a_number_of_the_databases_own_is_for_it_to_judge(
    mysql_proxy: MySQLProxy, mysql: MySQL
) -> None:
    with clients(mysql_proxy, "app") as (killer,):
        with contextlib.closing(mysql.connect("app")) as mine:
            assert says(killer, f"KILL {mine.thread_id()}") == 0
            assert says(mine, "SELECT 1") in LOST
            mine._force_close()
        with contextlib.closing(mysql.connect("legacy")) as theirs:
            assert says(killer, f"KILL {theirs.thread_id()}") == 1095
            assert code(functools.partial(process_kill, killer, theirs.thread_id())) == 1095
            assert value(theirs, "SELECT 1") == 1
        assert says(killer, "KILL 1999999") == 1094


def test_what_cannot_be_translated_is_refused(mysql_proxy: MySQLProxy) -> None:
    with clients(mysql_proxy, "app") as (client,):
        for text in ("KILL USER app", "KILL QUERY ID 5", "KILL CONNECTION_ID()", "KILL 1 + 1"):
            assert says(client, text) == 1235, text
        assert value(client, "SELECT 1") == 1


def test_a_kill_that_comes_late_strikes_neither_the_next_statement_nor_the_next_client(
    mysql: MySQL, make_mysql_proxy: MySQLProxyFactory
) -> None:
    proxy = make_mysql_proxy(mysql)
    # Few connections for all of them: each goes from hand to hand.
    proxy.write_pool(maxConnectionsPercent=8, maxIdleConnectionsPercent=8)
    stop, struck = threading.Event(), []

    def others() -> None:
        with clients(proxy, "app") as (client,):
            while not stop.is_set():
                if value(client, "SELECT SLEEP(0.003)") != 0:
                    struck.append("another client's")

    threads = [threading.Thread(target=others) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        with clients(proxy, "app", "app") as (victim, killer):
            for turn in range(60):
                victim._execute_command(COMMAND.COM_QUERY, "SELECT SLEEP(0.01)")
                time.sleep(0.008 + turn % 7 * 0.001)
                assert says(killer, f"KILL QUERY {victim.thread_id()}") == 0
                with contextlib.suppress(pymysql.err.OperationalError):
                    victim._read_query_result()
                if value(victim, "SELECT SLEEP(0.002)") != 0:
                    struck.append("its next one")
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert struck == []


@pytest.fixture
def fleet(
    make_mysql_proxy: MySQLProxyFactory, mysql: MySQL, authority: Authority
) -> list[MySQLProxy]:
    """Two pods that found each other."""
    peers = {"hosts": list(ADDRESSES), "port": free_port()}
    pods = [make_mysql_proxy(mysql, start=False, peers=peers) for _ in ADDRESSES]
    for pod, address in zip(pods, ADDRESSES, strict=True):
        pod.address = address
        pod.start()
    for pod in pods:
        wait_until(functools.partial(pod.events, "peers"), "it knows the other one")
    return pods


def at(pod: MySQLProxy, user: str = "app") -> Connection:
    return pymysql.connect(
        host=pod.address,
        port=pod.port,
        user=user,
        password=PASSWORDS[user].encode(),
        database="app",
        autocommit=True,
    )


def test_a_kill_reaches_its_client_by_whichever_pod_it_comes(
    fleet: list[MySQLProxy], mysql: MySQL
) -> None:
    home, door = fleet
    with contextlib.ExitStack() as stack:
        victim, killer, other = at(home), at(door), at(door, "legacy")
        for client in (victim, killer, other):
            stack.callback(client._force_close)
        number = victim.thread_id()
        running = Running(victim, mysql)
        assert says(other, f"KILL QUERY {number}") == 1095
        assert says(other, f"KILL {number}") == 1095
        assert running.is_there()
        assert says(killer, f"KILL QUERY {number}") == 0
        assert running.ended() == interrupted(mysql.kind)
        assert value(victim, "SELECT SLEEP(0.05)") == 0
        assert says(killer, f"KILL {number ^ 0x80000}") == 1094
        running = Running(victim, mysql)
        process_kill(killer, number)
        assert running.ended() in LOST
        assert says(killer, f"KILL {number}") == 1094
        home.kill9()
        assert says(killer, f"KILL {number}") == 1105
        assert value(killer, "SELECT 6 * 7") == 42
