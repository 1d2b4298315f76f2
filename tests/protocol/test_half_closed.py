"""Clients that close their side of the connection and read on, as `printf … | nc` does."""

from __future__ import annotations

import socket

import pytest
from tests.fix_proxy import Proxy
from tests.raw_client import TERMINATE, RawClient, query
from tests.servers import HOST, PASSWORDS, Postgres, wait_until

IN_TRANSACTION = "SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND state LIKE 'idle in%'"


def logged_in(proxy: Proxy) -> RawClient:
    return RawClient(HOST, proxy.port).login("app", PASSWORDS["app"])


@pytest.mark.parametrize("goodbye", [b"", TERMINATE])
def test_what_was_sent_before_is_answered(proxy: Proxy, goodbye: bytes) -> None:
    with logged_in(proxy) as client:
        long = "SELECT repeat('x', 1000) FROM generate_series(1, 10000)"
        client.send(query("SELECT pg_sleep(0.3)"), query(long), query("SELECT 1"), goodbye)
        client.socket.shutdown(socket.SHUT_WR)
        kinds = b"".join(kind for kind, _ in client.closed())
    assert kinds.count(b"Z") == 3
    assert kinds.count(b"D") == 10_002


def test_an_open_transaction_is_rolled_back(proxy: Proxy, postgres: Postgres) -> None:
    postgres.psql("CREATE TABLE IF NOT EXISTS half_closed (i int)")
    postgres.psql("GRANT ALL ON half_closed TO app")
    with logged_in(proxy) as client:
        client.send(query("BEGIN"), query("INSERT INTO half_closed VALUES (1)"))
        client.socket.shutdown(socket.SHUT_WR)
        kinds = b"".join(kind for kind, _ in client.closed())
    assert kinds.count(b"Z") == 2
    wait_until(lambda: not postgres.psql(IN_TRANSACTION), "nothing stays open")
    assert postgres.value("SELECT count(*) FROM half_closed") == 0
