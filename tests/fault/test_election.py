"""Elections that are wrong leave the last writer or depose it; without one, targets are asked."""

from __future__ import annotations

import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import Postgres, wait_until


@pytest.fixture
def server(make_postgres: PostgresFactory) -> Postgres:
    return make_postgres()


@pytest.fixture
def proxy(make_proxy: ProxyFactory, server: Postgres) -> Proxy:
    return make_proxy(server)


def reason(proxy: Proxy) -> tuple[str, str]:
    told = proxy.events("writer")[-1]
    return told["state"], told["reason"]


def works(proxy: Proxy) -> bool:
    with proxy.connect() as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("writer", "epoch", "expected"),
    [
        ("db-0", "x", "ElectionInvalid"),
        ("db-0", -1, "ElectionInvalid"),
        ("db-0", 0, "EpochFell"),
    ],
)
def test_the_last_writer_stays_and_the_reason_is_told(
    proxy: Proxy, writer: str, epoch: int | str, expected: str
) -> None:
    proxy.elect(writer, epoch)
    wait_until(lambda: reason(proxy) == ("OPEN", expected), expected)
    assert works(proxy)
    proxy.elect("db-0", 5)
    wait_until(lambda: reason(proxy) == ("OPEN", ""), "it heals")


@pytest.mark.parametrize(
    ("writer", "epoch", "expected"),
    [
        ("db-9", 2, "UnknownWriter"),
        ("", 2, "NoWriter"),
        ("", 1, "ElectionInvalid"),
    ],
)
def test_a_deposed_writer_is_left_and_the_reason_is_told(
    proxy: Proxy, server: Postgres, writer: str, epoch: int, expected: str
) -> None:
    assert works(proxy)
    proxy.elect(writer, epoch)
    wait_until(lambda: reason(proxy) == ("HOLDING", expected), expected)
    wait_until(lambda: server.backends() == 0, "no connection is left")
    proxy.elect("db-0", 5)
    wait_until(lambda: reason(proxy) == ("OPEN", ""), "it heals")
    assert works(proxy)


def test_a_missing_election_leaves_the_last_writer(proxy: Proxy) -> None:
    for name in ("writer", "epoch"):
        (proxy.election_dir / name).unlink()
    wait_until(lambda: reason(proxy) == ("OPEN", "ElectionNotFound"), "it is told")
    assert works(proxy)


def test_the_last_writer_is_held_when_sql_no_longer_confirms_it(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    primary = make_postgres("db-0")
    other = make_postgres.replica_of(primary, "db-1")
    proxy = make_proxy(primary, other)
    for name in ("writer", "epoch"):
        (proxy.election_dir / name).unlink()
    other.promote()
    primary.demote_to_replica_of(other)
    wait_until(lambda: reason(proxy)[0] == "HOLDING", "it is held")


def test_the_floor_counts_after_a_restart(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    primary = make_postgres("db-0")
    replica = make_postgres.replica_of(primary, "db-1")
    proxy = make_proxy(primary, replica, start=False)
    proxy.write_group(writerFloor={"target": "db-1", "uid": "file", "epoch": 9})
    proxy.start(ready=False)
    proxy.wait_ready()
    wait_until(
        lambda: proxy.events("writer") and reason(proxy) == ("HOLDING", "EpochFell"), "it is held"
    )
    replica.promote()
    proxy.wait_writer("db-1", 9)


def test_without_election_the_writer_is_found_and_followed(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    primary = make_postgres("db-0")
    replica = make_postgres.replica_of(primary, "db-1")
    proxy = make_proxy(primary, replica, start=False)
    proxy.write_group(writerElection=None)
    proxy.epoch = 0
    proxy.start()
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
        primary.kill9()
        replica.promote()
        proxy.wait_writer("db-1")
        row = connection.execute("SELECT current_setting('port')::int").fetchone()
        assert row == (replica.port,)


def test_without_election_two_writers_hold_until_the_later_timeline_is_sure(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    primary = make_postgres("db-0")
    replica = make_postgres.replica_of(primary, "db-1")
    proxy = make_proxy(primary, replica, start=False)
    proxy.write_group(writerElection=None)
    proxy.epoch = 0
    proxy.start()
    replica.promote()
    proxy.wait_writer("db-1")
    assert ("HOLDING", "MultipleWriters") in [
        (event["state"], event["reason"]) for event in proxy.events("writer")
    ]
