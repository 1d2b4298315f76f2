"""`kill -9` of the proxy: nothing of it stays on the database, and the next one serves."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import ProxyFactory
from tests.servers import wait_until


def test_a_killed_proxy_leaves_no_connection_and_no_transaction(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)
    server.psql("CREATE TABLE notes (id int)")
    server.psql("GRANT ALL ON notes TO app")
    committed, open_one = proxy.connect(), proxy.connect()
    committed.execute("INSERT INTO notes VALUES (1)")
    open_one.execute("BEGIN")
    open_one.execute("INSERT INTO notes VALUES (2)")
    proxy.kill9()
    for connection in (committed, open_one):
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    wait_until(lambda: server.backends() == server.backends("monitor") == 0, "all are gone")
    assert server.psql("SELECT id FROM notes") == [(1,)]
    proxy.start()
    with proxy.connect() as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)


def test_a_restarted_proxy_has_forgotten_nothing_that_counts(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres())
    proxy.rotate("app", "rotated-password")
    proxy.wait_config()
    proxy.kill9()
    proxy.start()
    with proxy.connect(password="rotated-password") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with proxy.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
