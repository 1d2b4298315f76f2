"""What becomes of a cancel on its way to the database: as secret as the session that it is for."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from tests.certificates import Authority
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import ProxyFactory
from tests.raw_client import CANCEL_REQUEST, SSL_REQUEST, special
from tests.servers import HOST, Postgres, wait_until
from tests.tap import Tap

WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"
CANCEL_CODE = struct.pack("!i", CANCEL_REQUEST)


@contextmanager
def tapped(
    make_proxy: ProxyFactory, server: Postgres, mode: str
) -> Iterator[tuple[Tap, psycopg.Connection[object]]]:
    """A client of a proxy that reaches its server through a tap, with TLS of that mode."""
    with Tap(server.port) as tap:
        proxy = make_proxy(server, start=False)
        target = {"name": server.name, "host": HOST, "port": tap.port}
        proxy.write_group(tls={"mode": mode}, targets=[target])
        proxy.start()
        with proxy.connect() as client:
            yield tap, client


@contextmanager
def blocked(server: Postgres, client: psycopg.Connection[object]) -> Iterator[list[str]]:
    """The client waits for a lock while this lasts; afterwards the list says how its wait ended."""
    ended: list[str] = []

    def wait() -> None:
        try:
            client.execute("SELECT pg_advisory_xact_lock(7)")
            ended.append("locked")
        except psycopg.Error as error:
            ended.append(error.sqlstate or str(error))

    with server.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(7)")
        waiter = threading.Thread(target=wait)
        waiter.start()
        wait_until(lambda: server.psql(WAITING), "the client waits")
        yield ended
    waiter.join(20)


@pytest.mark.parametrize(
    ("mode", "in_clear"),
    [
        ("DISABLED", True),
        ("PREFERRED", False),
        ("REQUIRED", False),
        ("VERIFY_CA", False),
        ("VERIFY_IDENTITY", False),
    ],
)
def test_a_cancel_is_as_secret_as_its_session(
    make_postgres: PostgresFactory,
    make_proxy: ProxyFactory,
    authority: Authority,
    mode: str,
    in_clear: bool,
) -> None:
    server = make_postgres(tls=authority)
    with tapped(make_proxy, server, mode) as (tap, client):
        with blocked(server, client) as ended:
            client.cancel_safe()
            wait_until(lambda: ended, "the cancel strikes")
        assert ended == ["57014"]
        assert client.execute("SELECT 1").fetchone() == (1,)
        assert any(CANCEL_CODE in said for said in tap.said) is in_clear


def test_a_server_that_refuses_tls_now_gets_no_cancel_in_clear(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, authority: Authority
) -> None:
    server = make_postgres(tls=authority)
    with tapped(make_proxy, server, "REQUIRED") as (tap, client):
        with blocked(server, client) as ended:
            server.configure(ssl="off")
            server.reload()
            wait_until(lambda: server.value("SHOW ssl") == "off", "it refuses TLS")
            before = len(tap.said)
            client.cancel_safe()
            assert special(SSL_REQUEST) in tap.said[before:]
            assert not ended
        assert ended == ["locked"]
        assert not any(CANCEL_CODE in said for said in tap.said)
