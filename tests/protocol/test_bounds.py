"""A client that doesn't read costs a bounded amount of memory, whatever it sends."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest
from tests.fix_proxy import Proxy
from tests.raw_client import SYNC, RawClient, query
from tests.servers import HOST, PASSWORDS, wait_until

# Far more than the proxy may keep for one client, far less than the flood.
ALLOWED = 48
FLOOD = 256 * 2**20


def resident(proxy: Proxy) -> int:
    """The process's memory, in MiB."""
    pages = int(Path(f"/proc/{proxy.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def flood(client: RawClient, request: bytes) -> int:
    """Send as much as the proxy takes without reading an answer; the bytes that it took."""
    piece = request * (65_536 // len(request))
    client.socket.settimeout(2)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < FLOOD:
            sent += client.socket.send(piece)
    return sent


@pytest.mark.parametrize(
    ("before", "request_bytes"),
    [("SELECT 1", SYNC), ("SELECT 1", query("")), ("BEGIN; SELECT 1/0", query("SELECT 1"))],
    ids=["sync", "empty query", "aborted transaction"],
)
def test_who_floods_and_reads_nothing_stays_small(
    proxy: Proxy, before: str, request_bytes: bytes
) -> None:
    with RawClient(HOST, proxy.port) as client:
        client.login("app", PASSWORDS["app"])
        client.ask(before)
        resting = resident(proxy)
        taken = flood(client, request_bytes)
        assert taken < FLOOD, "the proxy reads on for a client that reads nothing"
        assert resident(proxy) - resting < ALLOWED


def test_many_small_notifications_to_one_that_reads_nothing_stay_small(proxy: Proxy) -> None:
    with RawClient(HOST, proxy.port) as client, proxy.connect() as other:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.login("app", PASSWORDS["app"])
        client.ask("LISTEN news")
        resting = resident(proxy)
        for number in range(4000):
            other.execute(f"NOTIFY news, '{number} {'x' * 2000}'")
        assert resident(proxy) - resting < ALLOWED


def test_who_reads_nothing_and_holds_no_connection_is_closed_in_time(proxy: Proxy) -> None:
    def closed() -> float:
        return proxy.metric("dbproxy_client_connections_closed_total", reason="slow_reader")

    before = closed()
    with RawClient(HOST, proxy.port) as client:
        client.login("app", PASSWORDS["app"])
        flood(client, SYNC)
        wait_until(lambda: closed() > before, "the one that doesn't read is closed", 60)
