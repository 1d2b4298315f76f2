"""Pods that come and go under load: no transaction is dropped, no budget exceeded."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from tests.fix_cluster import eventually
from tests.fix_orders import REPLICAS, Kept, Orders

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("orders")]
MAX_CONNECTIONS = 100
PERCENT = 20
SAMPLES = "select count(*) from pg_stat_activity where usename in ('app', 'monitor')"


def drops_nothing(orders: Orders, kept: Kept) -> None:
    """No transaction that had begun was cut, and none that could not begin was carried out."""
    found = orders.rows(kept, orders.elected()[0])
    assert [failure for failure in kept.failures if failure.stage == "later"] == []
    assert {(one.client, one.number) for one in kept.failures} & set(found) == set()
    assert sorted(found) == sorted(kept.committed)


def rolled_over(orders: Orders, before: dict[str, str]) -> bool:
    return orders.serving() and not before.keys() & orders.pods().keys()


def test_a_rolling_restart_drops_no_transaction(orders: Orders) -> None:
    before = orders.pods()
    annotations = {"annotations": {"restarted": uuid4().hex}}
    with orders.writing(writers=8, idle=2) as writing:
        orders.cluster.patch("dbp", "orders", {"spec": {"template": {"metadata": annotations}}})
        eventually(lambda: rolled_over(orders, before), "other pods serve", 120)
        kept = writing.finish()
    drops_nothing(orders, kept)
    assert [failure for failure in kept.failures if failure.stage == "connect"] == []
    assert kept.idle == ["57P01"] * 2


def test_clients_of_a_killed_pod_go_on_with_another(orders: Orders) -> None:
    with orders.writing(writers=8) as writing:
        killed = next(iter(orders.pods()))
        orders.cluster.kubectl("delete", "pod", killed, "--force", "--grace-period=0")
        eventually(orders.serving, "two pods serve again", 90)
        eventually(lambda: killed not in orders.reports(), "its report is emptied", 60)
        kept = writing.finish()
    found = set(orders.rows(kept, orders.elected()[0]))
    assert set(kept.committed) <= found
    last = max(kept.committed.values())
    active = {client for (client, _), at in kept.committed.items() if at > last - 2}
    assert active == set(range(8))


@contextmanager
def sampled(orders: Orders, database: str) -> Iterator[list[int]]:
    """How many connections a database had, counted every 50 ms; filled at the end."""
    words = ["psql", "-XAtq", "-h", "/tmp", "-U", "postgres", "-d", "shop"]
    counts: list[int] = []
    with orders.running(*words, pod=database) as process:
        assert process.stdin is not None
        process.stdin.write(f"{SAMPLES}\n\\watch 0.05\n")
        process.stdin.flush()
        try:
            yield counts
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=30)
            counts += [int(line) for line in output.splitlines() if line.isdigit()]


def scaled(orders: Orders, replicas: int) -> None:
    orders.cluster.kubectl("scale", "dbp", "orders", f"--replicas={replicas}")
    eventually(lambda: orders.serving(replicas), f"{replicas} pods serve", 120)


@pytest.fixture
def narrow(orders: Orders) -> Iterator[Orders]:
    """A budget that the clients of the test would like to exceed."""

    def allow(percent: int) -> None:
        change = {"connectionPoolConfig": {"maxConnectionsPercent": percent}}
        orders.cluster.patch("dbptg", "orders-db", {"spec": change})
        seen = orders.cluster.get("dbptg", "orders-db")
        assert seen is not None
        generation = seen["metadata"]["generation"]
        eventually(
            lambda: (
                [entry.get("groupGeneration") for entry in orders.reports().values()]
                == [generation] * REPLICAS
            ),
            "both pods took the new budget",
        )

    allow(PERCENT)
    yield orders
    orders.cluster.kubectl("scale", "dbp", "orders", f"--replicas={REPLICAS}")
    orders.put_right()
    allow(50)


def test_scaling_drops_no_transaction_and_keeps_to_the_budget(narrow: Orders) -> None:
    writer, _ = narrow.others()
    limit = MAX_CONNECTIONS * PERCENT // 100
    eventually(lambda: int(narrow.on(writer, SAMPLES)) <= limit, "the old budget is given back")
    with narrow.writing(writers=24, think=0.001) as writing, sampled(narrow, writer) as counts:
        for replicas in (3, 1, 2):
            scaled(narrow, replicas)
        kept = writing.finish()
    drops_nothing(narrow, kept)
    assert limit // 4 < max(counts) <= limit
