"""A target whose port is changed stands for another server: the one of before is left for good."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import ProxyFactory
from tests.servers import HOST, wait_until


@pytest.mark.parametrize("election", [{"configMap": "orders-election"}, None])
def test_nothing_is_left_on_the_server_that_the_writer_was(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, election: dict[str, str] | None
) -> None:
    old, new = make_postgres("db-0"), make_postgres("db-1")
    proxy = make_proxy(old, start=False)
    proxy.write_group(writerElection=election)
    proxy.epoch = proxy.epoch if election else 0
    proxy.start()
    with proxy.connect() as idle, proxy.connect() as busy, proxy.connect() as pinned:
        idle.execute("SELECT 1")
        busy.execute("BEGIN")
        busy.execute("SELECT 1")
        pinned.execute("CREATE TEMPORARY TABLE kept ()")
        proxy.write_group(targets=[{"name": "db-0", "host": HOST, "port": new.port}])
        wait_until(lambda: old.backends() == 0, "no client's connection is left")
        wait_until(lambda: old.backends("monitor") == 0, "nobody asks it any more")
        row = idle.execute("SELECT current_setting('port')::int").fetchone()
        assert row == (new.port,)
        with pytest.raises(psycopg.errors.SerializationFailure):
            busy.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            pinned.execute("SELECT 1")
    assert old.backends() == 0
