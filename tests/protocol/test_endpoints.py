"""READ_WRITE goes to the writer, READ_ONLY to the readers, each as product.md says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from tests.certificates import Authority
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import Postgres


@dataclass
class Shop:
    """A primary, a replica, and a proxy over both."""

    proxy: Proxy
    primary: Postgres
    replica: Postgres


@pytest.fixture(scope="module")
def shop(postgres_template: object, authority: Authority) -> Iterator[Shop]:
    from pathlib import Path

    assert isinstance(postgres_template, Path)
    servers, proxies = PostgresFactory(postgres_template), ProxyFactory(authority)
    try:
        primary = servers("db-0")
        replica = servers.replica_of(primary, "db-1")
        proxy = proxies(primary, replica)
        proxy.wait_target("db-1", role="READ_ONLY")
        yield Shop(proxy, primary, replica)
    finally:
        proxies.close()
        servers.close()


def port(connection: psycopg.Connection[object]) -> int:
    row = connection.execute("SELECT current_setting('port')::int").fetchone()
    assert isinstance(row, tuple)
    found: int = row[0]
    return found


def test_a_read_write_endpoint_goes_to_the_writer(shop: Shop) -> None:
    with shop.proxy.connect() as connection:
        assert {port(connection) for _ in range(10)} == {shop.primary.port}


def test_a_read_only_endpoint_goes_to_a_reader(shop: Shop) -> None:
    with shop.proxy.connect(read_only=True) as connection:
        assert {port(connection) for _ in range(10)} == {shop.replica.port}


def test_what_a_reader_refuses_is_passed_on(shop: Shop) -> None:
    with (
        shop.proxy.connect(read_only=True) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("CREATE TABLE refused (id int)")


def test_a_client_of_a_reader_is_told_that_it_is_in_hot_standby(shop: Shop) -> None:
    with shop.proxy.connect(read_only=True) as reader, shop.proxy.connect() as writer:
        assert reader.pgconn.parameter_status(b"in_hot_standby") == b"on"
        assert writer.pgconn.parameter_status(b"in_hot_standby") == b"off"


def test_drivers_that_look_for_a_role_find_it(shop: Shop) -> None:
    with shop.proxy.connect(target_session_attrs="read-write") as connection:
        assert port(connection) == shop.primary.port
    with shop.proxy.connect(read_only=True, target_session_attrs="standby") as connection:
        assert port(connection) == shop.replica.port


def test_without_any_reader_there_is_an_error_at_once(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres())
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError) as caught:
        proxy.connect(read_only=True)
    assert "READ_ONLY" in str(caught.value)
    assert time.monotonic() - began < 15


def test_readers_that_are_down_are_waited_for(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    primary = make_postgres("db-0")
    replica = make_postgres.replica_of(primary, "db-1")
    proxy = make_proxy(primary, replica)
    proxy.wait_target("db-1", role="READ_ONLY")
    with proxy.connect(read_only=True) as connection:
        connection.execute("SELECT 1")
        replica.stop()
        proxy.wait_target("db-1", "UNAVAILABLE")
        replica.start()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_reader_that_is_too_late_is_waited_for_until_it_has_caught_up(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    primary = make_postgres("db-0")
    replica = make_postgres.replica_of(primary, "db-1")
    proxy = make_proxy(primary, replica)
    proxy.write_group(maxReplicaLag=2)
    proxy.wait_target("db-1", role="READ_ONLY")
    primary.psql("CREATE TABLE seen (id int)")
    primary.psql("GRANT SELECT ON seen TO app")
    with proxy.connect(read_only=True) as connection:
        connection.execute("SELECT 1")
        replica.psql("SELECT pg_wal_replay_pause()")
        primary.psql("INSERT INTO seen VALUES (7)")
        proxy.wait_target("db-1", "UNAVAILABLE", reason="INVALID_REPLICATION_STATE")
        assert "more than maxReplicaLag, 2 s" in proxy.events("target")[-1]["description"]
        proxy.write_pool(connectionBorrowTimeout=1)
        proxy.wait_config()
        with pytest.raises(psycopg.errors.TooManyConnections):
            connection.execute("SELECT 1")
        replica.psql("SELECT pg_wal_replay_resume()")
        proxy.wait_target("db-1", "AVAILABLE")
        assert connection.execute("SELECT id FROM seen").fetchone() == (7,)


def test_work_is_spread_over_readers_by_outstanding_connections(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    primary = make_postgres("db-0")
    readers = [make_postgres.replica_of(primary, f"db-{number}") for number in (1, 2)]
    proxy = make_proxy(primary, *readers)
    for reader in readers:
        proxy.wait_target(reader.name, role="READ_ONLY")
    clients = [proxy.connect(read_only=True) for _ in range(8)]
    for client in clients:
        client.execute("BEGIN")
    ports = [port(client) for client in clients]
    assert sorted(ports.count(reader.port) for reader in readers) == [4, 4]
    for client in clients:
        client.close()


def test_an_endpoint_is_added_and_removed_while_clients_stay(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    from tests.servers import free_port

    proxy = make_proxy(make_postgres())
    listeners = proxy.settings["listeners"]
    extra = {"name": "extra", "port": free_port(), "targetRole": "READ_WRITE"}
    with proxy.connect() as connection:
        proxy.write_settings(listeners=[*listeners, extra])
        proxy.wait_config()
        added = proxy.connect(port=extra["port"])
        assert added.execute("SELECT 1").fetchone() == (1,)
        added.close()
        proxy.write_settings(listeners=listeners)
        proxy.wait_config()
        with pytest.raises(psycopg.OperationalError):
            proxy.connect(port=extra["port"])
        assert connection.execute("SELECT 1").fetchone() == (1,)
