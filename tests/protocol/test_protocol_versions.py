"""The client's version of the protocol: what is spoken, what is negotiated, and cancel keys."""

from __future__ import annotations

import struct
import threading

import psycopg
import pytest
from tests.fix_proxy import Proxy
from tests.raw_client import CANCEL_REQUEST, RawClient, query, special
from tests.servers import HOST, PASSWORDS, Postgres, wait_until

SLEEPING = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT pg_sleep'"
V3_0, V3_1, V3_2, V3_9999 = (0x0003_0000 | minor for minor in (0, 1, 2, 9999))
OPTION = b"_pq_.test_protocol_negotiation"


def logged_in(proxy: Proxy, protocol: int, **options: str) -> RawClient:
    client = RawClient(HOST, proxy.port, protocol)
    return client.login("app", PASSWORDS["app"], **options)


@pytest.mark.parametrize(
    ("asked", "negotiated", "secret"),
    [(V3_0, None, 4), (V3_1, None, 4), (V3_2, None, 32), (V3_9999, V3_2, 32)],
)
def test_each_version_is_answered_as_postgresql_18_does(
    proxy: Proxy, asked: int, negotiated: int | None, secret: int
) -> None:
    told = struct.pack("!ii", negotiated, 0) if negotiated else b""
    with logged_in(proxy, asked) as client:
        assert (client.negotiated, len(client.key)) == (told, 4 + secret)
        assert client.value("SELECT 6 * 7") == "42"


@pytest.mark.parametrize(("asked", "negotiated"), [(V3_0, V3_0), (V3_2, V3_2), (V3_9999, V3_2)])
def test_protocol_options_are_named_as_unknown_whatever_the_version(
    proxy: Proxy, asked: int, negotiated: int
) -> None:
    with logged_in(proxy, asked, **{OPTION.decode(): ""}) as client:
        assert client.negotiated == struct.pack("!ii", negotiated, 1) + OPTION + b"\0"
        assert client.value("SELECT 6 * 7") == "42"


@pytest.mark.parametrize(
    ("least", "most", "spoken"),
    [("3.0", "3.0", 30000), ("3.0", "3.2", 30002), ("3.2", "latest", 30002)],
)
def test_libpq_speaks_what_it_asks_for_and_cancels_by_it(
    proxy: Proxy, postgres: Postgres, least: str, most: str, spoken: int
) -> None:
    if psycopg.pq.version() < 180_000:
        pytest.skip("libpq knows newer protocols from version 18 on")
    options = {"min_protocol_version": least, "max_protocol_version": most}
    with proxy.connect(**options) as connection:
        assert connection.pgconn.full_protocol_version == spoken

        def cancel() -> None:
            wait_until(lambda: postgres.psql(SLEEPING), "it runs")
            connection.cancel_safe()

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        thread.join()


@pytest.mark.parametrize("cut", [0, 4, 28])
def test_a_long_key_must_be_shown_whole(proxy: Proxy, postgres: Postgres, cut: int) -> None:
    with logged_in(proxy, V3_2) as client:
        client.send(query("SELECT pg_sleep(30)"))
        wait_until(lambda: postgres.psql(SLEEPING), "it runs")
        shown = client.key[: len(client.key) - cut]
        with RawClient(HOST, proxy.port) as other:
            other.send(special(CANCEL_REQUEST, shown))
            assert other.closed() == []
        if cut:
            assert postgres.psql(SLEEPING)
            with RawClient(HOST, proxy.port) as other:
                other.send(special(CANCEL_REQUEST, client.key))
        kinds = [kind for kind, _ in client.until()]
        assert b"E" in kinds
        assert b"C" not in kinds
