"""Replicas that stopped, or are too late, are read from by nobody until they follow again."""

from __future__ import annotations

import contextlib

import pytest
from tests.fix_mysql import MySQLFactory
from tests.fix_mysql_proxy import MySQLProxyFactory
from tests.mysql.answers import later, value
from tests.mysql_servers import MYSQL, PASSWORDS
from tests.servers import wait_until

pytestmark = pytest.mark.together


def test_a_replica_that_does_not_apply_any_more_reads_for_nobody(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    writer = make_mysql("db-0")
    reader = make_mysql.replica_of(writer, "db-1")
    proxy = make_mysql_proxy(writer, reader)
    proxy.wait_target("db-1", role="READ_ONLY")
    with contextlib.closing(proxy.client(read_only=True)) as client:
        assert value(client, "SELECT @@port") == reader.port
        reader.sql(reader.kind.stop_applier)
        proxy.wait_target("db-1", "UNAVAILABLE", reason="INVALID_REPLICATION_STATE")
        answers = later(client, "SELECT @@port")
        wait_until(lambda: proxy.metric("dbproxy_clients_waiting") == 1, "it waits")
        reader.sql(reader.kind.start_replica)
        assert answers() == [reader.port]


def test_a_replica_that_is_too_late_is_waited_for_until_it_has_caught_up(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    writer = make_mysql("db-0")
    reader = make_mysql.replica_of(writer, "db-1", delay=600)
    proxy = make_mysql_proxy(writer, reader)
    proxy.write_group(maxReplicaLag=2)
    proxy.wait_target("db-1", role="READ_ONLY")
    with contextlib.closing(proxy.client(read_only=True)) as client:
        assert value(client, "SELECT @@port") == reader.port
        writer.sql("CREATE TABLE app.seen AS SELECT 7 AS id")
        proxy.wait_target("db-1", "UNAVAILABLE", reason="INVALID_REPLICATION_STATE")
        assert "more than maxReplicaLag, 2 s" in proxy.events("target")[-1]["description"]
        answers = later(client, "SELECT id FROM seen")
        wait_until(lambda: proxy.metric("dbproxy_clients_waiting") == 1, "it waits")
        for text in ("STOP REPLICA", reader.kind.without_delay, reader.kind.start_replica):
            reader.sql(text)
        assert answers() == [7]
    proxy.wait_target("db-1", "AVAILABLE")


def test_a_limit_on_the_lag_needs_a_monitor_that_may_see_it(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    writer = make_mysql("db-0")
    reader = make_mysql.replica_of(writer, "db-1")
    proxy = make_mysql_proxy(writer, reader)
    proxy.wait_target("db-1", role="READ_ONLY")
    proxy.write_credentials(monitor={"name": "app", "password": PASSWORDS["app"]})
    proxy.write_group(maxReplicaLag=2)
    proxy.wait_target("db-1", "UNAVAILABLE", reason="INVALID_REPLICATION_STATE")
    right = "REPLICATION CLIENT" if reader.kind is MYSQL else "SLAVE MONITOR"
    told = proxy.events("target")[-1]["description"]
    assert told.startswith(
        "its lag isn't known, and maxReplicaLag is 2 s: the monitor may not see replication: "
        f"grant it {right}"
    )
