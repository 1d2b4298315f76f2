"""What a listener may cost, and when it is told that it may have missed something."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import LiteralString

import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.protocol.listening import (
    asks,
    hears,
    is_quiet,
    join,
    kinds,
    note,
    payloads,
    told_at_once,
)
from tests.protocol.test_bounds import ALLOWED, resident
from tests.raw_client import ClosedError, Message, RawClient, error_fields, query
from tests.servers import Postgres, wait_until

KILL: LiteralString = (
    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE usename = 'app' AND datname = 'app' AND state = 'idle'"
)
LEFT: LiteralString = "SELECT pid FROM pg_stat_activity WHERE usename = 'app'"
PIECES, SIZE = 12, 500
"""So many transactions notify so often, with 8 kB each: 48 MB."""


@pytest.fixture
def server(make_postgres: PostgresFactory) -> Postgres:
    return make_postgres()


@pytest.fixture
def proxy(server: Postgres, make_proxy: ProxyFactory) -> Proxy:
    return make_proxy(server)


@pytest.fixture
def listener(proxy: Proxy) -> Iterator[RawClient]:
    with join(proxy) as client:
        asks(client, "LISTEN news")
        yield client


def kill_idle(server: Postgres) -> None:
    """End what is idle in the database, whoever listens there included."""
    killed = {pid for pid, _ in server.psql(KILL)}
    wait_until(lambda: not killed & {pid for (pid,) in server.psql(LEFT)}, "they are gone")


def farewell(client: RawClient) -> dict[str, str]:
    """The error with which the other side closes; before it there may be notifications only."""
    *before, (kind, payload) = client.closed()
    assert (kind, kinds(before).strip(b"A")) == (b"E", b""), (kinds(before), kind)
    return error_fields(payload)


def notify_much(server: Postgres) -> None:
    with server.connect() as connection:
        for piece in range(PIECES):
            connection.execute(
                "SELECT pg_notify('news', (%s + n) || repeat(' ', 7900))"
                " FROM generate_series(1, 500) AS n",
                (piece * SIZE,),
            )


def numbers(answer: list[Message]) -> list[int]:
    return [int(payload) for payload in payloads(answer)]


def test_who_may_have_missed_something_is_told_by_a_closed_connection(
    proxy: Proxy, server: Postgres, listener: RawClient
) -> None:
    with (
        join(proxy) as peer,
        join(proxy) as idle,
        join(proxy) as ended,
        join(proxy, database="second") as abroad,
    ):
        asks(peer, "LISTEN other_news")
        asks(abroad, "LISTEN news")
        asks(idle, "SET work_mem = '3MB'")
        for text in ("LISTEN news", "UNLISTEN news", "SELECT 1"):
            asks(ended, text)
        kill_idle(server)
        for client in (listener, peer):
            told = farewell(client)
            assert (told["S"], told["C"]) == ("FATAL", "57P01")
        assert idle.value("SHOW work_mem") == "3MB"
        assert hears(ended) == []
        asks(ended, "LISTEN news")
        server.psql("NOTIFY news, 'home'")
        server.psql("NOTIFY news, 'abroad'", dbname="second")
        assert (hears(ended), hears(abroad)) == (["home"], ["abroad"])


def test_one_that_may_have_missed_something_learns_what_became_of_its_transaction(
    proxy: Proxy, server: Postgres, listener: RawClient
) -> None:
    server.psql("CREATE TABLE kept (a int); GRANT ALL ON kept TO app")
    asks(listener, "BEGIN; INSERT INTO kept VALUES (1)")
    kill_idle(server)
    with contextlib.suppress(OSError):
        listener.send(query("COMMIT"))
    told: list[Message] = []
    with contextlib.suppress(ClosedError):
        while b"Z" not in kinds(told):
            told.append(listener.read())
    told_committed = (b"C", b"COMMIT\0") in told
    if not told_committed:
        codes = [error_fields(payload)["C"] for kind, payload in told if kind == b"E"]
        assert codes in (["57P01"], ["08007"])
    if told_committed or codes == ["57P01"]:
        assert server.value("SELECT count(*) FROM kept") == int(told_committed)


def test_one_that_leaves_and_comes_back_hears_again(
    proxy: Proxy, server: Postgres, listener: RawClient
) -> None:
    for _ in range(5):
        kill_idle(server)
        farewell(listener)
        listener.close()
        listener = join(proxy)
        asks(listener, "LISTEN news")
        server.psql("NOTIFY news, 'again'")
        assert told_at_once(listener).payload == "again"
    listener.close()


def test_one_that_reads_nothing_is_bounded_and_keeps_nothing_from_others(
    proxy: Proxy, server: Postgres, listener: RawClient
) -> None:
    with join(proxy) as mute, join(proxy) as busy, ThreadPoolExecutor(1) as threads:
        mute.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asks(mute, "LISTEN news")
        resting = resident(proxy)
        notifying = threads.submit(notify_much, server)
        heard = [int(told_at_once(listener).payload) for _ in range(PIECES * SIZE)]
        assert heard == list(range(1, PIECES * SIZE + 1))
        notifying.result()
        assert asks(busy, "SELECT 1")
        assert resident(proxy) - resting < ALLOWED
        assert hears(listener) == []
        # What it hears after all has no gap.
        late: list[int] = []
        with contextlib.suppress(ClosedError, TimeoutError):
            while len(late) < 50:
                kind, payload = mute.read()
                if kind == b"E":
                    break
                late.append(int(note(payload).payload))
        assert late == list(range(1, len(late) + 1))


def test_what_is_kept_during_a_transaction_is_bounded(
    proxy: Proxy, server: Postgres, listener: RawClient
) -> None:
    asks(listener, "BEGIN")
    resting = resident(proxy)
    notify_much(server)
    assert resident(proxy) - resting < ALLOWED
    if is_quiet(listener):
        listener.send(query("COMMIT"))
    told: list[Message] = []
    with contextlib.suppress(ClosedError):
        while b"Z" not in kinds(told):
            told.append(listener.read())
    if b"Z" in kinds(told):
        assert numbers(told) == list(range(1, PIECES * SIZE + 1))
    else:
        *before, (kind, payload) = told
        fields = error_fields(payload)
        assert (kind, fields["S"]) == (b"E", "FATAL")
        assert "notification" in fields["M"]
        assert numbers(before) == list(range(1, len(numbers(before)) + 1))


@pytest.mark.parametrize("by", ["startup", "SET"])
def test_each_hears_in_its_own_encoding(
    proxy: Proxy, server: Postgres, listener: RawClient, by: str
) -> None:
    options = {"client_encoding": "LATIN1"} if by == "startup" else {}
    with join(proxy, **options) as latin:
        if by == "SET":
            asks(latin, "SET client_encoding = 'LATIN1'")
        asks(latin, "LISTEN news")
        server.psql("NOTIFY news, 'déjà vu'")
        kind, payload = latin.read()
        assert (kind, payload[4:]) == (b"A", "news\0déjà vu\0".encode("latin-1"))
        assert told_at_once(listener).payload == "déjà vu"


def test_one_that_changes_its_encoding_hears_no_wrong_bytes(
    proxy: Proxy, server: Postgres, listener: RawClient
) -> None:
    with join(proxy) as peer:
        asks(peer, "LISTEN news")
        asks(listener, "SET client_encoding = 'LATIN1'")
        server.psql("NOTIFY news, 'plain'")
        assert told_at_once(listener).payload == "plain"
        server.psql("NOTIFY news, 'déjà vu'")
        assert [told_at_once(peer).payload for _ in range(2)] == ["plain", "déjà vu"]
        kind, payload = listener.read()
        if kind == b"A":
            assert payload[4:] == "news\0déjà vu\0".encode("latin-1")
        else:
            assert error_fields(payload)["S"] == "FATAL"
            assert listener.closed() == []


def test_a_channel_in_another_encoding_is_the_same_channel(
    proxy: Proxy, server: Postgres, listener: RawClient
) -> None:
    asks(listener, "LISTEN kanäle")
    with join(proxy, client_encoding="LATIN1") as latin:
        latin.send(query("x").replace(b"x\0", b"LISTEN kan\xe4le\0").replace(b"\x06", b"\x12"))
        assert latin.kinds() == b"CZ"
        server.psql("NOTIFY kanäle, 'ü'")
        assert latin.read()[1][4:] == "kanäle\0ü\0".encode("latin-1")
        assert told_at_once(listener).channel == "kanäle"


def test_one_listener_keeps_the_only_connection_until_it_ends(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres(max_connections=6)
    proxy = make_proxy(server)
    with join(proxy) as listener, join(proxy) as other:
        asks(listener, "LISTEN news")
        server.psql("NOTIFY news, '1'")
        assert told_at_once(listener).payload == "1"
        assert payloads(asks(listener, "NOTIFY news, '2'")) == ["2"]
        assert proxy.metric("dbproxy_sessions_pinned", reason="listen") == 1
        other.send(query("SELECT 'served'"))
        wait_until(lambda: proxy.metric("dbproxy_clients_waiting") > 0, "the other client waits")
        asks(listener, "UNLISTEN news")
        assert other.kinds() == b"TDCZ"
        asks(other, "LISTEN news")
        server.psql("NOTIFY news, '3'")
        assert told_at_once(other).payload == "3"


def test_no_time_limit_of_connections_ends_it(make_proxy: ProxyFactory, server: Postgres) -> None:
    proxy = make_proxy(server, start=False)
    proxy.write_pool(maxConnectionLifetime=1, maxIdleConnectionsPercent=0)
    proxy.start()
    with join(proxy) as listener, join(proxy) as busy:
        asks(listener, "LISTEN news")
        end = time.monotonic() + 4
        while time.monotonic() < end:
            asks(busy, "SELECT pg_sleep(0.2)")
        server.psql("NOTIFY news, 'late'")
        assert told_at_once(listener).payload == "late"


def test_one_that_listens_is_told_goodbye_when_the_program_ends(
    proxy: Proxy, listener: RawClient
) -> None:
    proxy.sigterm()
    assert farewell(listener)["C"] == "57P01"
    assert proxy.wait_exit() == 0
