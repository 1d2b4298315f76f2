"""A database that goes away in any manner, is full, or refuses: its clients are told the truth, and
those that wait for nothing notice nothing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pymysql
import pytest
from tests.certificates import Authority
from tests.fix_mysql import MySQLFactory, MySQLTemplates
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.answers import Connection, code, last_words, later, refused, value
from tests.mysql_servers import Kind, MySQL
from tests.servers import DEADLINE, wait_until

LOST, UNKNOWN, STATE_LOST, INTERRUPTED, NOT_KNOWN = 1213, 1158, 1053, 1317, 1235
pytestmark = pytest.mark.together
# More than the connections that the proxy has opened by then.
CROWD = 12
# What a server itself says of a connection that it ends.
GOODBYES = {1053, 1927, 3169, 4031}


@pytest.fixture(scope="module")
def database(mysql_kind: Kind, mysql_templates: MySQLTemplates) -> Iterator[MySQL]:
    factory = MySQLFactory(mysql_kind, mysql_templates.of(mysql_kind))
    try:
        # What it has acknowledged is there also when it was killed.
        server = factory(innodb_flush_log_at_trx_commit=2)
        server.sql("CREATE TABLE app.notes (id INT)")
        yield server
    finally:
        factory.close()


@pytest.fixture(scope="module")
def only_proxy(mysql_kind: Kind, database: MySQL, authority: Authority) -> Iterator[MySQLProxy]:
    factory = MySQLProxyFactory(mysql_kind, authority)
    try:
        yield factory(database)
    finally:
        factory.close()


@pytest.fixture
def server(database: MySQL) -> MySQL:
    """The module's server as it was."""
    if not database.running:
        database.start()
    for text in ("SET GLOBAL wait_timeout = DEFAULT", "DELETE FROM app.notes"):
        database.sql(text)
    return database


@pytest.fixture
def proxy(only_proxy: MySQLProxy, server: MySQL) -> MySQLProxy:
    """The module's proxy, which serves that again."""
    only_proxy.wait_target(server.name, "AVAILABLE")
    only_proxy.wait_writer()
    return only_proxy


def end(server: MySQL, manner: str) -> None:
    server.kill9() if manner == "kill9" else server.stop()


def runs(server: MySQL, text: str) -> None:
    found = "SELECT 1 FROM information_schema.processlist WHERE info = %s"
    wait_until(lambda: server.sql(found, text), "it runs")


def is_closed(client: Connection) -> bool:
    with contextlib.closing(client):
        return refused(client, "SELECT 1") in (2006, 2013)


@pytest.mark.parametrize("manner", ["stop", "kill9"])
def test_idle_clients_never_notice(proxy: MySQLProxy, server: MySQL, manner: str) -> None:
    with contextlib.closing(proxy.client()) as client:
        value(client, "SET time_zone = '+05:00'")
        end(server, manner)
        proxy.wait_target("db-0", "UNAVAILABLE", reason="UNREACHABLE")
        server.start()
        proxy.wait_target("db-0", "AVAILABLE")
        assert value(client, "SELECT @@time_zone") == "+05:00"


def test_new_work_waits_until_the_database_is_back(proxy: MySQLProxy, server: MySQL) -> None:
    with contextlib.closing(proxy.client()) as client:
        value(client, "SELECT 1")
        server.stop()
        proxy.wait_target("db-0", "UNAVAILABLE")
        answers = later(client, "SELECT 7")
        wait_until(lambda: proxy.metric("dbproxy_clients_waiting") == 1, "it waits")
        came: list[object] = []

        def come() -> None:
            with contextlib.closing(proxy.client()) as late:
                came.append(value(late, "SELECT 8"))

        thread = threading.Thread(target=come)
        thread.start()
        server.start()
        thread.join(DEADLINE)
        assert (answers(), came) == ([7], [8])


def test_new_work_is_refused_after_the_borrow_timeout(proxy: MySQLProxy, server: MySQL) -> None:
    with contextlib.closing(proxy.client()) as client:
        value(client, "SELECT 1")
        proxy.write_pool(connectionBorrowTimeout=1)
        proxy.wait_config()
        server.stop()
        proxy.wait_target("db-0", "UNAVAILABLE")
        began = time.monotonic()
        assert refused(client, "SELECT 1") == 9501
        assert 0.9 < time.monotonic() - began < 15
        proxy.write_pool(connectionBorrowTimeout=20)
        proxy.wait_config()
        server.start()
        assert value(client, "SELECT 1") == 1


@pytest.mark.parametrize("manner", ["stop", "kill9"])
def test_an_open_transaction_is_lost_on_a_connection_that_stays(
    proxy: MySQLProxy, server: MySQL, manner: str
) -> None:
    with contextlib.closing(proxy.client()) as client:
        value(client, "BEGIN")
        value(client, "INSERT INTO notes VALUES (1)")
        end(server, manner)
        assert refused(client, "INSERT INTO notes VALUES (2)") == LOST
        server.start()
        value(client, "INSERT INTO notes VALUES (3)")
    assert server.sql("SELECT id FROM app.notes") == [(3,)]


def test_a_write_in_flight_has_an_unknown_outcome(proxy: MySQLProxy, server: MySQL) -> None:
    client = proxy.client()
    text = "INSERT INTO notes SELECT SLEEP(30)"
    told = later(client, text)
    runs(server, text)
    server.kill9()
    assert code(told()) == UNKNOWN
    assert is_closed(client)


def test_a_read_in_flight_may_be_asked_again(proxy: MySQLProxy, server: MySQL) -> None:
    with contextlib.closing(proxy.client()) as client:
        told = later(client, "SELECT SLEEP(30)")
        runs(server, "SELECT SLEEP(30)")
        server.kill9()
        assert code(told()) == LOST
        server.start()
        assert value(client, "SELECT 1") == 1


def test_a_pinned_session_is_told_that_its_state_is_gone(proxy: MySQLProxy, server: MySQL) -> None:
    client = proxy.client()
    value(client, "CREATE TEMPORARY TABLE own (id INT)")
    server.kill9()
    assert last_words(client) == STATE_LOST
    client._force_close()


def test_a_frozen_database_is_found_and_forgiven(proxy: MySQLProxy, server: MySQL) -> None:
    with contextlib.closing(proxy.client()) as client:
        value(client, "SELECT 1")
        server.freeze()
        proxy.wait_target("db-0", "UNAVAILABLE", reason="UNREACHABLE")
        server.thaw()
        proxy.wait_target("db-0", "AVAILABLE")
        assert value(client, "SELECT 1") == 1


def test_a_restart_under_load_costs_no_connection(proxy: MySQLProxy, server: MySQL) -> None:
    stop = threading.Event()
    told: set[int | None] = set()
    clients = [proxy.client() for _ in range(4)]

    def work(client: Connection) -> None:
        while not stop.is_set():
            told.add(refused(client, "SELECT 1"))

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    wait_until(lambda: told, "they work")
    server.restart()
    proxy.wait_target("db-0", "AVAILABLE")
    stop.set()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert told <= {None, LOST, STATE_LOST}
    for client in clients:
        assert value(client, "SELECT 1") == 1
        client.close()


@pytest.mark.parametrize("text", ["FLUSH HOSTS", "FLUSH PRIVILEGES", "FLUSH TABLES", "FLUSH LOGS"])
def test_what_an_administrator_flushes_is_nobodys_business(
    proxy: MySQLProxy, server: MySQL, text: str
) -> None:
    with contextlib.closing(proxy.client()) as idle, contextlib.closing(proxy.client()) as busy:
        value(idle, "SELECT 1")
        value(busy, "BEGIN")
        value(busy, "INSERT INTO notes VALUES (1)")
        server.sql(text)
        value(busy, "COMMIT")
        assert value(idle, "SELECT COUNT(*) FROM notes") == 1


# --- KILL from outside ----------------------------------------------------------------------------


def test_connections_that_are_killed_while_idle_are_not_missed(
    proxy: MySQLProxy, server: MySQL
) -> None:
    with contextlib.closing(proxy.client()) as client:
        for _ in range(5):
            assert value(client, "SELECT 1") == 1
            server.end_connections("app")


def test_who_is_killed_in_a_transaction_loses_it_and_no_more(
    proxy: MySQLProxy, server: MySQL
) -> None:
    with contextlib.closing(proxy.client()) as client:
        value(client, "BEGIN")
        value(client, "INSERT INTO notes VALUES (1)")
        server.end_connections("app")
        assert refused(client, "COMMIT") == LOST
        assert value(client, "SELECT COUNT(*) FROM notes") == 0


@pytest.mark.parametrize("what", ["KILL", "KILL QUERY"])
def test_a_write_that_is_killed_is_told_truthfully(
    proxy: MySQLProxy, server: MySQL, what: str
) -> None:
    client = proxy.client()
    text = "INSERT INTO notes VALUES (1)"
    with contextlib.closing(server.connect(database="app")) as locks:
        value(locks, "LOCK TABLES notes WRITE")
        told = later(client, text)
        runs(server, text)
        found = "SELECT id FROM information_schema.processlist WHERE info = %s"
        server.sql(f"{what} {server.value(found, text)}")
        if what == "KILL":
            assert code(told()) in {UNKNOWN, INTERRUPTED} | GOODBYES
        else:
            assert code(told()) == INTERRUPTED
    assert server.value("SELECT COUNT(*) FROM app.notes") == 0
    if what == "KILL QUERY":
        assert value(client, "SELECT COUNT(*) FROM notes") == 0
    client.close()


# --- time-outs of the server ----------------------------------------------------------------------


def test_connections_that_the_server_times_out_are_not_missed(
    proxy: MySQLProxy, server: MySQL
) -> None:
    server.sql("SET GLOBAL wait_timeout = 1")
    server.end_connections("app")
    with contextlib.closing(proxy.client()) as client:
        value(client, "SET time_zone = '+05:00'")
        for _ in range(3):
            assert value(client, "SELECT @@time_zone") == "+05:00"
            wait_until(lambda: not server.connections("app"), "the server has closed it")
        # Those that are closed just then are no worse: nothing of theirs is lost.
        told = set()
        for _ in range(12):
            time.sleep(0.2)
            told.add(refused(client, "SELECT 1"))
        assert told == {None}


def test_who_idles_in_a_transaction_past_the_servers_time_out_has_lost_it(
    proxy: MySQLProxy, server: MySQL
) -> None:
    server.sql("SET GLOBAL wait_timeout = 1")
    server.end_connections("app")
    with contextlib.closing(proxy.client()) as client:
        value(client, "BEGIN")
        value(client, "INSERT INTO notes VALUES (1)")
        wait_until(lambda: not server.connections("app"), "the server has closed it")
        assert refused(client, "COMMIT") == LOST
        assert value(client, "SELECT COUNT(*) FROM notes") == 0


# --- a full server --------------------------------------------------------------------------------


def fill(server: MySQL, stack: contextlib.ExitStack) -> None:
    """Take all connections that are left for who isn't an administrator."""
    while True:
        try:
            stack.enter_context(contextlib.closing(server.connect("legacy")))
        except pymysql.err.OperationalError as error:
            if error.args[0] != 1040:
                raise
            return


def begin_all(clients: list[Connection]) -> tuple[list[Connection], Connection]:
    """Those that got a connection, all that the proxy has, and one that got none."""
    for number, client in enumerate(clients):
        told = refused(client, "BEGIN")
        if told:
            assert told == 9501
            return clients[:number], client
    pytest.fail("all got one")


def test_who_has_a_connection_of_a_full_database_goes_on_and_who_has_none_waits(
    proxy: MySQLProxy, server: MySQL
) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.ExitStack() as taken:
            clients = [
                stack.enter_context(contextlib.closing(proxy.client())) for _ in range(CROWD)
            ]
            first = clients.pop()
            value(first, "BEGIN")
            fill(server, taken)
            proxy.write_pool(connectionBorrowTimeout=1)
            proxy.wait_config()
            holders, waits = begin_all(clients)
            for client in (first, *holders):
                value(client, "INSERT INTO notes VALUES (1)")
            assert "1040" in {event["code"] for event in proxy.events("backend_failed")}
            proxy.write_pool(connectionBorrowTimeout=20)
            proxy.wait_config()
            answers = later(waits, "SELECT 2")
            wait_until(lambda: proxy.metric("dbproxy_clients_waiting") == 1, "it waits")
            value(first, "COMMIT")
            assert answers() == [2], "it has the one that is free now"
            value(first, "BEGIN")
        assert value(waits, "SELECT 3") == 3
        for client in holders:
            value(client, "COMMIT")
    assert server.value("SELECT COUNT(*) FROM app.notes") == 1 + len(holders)


# --- a writer that takes no writes ---------------------------------------------------------------


def test_a_writer_that_is_made_read_only_holds_new_work_until_it_writes_again(
    proxy: MySQLProxy, server: MySQL
) -> None:
    with contextlib.closing(proxy.client()) as client:
        value(client, "INSERT INTO notes VALUES (1)")
        server.set_read_only()
        # Until the proxy knows it the database itself says so.
        told = refused(client, "INSERT INTO notes VALUES (2)")
        assert told in (1290, 1836, None)
        answers = later(client, "SELECT 5") if told is None else None
        server.set_read_only(on=False)
        if answers:
            assert answers() == [5]
        proxy.wait_writer("db-0")
        value(client, "INSERT INTO notes VALUES (3)")
    assert {1, 3} <= {row[0] for row in server.sql("SELECT id FROM app.notes")}


def test_the_id_of_a_lost_insert_is_refused_until_there_is_another(
    proxy: MySQLProxy, server: MySQL
) -> None:
    server.sql("CREATE TABLE app.numbered (id INT AUTO_INCREMENT PRIMARY KEY, x INT)")
    asks, inserts = "SELECT LAST_INSERT_ID()", "INSERT INTO numbered (x) VALUES (1)"
    with contextlib.closing(proxy.client()) as client:
        value(client, inserts)
        assert value(client, asks) == 1
        value(client, "BEGIN")
        value(client, inserts)
        server.kill9()
        assert refused(client, "SELECT 1") == LOST
        server.start()
        assert refused(client, asks) == NOT_KNOWN
        value(client, "BEGIN")
        value(client, inserts)
        last = value(client, asks)
        assert last == value(client, "SELECT MAX(id) FROM numbered")
        value(client, "COMMIT")
        assert value(client, asks) == last
