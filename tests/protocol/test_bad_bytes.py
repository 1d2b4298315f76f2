"""Bad bytes close the client that sent them, by a counted reason, and nobody else notices."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fix_proxy import Proxy
from tests.raw_client import (
    GSS_REQUEST,
    PROTOCOL_3,
    SSL_REQUEST,
    SYNC,
    ClosedError,
    RawClient,
    error_fields,
    message,
    parse,
    query,
    special,
    startup,
)
from tests.servers import HOST, PASSWORDS, wait_until


@pytest.fixture
def bystander(proxy: Proxy) -> Iterator[RawClient]:
    """Somebody else, in the middle of a transaction."""
    with RawClient(HOST, proxy.port) as client:
        client.login("app", PASSWORDS["app"])
        client.ask("BEGIN")
        client.ask("CREATE TEMP TABLE IF NOT EXISTS mine AS SELECT 42 AS answer")
        yield client
        assert client.value("SELECT answer FROM mine") == "42"
        client.ask("ROLLBACK")


def closed(proxy: Proxy, reason: str) -> float:
    return proxy.metric("dbproxy_client_connections_closed_total", reason=reason)


def resident(proxy: Proxy) -> int:
    """The process's memory, in MiB."""
    pages = int(Path(f"/proc/{proxy.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0" * 64,
        b"\xff" * 64,
        struct.pack("!i", 3),
        struct.pack("!i", 2**31 - 1) + b"x" * 100,
        struct.pack("!i", -1) + b"x" * 100,
        struct.pack("!ii", 1_000_000, PROTOCOL_3) + b"x" * 1000,
        special(PROTOCOL_3, b"user"),
        special(PROTOCOL_3, b"user\0app\0database"),
    ],
)
def test_garbage_instead_of_a_startup_packet_closes_its_client(
    proxy: Proxy, bystander: RawClient, garbage: bytes
) -> None:
    with RawClient(HOST, proxy.port) as client:
        client.send(garbage)
        for kind, payload in client.closed():
            assert kind == b"E"
            assert error_fields(payload)["C"] in ("08P01", "28000", "0A000")


@pytest.mark.parametrize("request_code", [SSL_REQUEST, GSS_REQUEST])
def test_bytes_behind_an_encryption_request_close_their_client(
    proxy: Proxy, bystander: RawClient, request_code: int
) -> None:
    before = closed(proxy, "stuffed_bytes")
    with RawClient(HOST, proxy.port) as client:
        client.send(special(request_code) + startup("app"))
        assert b"R" not in [kind for kind, _ in client.closed()]
    wait_until(lambda: closed(proxy, "stuffed_bytes") == before + 1, "it is counted")


@pytest.mark.parametrize(
    "garbage",
    [
        b"Q" + struct.pack("!i", 3),
        b"Q" + struct.pack("!i", -5),
        b"Q" + struct.pack("!i", 2**31 - 1),
        b"\x01" + struct.pack("!i", 4),
        message(b"S", b"x" * 10_000),
    ],
)
def test_a_broken_frame_closes_its_client_with_a_violation(
    proxy: Proxy, bystander: RawClient, garbage: bytes
) -> None:
    with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
        client.send(garbage)
        told = client.closed()
        assert [kind for kind, _ in told][-1:] == [b"E"]
        assert error_fields(told[-1][1])["C"] == "08P01"


def test_a_violation_is_counted(proxy: Proxy, bystander: RawClient) -> None:
    before = closed(proxy, "protocol_violation")
    with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
        client.send(b"\x01" + struct.pack("!i", 4))
        client.closed()
    wait_until(lambda: closed(proxy, "protocol_violation") == before + 1, "it is counted")


def test_garbage_in_a_transaction_rolls_it_back(proxy: Proxy, bystander: RawClient) -> None:
    with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
        client.ask("CREATE TABLE IF NOT EXISTS garbage (id int)")
        client.ask("BEGIN")
        client.ask("INSERT INTO garbage VALUES (1)")
        client.send(b"\x01" + struct.pack("!i", 4))
        client.closed()
    with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
        assert client.value("SELECT count(*) FROM garbage") == "0"
        client.ask("DROP TABLE garbage")


def test_half_a_message_holds_no_database_connection(proxy: Proxy, bystander: RawClient) -> None:
    with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
        text = query("SELECT 'half'")
        client.send(text[:-3])
        others = RawClient(HOST, proxy.port).login("app", PASSWORDS["app"])
        assert others.value("SELECT 1") == "1"
        borrowed = "dbproxy_database_connections_currently_borrowed"
        wait_until(lambda: proxy.metric(borrowed) <= 1, "only the bystander has one")
        others.close()
        client.send(text[-3:])
        assert client.kinds() == b"TDCZ"


def test_a_log_in_that_is_never_finished_holds_nobody_up(
    proxy: Proxy, bystander: RawClient
) -> None:
    with RawClient(HOST, proxy.port) as client:
        client.send(startup("app")[:10])
        with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as other:
            assert other.value("SELECT 1") == "1"


def test_random_bytes_never_bring_the_proxy_down(proxy: Proxy, bystander: RawClient) -> None:
    dice = random.Random(20_261_121)
    for _ in range(200):
        with RawClient(HOST, proxy.port) as client:
            client.send(dice.randbytes(dice.randrange(1, 400)))
    for _ in range(50):
        with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
            client.send(
                bytes([dice.choice(b"QPBEDCHSFdcfXp")])
                + struct.pack("!i", dice.randrange(0, 60))
                + dice.randbytes(dice.randrange(0, 80))
            )
    assert proxy.get("/healthz")[0] == 200


def test_memory_stays_bounded_for_a_client_that_reads_nothing(
    proxy: Proxy, bystander: RawClient
) -> None:
    before = resident(proxy)
    with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
        client.send(query("SELECT repeat('x', 1000000) FROM generate_series(1, 300)"))
        end = time.monotonic() + 2
        most = before
        while time.monotonic() < end:
            most = max(most, resident(proxy))
            time.sleep(0.02)
        assert most - before < 32


def test_memory_stays_bounded_for_a_client_that_never_ends_its_request(
    proxy: Proxy, bystander: RawClient
) -> None:
    before = resident(proxy)
    with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
        client.socket.settimeout(2)
        piece = parse("SELECT 1 /* " + "x" * 100_000 + " */") * 10
        try:
            for _ in range(200):
                client.send(piece)
        except (TimeoutError, ClosedError, ConnectionError):
            pass
        assert resident(proxy) - before < 64
        client.close()


def test_a_session_that_sends_only_syncs_is_answered(proxy: Proxy) -> None:
    with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
        client.send(SYNC * 1000)
        for _ in range(1000):
            assert client.kinds() == b"Z"
