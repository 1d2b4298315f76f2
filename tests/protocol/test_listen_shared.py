"""A session that only listens holds no connection: one connection listens for all of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.protocol.listening import asks, hears, join, kinds, payloads, told_at_once
from tests.protocol.test_listen_churn import churn
from tests.raw_client import RawClient, query
from tests.servers import Postgres, wait_until

CONNECTIONS = 4
MANY, BURST = 40, 100
SEEDS = int(os.environ.get("SEEDS", "6"))


@pytest.fixture
def server(make_postgres: PostgresFactory) -> Postgres:
    return make_postgres(max_connections=CONNECTIONS + 15)


@pytest.fixture
def proxy(server: Postgres, make_proxy: ProxyFactory) -> Proxy:
    """One with so many connections, as a test without listeners sees."""
    proxy = make_proxy(server, start=False)
    proxy.write_pool(maxConnectionsPercent=(100 * (CONNECTIONS + 1) - 1) // (CONNECTIONS + 10))
    proxy.start()
    with ExitStack() as stack:
        clients = [stack.enter_context(join(proxy)) for _ in range(CONNECTIONS + 1)]
        for client in clients:
            client.send(query("BEGIN"))
        wait_until(lambda: proxy.metric("dbproxy_clients_waiting") == 1, "one has to wait")
        assert server.backends() == CONNECTIONS
    return proxy


@pytest.fixture
def listeners(proxy: Proxy) -> Iterator[list[RawClient]]:
    with ExitStack() as stack:
        clients = [stack.enter_context(join(proxy)) for _ in range(MANY)]
        for number, client in enumerate(clients):
            asks(client, f"LISTEN all_of_them; LISTEN channel_{number % 4}")
        yield clients


def pins(proxy: Proxy) -> float:
    return proxy.metric("dbproxy_session_pins_total")


def test_many_listen_while_others_use_the_pool(
    proxy: Proxy, server: Postgres, listeners: list[RawClient]
) -> None:
    done = threading.Event()

    def work(at: int) -> int:
        served = 0
        with join(proxy) as client:
            while not done.is_set():
                asks(client, "BEGIN")
                asks(client, f"NOTIFY channel_{at}, '{served}'")
                asks(client, "COMMIT")
                served += 1
        return served

    with ThreadPoolExecutor(4) as threads:
        working = [threads.submit(work, at) for at in range(4)]
        for number in range(20):
            server.psql("SELECT pg_notify('all_of_them', %s)", str(number))
        done.set()
        served = [one.result() for one in working]
    assert min(served) > 0
    for at, client in enumerate(listeners):
        heard = hears(client)
        own = [str(number) for number in range(served[at % 4])]
        assert sorted(heard) == sorted([*own, *map(str, range(20))])
    assert server.backends() <= CONNECTIONS
    assert pins(proxy) == 0
    assert proxy.metric("dbproxy_sessions_pinned") == 0


def test_as_many_transactions_are_open_as_there_are_connections_but_one(
    proxy: Proxy, listeners: list[RawClient]
) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(join(proxy)) for _ in range(CONNECTIONS - 1)]
        for client in clients:
            asks(client, "BEGIN")
        for client in clients:
            asks(client, "NOTIFY all_of_them")
            asks(client, "COMMIT")
    assert all(hears(client) == [""] * len(clients) for client in listeners)
    assert pins(proxy) == 0


def test_all_who_listen_at_once_are_served(proxy: Proxy, server: Postgres) -> None:
    """As when they come back behind an outage."""
    with ExitStack() as stack:
        clients = [stack.enter_context(join(proxy)) for _ in range(BURST)]
        worker = stack.enter_context(join(proxy))
        for client in clients:
            client.send(query("LISTEN news"))
        asks(worker, "SELECT 1")
        for client in clients:
            assert client.kinds() == b"CZ"
        asks(worker, "NOTIFY news, 'hello'")
        for client in clients:
            assert told_at_once(client).payload == "hello"
        assert pins(proxy) == 0
        assert server.backends() <= CONNECTIONS
        for client in clients:
            client.send(query("UNLISTEN *"))
        for client in clients:
            assert client.kinds() == b"CZ"
        asks(worker, "NOTIFY news, 'late'")
        assert [hears(client) for client in clients] == [[]] * BURST


def test_all_who_ask_at_once_hear_what_was_before(
    proxy: Proxy, server: Postgres, listeners: list[RawClient]
) -> None:
    for number in range(20):
        server.psql("SELECT pg_notify('all_of_them', %s)", str(number))
        for client in listeners:
            client.send(query("SELECT 1"))
        for client in listeners:
            assert payloads(client.until()) == [str(number)]
    assert pins(proxy) == 0


def test_all_may_notify_each_other(proxy: Proxy, listeners: list[RawClient]) -> None:
    asked = [query(f"NOTIFY all_of_them, '{at}'") for at in range(MANY)]
    for at, client in enumerate(listeners):
        client.send(asked[at])
    heard = [payloads(client.until()) for client in listeners]
    assert all(str(at) in told for at, told in enumerate(heard))
    heard = [told + hears(client) for told, client in zip(heard, listeners, strict=True)]
    assert sorted(heard[0]) == sorted(str(at) for at in range(MANY))
    # In one and the same order.
    assert heard == [heard[0]] * MANY
    assert pins(proxy) == 0


def test_the_connection_serves_others_when_nobody_listens_any_more(
    proxy: Proxy, listeners: list[RawClient]
) -> None:
    for at, client in enumerate(listeners):
        if at % 2:
            asks(client, "UNLISTEN *")
        else:
            client.close()
    with ExitStack() as stack:
        clients = [stack.enter_context(join(proxy)) for _ in range(CONNECTIONS)]
        for client in clients:
            asks(client, "BEGIN")
        for client in clients:
            answer = asks(client, "SELECT pg_listening_channels()")
            assert kinds(answer) == b"TCZ"


def test_each_database_and_user_has_its_own(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)
    with (
        join(proxy) as home,
        join(proxy, database="second") as abroad,
        join(proxy, "other") as other,
        join(proxy, options="-c work_mem=3MB") as peculiar,
    ):
        for client in (home, abroad, other, peculiar):
            asks(client, "LISTEN news")
        assert pins(proxy) == 0
        server.psql("NOTIFY news, 'home'")
        server.psql("NOTIFY news, 'abroad'", dbname="second")
        heard = [hears(client) for client in (home, abroad, other, peculiar)]
        assert heard == [["home"], ["abroad"], ["home"], ["home"]]


def test_more_sorts_than_half_of_the_connections_bind_the_others(
    proxy: Proxy, server: Postgres
) -> None:
    with ExitStack() as stack:
        sorts = [f"-c work_mem={size}MB" for size in range(1, 4)]
        clients = [stack.enter_context(join(proxy, options=one)) for one in sorts]
        for client in clients:
            asks(client, "LISTEN news")
        assert proxy.metric("dbproxy_sessions_pinned", reason="listen") == 1
        server.psql("NOTIFY news, 'hello'")
        assert [hears(client) for client in clients] == [["hello"]] * 3
        for client in clients:
            asks(client, "UNLISTEN *")
            asks(client, "SELECT 'unbound by now'")
        assert proxy.metric("dbproxy_sessions_pinned", reason="listen") == 0


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_each_hears_exactly_what_is_committed_while_it_listens(proxy: Proxy, seed: int) -> None:
    churn(proxy, seed)
    assert pins(proxy) == 0


def test_settings_are_kept_beside_it(proxy: Proxy, listeners: list[RawClient]) -> None:
    first, second = listeners[:2]
    asks(first, "SET work_mem = '3MB'")
    asks(second, "SET work_mem = '5MB'")
    for client, size in ((first, "3MB"), (second, "5MB"), (listeners[2], "4MB")):
        assert client.value("SHOW work_mem") == size
    asks(first, "NOTIFY all_of_them, 'set'")
    assert [told_at_once(client).payload for client in listeners[1:]] == ["set"] * (MANY - 1)
    assert pins(proxy) == 0
