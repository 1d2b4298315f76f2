"""SIGTERM: no new clients, those that are here leave at the end of their transactions, exit 0."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import ProxyFactory
from tests.servers import DEADLINE, wait_until


def test_an_idle_client_is_told_goodbye_and_the_program_ends(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres())
    connection = proxy.connect()
    proxy.sigterm()
    assert proxy.wait_exit() == 0
    with pytest.raises(psycopg.errors.AdminShutdown):
        connection.execute("SELECT 1")
    connection.close()
    assert proxy.events("stopped")


def test_a_transaction_is_finished_before_the_end(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server, drainTimeout=60)
    connection = proxy.connect()
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE finished AS SELECT 1 AS id")
    proxy.sigterm()
    wait_until(lambda: proxy.get("/readyz")[0] == 503, "it is not ready any more")
    connection.execute("INSERT INTO finished VALUES (2)")
    connection.execute("COMMIT")
    assert proxy.wait_exit() == 0
    assert server.value("SELECT count(*) FROM finished") == 2
    connection.close()


def test_new_clients_are_refused_while_it_leaves(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), drainTimeout=60)
    with proxy.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1")
        proxy.sigterm()

        def refused() -> bool:
            try:
                proxy.connect().close()
            except psycopg.OperationalError:
                return True
            return False

        wait_until(refused, "new clients are refused")
        connection.execute("COMMIT")
        assert proxy.wait_exit() == 0


def test_the_drain_timeout_ends_a_transaction_that_does_not(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), drainTimeout=1)
    connection = proxy.connect()
    connection.execute("BEGIN")
    connection.execute("SELECT 1")
    began = time.monotonic()
    proxy.sigterm()
    assert proxy.wait_exit() == 0
    assert time.monotonic() - began > 0.9
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_a_second_signal_waits_for_no_transaction(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), drainTimeout=60)
    connection = proxy.connect()
    connection.execute("BEGIN")
    connection.execute("SELECT 1")
    proxy.sigterm()
    wait_until(lambda: proxy.events("leaving"), "it leaves")
    proxy.sigterm()
    assert proxy.wait_exit() == 0
    connection.close()


def test_no_transaction_is_lost_under_load(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server, drainTimeout=60)
    server.psql("CREATE TABLE counted (id serial PRIMARY KEY, client int)")
    server.psql("GRANT ALL ON counted, counted_id_seq TO app")
    committed = [0] * 8
    told: list[tuple[bool, set[str | None]]] = []

    def work(client: int) -> None:
        connection = proxy.connect()
        states: set[str | None] = set()
        # libpq takes a goodbye that arrives between two requests for a notice.
        connection.add_notice_handler(lambda notice: states.add(notice.sqlstate))
        inside = False
        try:
            while True:
                connection.execute("BEGIN")
                inside = True
                connection.execute("INSERT INTO counted (client) VALUES (%s)", (client,))
                connection.execute("COMMIT")
                committed[client] += 1
                inside = False
        except psycopg.OperationalError as error:
            told.append((inside, (states | {error.sqlstate}) - {None}))
        connection.close()

    threads = [threading.Thread(target=work, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(committed) > 20, "all work")
    proxy.sigterm()
    assert proxy.wait_exit() == 0
    for thread in threads:
        thread.join(DEADLINE)
    assert told == [(False, {"57P01"})] * 8
    rows = dict(server.psql("SELECT client, count(*) FROM counted GROUP BY client"))
    assert [rows[client] for client in range(8)] == committed


def test_check_names_every_fault(make_proxy: ProxyFactory) -> None:
    proxy = make_proxy(start=False)
    proxy.write_settings(engineFamily="DB2", targetGroup=None)
    done = subprocess.run(
        [*proxy.command()[:3], "--check", "--config-dir", str(proxy.config_dir)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "proxy")},
    )
    assert done.returncode == 2
    assert done.stdout == "settings.json: engineFamily: Input should be 'POSTGRESQL' or 'MYSQL'\n"
