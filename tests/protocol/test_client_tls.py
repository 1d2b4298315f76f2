"""TLS on the client's leg: versions, direct negotiation, cancel over it."""

from __future__ import annotations

import socket
import ssl
import threading

import psycopg
import pytest
from tests.fix_proxy import Proxy
from tests.raw_client import DEADLINE, startup
from tests.servers import HOST, Postgres, wait_until


def direct(proxy: Proxy, *protocols: str) -> ssl.SSLSocket:
    """TLS from the first byte on, offering these application protocols."""
    context = ssl.create_default_context(cafile=str(proxy.authority.ca))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    plain = socket.create_connection((HOST, proxy.port), timeout=DEADLINE)
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except ssl.SSLError:
        plain.close()
        raise


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_both_versions_of_tls_are_spoken(proxy: Proxy, version: str) -> None:
    options = {"ssl_min_protocol_version": version, "ssl_max_protocol_version": version}
    with proxy.connect(sslmode="require", **options) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_older_versions_are_not(proxy: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError):
        proxy.connect(sslmode="require", ssl_max_protocol_version="TLSv1.1",
                      ssl_min_protocol_version="TLSv1")  # fmt: skip


def test_direct_tls_works_with_its_application_protocol(proxy: Proxy) -> None:
    with direct(proxy, "postgresql") as client:
        assert client.selected_alpn_protocol() == "postgresql"
        client.sendall(startup("app"))
        assert client.recv(1) == b"R"


def test_direct_tls_without_its_application_protocol_is_refused(proxy: Proxy) -> None:
    with direct(proxy) as client:
        client.sendall(startup("app"))
        assert b"C08P01\0" in client.recv(1000)
    with pytest.raises(ssl.SSLError):
        direct(proxy, "http/1.1")


def test_a_driver_negotiates_directly(proxy: Proxy) -> None:
    if psycopg.pq.version() < 170_000:
        pytest.skip("libpq knows direct negotiation from version 17 on")
    with proxy.connect(sslmode="require", sslnegotiation="direct") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_large_results_come_whole_over_tls(proxy: Proxy) -> None:
    with proxy.connect(sslmode="require") as connection:
        rows = connection.execute("SELECT repeat('x', 1000) FROM generate_series(1, 30000)")
        assert sum(len(row[0]) for row in rows) == 30_000_000


def test_a_large_statement_goes_whole_over_tls(proxy: Proxy) -> None:
    with proxy.connect(sslmode="require") as connection:
        row = connection.execute("SELECT length(%s)", ("x" * 5_000_000,)).fetchone()
        assert row == (5_000_000,)


def test_a_cancel_over_tls_reaches_the_running_statement(proxy: Proxy, postgres: Postgres) -> None:
    running = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT pg_sleep'"
    with proxy.connect(sslmode="require") as connection:

        def cancel() -> None:
            wait_until(lambda: postgres.psql(running), "it runs")
            connection.cancel_safe()

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        thread.join(10)


def test_a_broken_handshake_is_counted_and_closes_its_client(proxy: Proxy) -> None:
    def failed() -> float:
        return proxy.metric("dbproxy_client_connections_closed_total", reason="tls_failed")

    before = failed()
    with socket.create_connection((HOST, proxy.port), timeout=DEADLINE) as client:
        client.sendall(b"\x16\x03\x01\x00\x05hello" * 3)
        while client.recv(1000):
            pass
    wait_until(lambda: failed() == before + 1, "it is counted")
