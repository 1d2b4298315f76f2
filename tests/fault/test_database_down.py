"""A database that goes away in any manner, and comes back."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import DEADLINE, Postgres, wait_until


@pytest.fixture
def server(make_postgres: PostgresFactory) -> Postgres:
    return make_postgres()


@pytest.fixture
def proxy(make_proxy: ProxyFactory, server: Postgres) -> Proxy:
    return make_proxy(server)


@pytest.mark.parametrize("manner", ["fast", "immediate", "kill9"])
def test_idle_clients_never_notice(proxy: Proxy, server: Postgres, manner: str) -> None:
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
        server.kill9() if manner == "kill9" else server.stop(manner)
        proxy.wait_target("db-0", "UNAVAILABLE", reason="UNREACHABLE")
        server.start()
        proxy.wait_target("db-0", "AVAILABLE")
        assert connection.execute("SELECT 2").fetchone() == (2,)


def test_new_work_waits_until_the_database_is_back(proxy: Proxy, server: Postgres) -> None:
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
        server.stop()
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(connection.execute("SELECT 7").fetchone())
        )
        thread.start()
        wait_until(lambda: proxy.metric("dbproxy_clients_waiting") == 1, "it waits")
        server.start()
        thread.join(DEADLINE)
        assert answers == [(7,)]


def test_new_work_is_refused_after_the_borrow_timeout(proxy: Proxy, server: Postgres) -> None:
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
        proxy.write_pool(connectionBorrowTimeout=1)
        proxy.wait_config()
        server.stop()
        began = time.monotonic()
        with pytest.raises(psycopg.errors.TooManyConnections):
            connection.execute("SELECT 1")
        assert 0.9 < time.monotonic() - began < 15
        proxy.write_pool(connectionBorrowTimeout=20)
        proxy.wait_config()
        server.start()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_client_that_comes_while_it_is_down_is_logged_in_when_it_is_back(
    proxy: Proxy, server: Postgres
) -> None:
    server.stop()
    proxy.wait_target("db-0", "UNAVAILABLE")
    answers: list[Any] = []

    def work() -> None:
        with proxy.connect() as connection:
            answers.append(connection.execute("SELECT 7").fetchone())

    thread = threading.Thread(target=work)
    thread.start()
    server.start()
    thread.join(DEADLINE)
    assert answers == [(7,)]


@pytest.mark.parametrize("manner", ["fast", "immediate", "kill9"])
def test_an_open_transaction_is_aborted_on_a_connection_that_stays(
    proxy: Proxy, server: Postgres, manner: str
) -> None:
    with proxy.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE lost (id int)")
        server.kill9() if manner == "kill9" else server.stop(manner)
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("SELECT 1")
        server.start()
        if manner == "fast":
            # The database's own goodbye came first, and is passed on.
            assert caught.value.sqlstate in ("40001", "57P01")
        else:
            assert caught.value.sqlstate in ("40001", "57P02")
        if caught.value.sqlstate == "40001":
            connection.execute("ROLLBACK")
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_autocommit_write_in_flight_has_an_unknown_outcome(
    proxy: Proxy, server: Postgres
) -> None:
    server.psql("CREATE TABLE notes (id int)")
    server.psql("GRANT ALL ON notes TO app")
    connection = proxy.connect()
    told: list[str | None] = []

    def work() -> None:
        try:
            connection.execute("INSERT INTO notes SELECT 1 FROM pg_sleep(30)")
        except psycopg.Error as error:
            told.append(error.sqlstate)

    thread = threading.Thread(target=work)
    thread.start()
    active = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND usename = 'app'"
    wait_until(lambda: server.psql(active), "it runs")
    server.kill9()
    thread.join(DEADLINE)
    assert told == ["08007"]
    assert connection.closed
    connection.close()


def test_a_frozen_database_is_found_and_forgiven(proxy: Proxy, server: Postgres) -> None:
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
        server.freeze()
        proxy.wait_target("db-0", "UNAVAILABLE", reason="UNREACHABLE")
        server.thaw()
        proxy.wait_target("db-0", "AVAILABLE")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_pod_is_ready_and_alive_while_the_database_is_down(
    proxy: Proxy, server: Postgres
) -> None:
    server.stop()
    proxy.wait_target("db-0", "UNAVAILABLE")
    assert proxy.get("/readyz")[0] == 200
    assert proxy.get("/healthz")[0] == 200


def test_a_proxy_that_starts_without_its_database_is_ready_and_serves_once_it_is_there(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres(start=False)
    proxy = make_proxy(server, start=False)
    proxy.start(ready=False)
    proxy.wait_ready()
    proxy.wait_target("db-0", "UNAVAILABLE")
    server.start()
    proxy.wait_writer("db-0")
    with proxy.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_host_that_does_not_resolve_is_unreachable_with_its_reason(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), start=False)
    targets = [{"name": "db-0", "host": "no-such-host.invalid", "port": 5432}]
    proxy.write_group(targets=targets)
    proxy.start(ready=False)
    proxy.wait_ready()
    proxy.wait_target("db-0", "UNAVAILABLE", reason="UNREACHABLE")
    assert "does not resolve" in proxy.events("target")[-1]["description"]


def test_a_restart_under_load_costs_no_connection(proxy: Proxy, server: Postgres) -> None:
    stop = threading.Event()
    told: set[str | None] = set()
    reconnects = 0

    def work() -> None:
        nonlocal reconnects
        connection = proxy.connect()
        while not stop.is_set():
            try:
                connection.execute("SELECT 1")
            except psycopg.Error as error:
                told.add(error.sqlstate)
                if connection.closed:
                    reconnects += 1
                    connection = proxy.connect()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    server.restart()
    proxy.wait_target("db-0", "AVAILABLE")
    stop.set()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert told <= {"40001", "08007", "57P01"}
