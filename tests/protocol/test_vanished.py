"""Who vanishes without a word is noticed in the time that is set, in a network of its own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.raw_client import RawClient
from tests.servers import HOST, PASSWORDS, Postgres, wait_until

CLONE_NEWNET = 0x40000000
# Noticed within some four seconds.
SOON = {"keepaliveIdle": 1, "keepaliveInterval": 1, "userTimeout": 3}


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture
def own_network() -> Iterator[None]:
    """This thread, and whatever it starts, has a network namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        ip("link", "set", "lo", "up")
        # Rules of ours come before the one for the machine's own addresses.
        ip("rule", "add", "pref", "1000", "lookup", "local")
        ip("rule", "delete", "pref", "0")
        yield
    finally:
        if libc.setns(before, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(before)


def vanish(port: int) -> None:
    """From now on nothing comes from or goes to whoever has that port."""
    for side in ("sport", "dport"):
        ip("rule", "add", "pref", "10", "ipproto", "tcp", side, str(port), "blackhole")


@pytest.fixture
def server(own_network: None, make_postgres: PostgresFactory) -> Postgres:
    del own_network
    return make_postgres()


@pytest.fixture
def alone(server: Postgres, make_proxy: ProxyFactory) -> Proxy:
    """A proxy over one server, in that network."""
    proxy = make_proxy(server, start=False, tcp=SOON)
    proxy.write_group(tcp=SOON)
    return proxy.start()


def test_a_client_that_vanishes_in_a_transaction_is_rolled_back(
    alone: Proxy, server: Postgres
) -> None:
    open_ones = "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"
    with RawClient(HOST, alone.port) as client:
        client.login("app", PASSWORDS["app"])
        client.ask("BEGIN")
        client.ask("SELECT 1")
        assert server.psql(open_ones)
        began = time.monotonic()
        vanish(client.socket.getsockname()[1])
        wait_until(lambda: not server.psql(open_ones), "it is rolled back")
        assert time.monotonic() - began > 2
        name = "dbproxy_client_connections_closed_total"
        wait_until(lambda: alone.metric(name, reason="client_lost") == 1, "it is counted")


def test_a_client_that_says_nothing_and_is_there_stays(alone: Proxy) -> None:
    with RawClient(HOST, alone.port) as client:
        client.login("app", PASSWORDS["app"])
        client.ask("BEGIN")
        client.ask("SELECT pg_sleep(6)")
        assert client.value("SELECT 1") == "1"


def test_a_database_that_vanishes_gives_its_connections_back(
    alone: Proxy, server: Postgres
) -> None:
    with alone.connect() as client:
        client.execute("BEGIN")
        row = client.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        port = "SELECT client_port FROM pg_stat_activity WHERE pid = %s"
        vanish(server.value(port, row[0]))
        # Nothing of it was forwarded since: it is told that it was not committed.
        wait_until(lambda: alone.metric("dbproxy_database_connections") == 0, "it is given up")
        with pytest.raises(psycopg.errors.SerializationFailure):
            client.execute("SELECT 1")
        client.execute("ROLLBACK")
        assert client.execute("SELECT 1").fetchone() == (1,)
