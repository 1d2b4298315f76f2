"""Cancels that come to another pod than their client's: two proxies of one fleet."""

from __future__ import annotations

import functools
import struct
import threading

import psycopg
import pytest
from tests.fix_proxy import READ_WRITE, Proxy, ProxyFactory
from tests.raw_client import CANCEL_REQUEST, RawClient, query, special
from tests.servers import HOST, PASSWORDS, Postgres, free_port, wait_until

SLEEPING = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT pg_sleep'"
BUSY = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"
ADDRESSES = (HOST, "127.0.0.2")
V3_0, V3_2 = 0x0003_0000, 0x0003_0002


@pytest.fixture
def fleet(make_proxy: ProxyFactory, postgres: Postgres) -> list[Proxy]:
    """Two pods that found each other."""
    peers = {"hosts": list(ADDRESSES), "port": free_port()}
    pods = [make_proxy(postgres, start=False, peers=peers) for _ in ADDRESSES]
    for pod, address in zip(pods, ADDRESSES, strict=True):
        pod.address = address
        pod.start()
    for pod in pods:
        wait_until(functools.partial(pod.events, "peers"), "it knows the other one")
    return pods


def bring(pod: Proxy, key: bytes) -> None:
    """A key is shown to a pod; on return, the cancel is over."""
    with RawClient(pod.address, pod.port) as other:
        other.send(special(CANCEL_REQUEST, key))
        assert other.closed() == []


def forwarded(pod: Proxy) -> float:
    return pod.metric("dbproxy_cancel_requests_forwarded_total", endpoint=READ_WRITE)


@pytest.mark.parametrize("protocol", [V3_0, V3_2])
def test_a_cancel_reaches_its_client_by_whichever_pod_it_comes(
    fleet: list[Proxy], postgres: Postgres, protocol: int
) -> None:
    for home in fleet:
        for door in fleet:
            with RawClient(home.address, home.port, protocol) as client:
                client.login("app", PASSWORDS["app"])
                client.send(query("SELECT pg_sleep(30)"))
                wait_until(lambda: postgres.psql(SLEEPING), "it runs")
                bring(door, client.key)
                kinds = [kind for kind, _ in client.until()]
                assert b"E" in kinds
                assert client.value("SELECT 6 * 7") == "42"
    assert [forwarded(pod) for pod in fleet] == [1, 1]


def test_a_cancel_of_an_idle_client_of_another_pod_hits_nobody(
    fleet: list[Proxy], postgres: Postgres
) -> None:
    home, door = fleet
    with RawClient(home.address, home.port) as idle:
        idle.login("app", PASSWORDS["app"])
        idle.value("SELECT 1")
        done: list[str] = []

        def run() -> None:
            with RawClient(home.address, home.port) as busy:
                busy.login("app", PASSWORDS["app"])
                done.append(busy.value("SELECT 42 FROM pg_advisory_xact_lock(42)"))

        thread = threading.Thread(target=run)
        with postgres.connect() as holder:
            holder.execute("SELECT pg_advisory_lock(42)")
            thread.start()
            wait_until(lambda: postgres.psql(BUSY), "it runs")
            bring(door, idle.key)
        thread.join()
        assert done == ["42"]


def test_a_cancel_for_a_pod_that_is_gone_is_void_and_counted(fleet: list[Proxy]) -> None:
    home, door = fleet
    with RawClient(home.address, home.port) as client:
        key = client.login("app", PASSWORDS["app"]).key
    home.kill9()
    bring(door, key)
    name = "dbproxy_cancel_requests_undelivered_total"
    assert door.metric(name, endpoint=READ_WRITE) == 1
    wait_until(lambda: door.events("cancel_not_forwarded"), "it is written down")


def test_pods_listen_to_nobody_who_lacks_the_fleets_secret(fleet: list[Proxy]) -> None:
    home = fleet[0]
    port = home.settings["peers"]["port"]
    with RawClient(home.address, home.port) as client:
        client.login("app", PASSWORDS["app"])
        with RawClient(home.address, port) as stranger:
            stranger.send(struct.pack("!B", len(client.key)), client.key)
            stranger.closed()
        assert client.value("SELECT 6 * 7") == "42"
    with pytest.raises(psycopg.OperationalError):
        home.connect(host=home.address, port=port, sslmode="require", sslnegotiation="direct")
