"""All pods together, and the limit of the database's connections: whatever happens, it holds.

Counted in pg_stat_activity by a superuser, without the agents' own log-ins.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.test_rollout import drops_nothing
from tests.fix_cluster import eventually
from tests.fix_orders import REPLICAS, Orders
from tests.fix_shop import scale_operator

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("orders")]
PERCENT = 20
# 20 % of 100 connections, without 3 reserved and the probes of three pods; and a third of that.
LIMIT = 18
SHARE = 6
SAMPLES = """select count(*) from pg_stat_activity
  where usename = 'app' and application_name not like 'dbproxy %'"""


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


@contextmanager
def under_load(orders: Orders, **order: int) -> Iterator[None]:
    """Clients that would like more than there is, from first to last within the limit, and served.

    Pods that leave may end clients at rest; nobody is refused, and nothing that had begun is cut.
    """
    writer, _ = orders.others()
    eventually(lambda: int(orders.on(writer, SAMPLES)) <= LIMIT, "the old budget is given back")
    with orders.writing(writers=24, **order) as writing, sampled(orders, writer) as counts:
        yield
        kept = writing.finish()
    refused = [failure for failure in kept.failures if failure.code == "53300"]
    assert refused == []
    drops_nothing(orders, kept)
    assert LIMIT // 4 < max(counts) <= LIMIT


def replaced(orders: Orders, before: dict[str, str]) -> bool:
    return orders.serving() and not before.keys() & orders.pods().keys()


def test_scaling_keeps_to_the_limit(narrow: Orders) -> None:
    with under_load(narrow):
        for replicas in (3, 1, 2):
            scaled(narrow, replicas)


def directly(orders: Orders, pod: str) -> list[str]:
    """psql to one pod: a Service would spread its sessions as it likes."""
    seen = orders.cluster.get("pod", pod)
    assert seen is not None
    where = [f"PGHOST={seen['status']['podIP']}", "PGPORT=15432", "PGSSLMODE=require"]
    return ["env", *where, "psql", "-XAtq"]


def pin(session: subprocess.Popen[str]) -> None:
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write("create temp table mine (id int);\nselect 1;\n")
    session.stdin.flush()
    assert session.stdout.readline() == "1\n"


def pinned(orders: Orders) -> object:
    """What the target group says of pinned sessions, by reason."""
    group = orders.cluster.get("dbptg", "orders-db")
    assert group is not None
    return group["status"].get("pinnedSessions", {}).get("byReason")


def test_growth_waits_for_pinned_sessions_and_names_their_pods(narrow: Orders) -> None:
    writer, _ = narrow.others()
    former = narrow.pods()
    with contextlib.ExitStack() as sessions:
        for pod in former:
            for _ in range(SHARE):
                pin(sessions.enter_context(narrow.running(*directly(narrow, pod))))
        narrow.cluster.kubectl("scale", "dbp", "orders", "--replicas=3")
        told = narrow.expect("dbp", "orders", "Reconciling", "True", "WaitingForAcknowledgement")
        assert all(pod in told for pod in former)
        assert narrow.pods() == former
        assert int(narrow.on(writer, SAMPLES)) == len(former) * SHARE
        held = len(former) * SHARE
        eventually(lambda: pinned(narrow) == {"temporary_object": held}, "the status says so", 60)
    eventually(lambda: narrow.serving(3), "three pods serve once the sessions ended", 120)


@pytest.mark.alone
def test_a_rollout_with_an_eviction_keeps_to_the_limit_without_an_operator(narrow: Orders) -> None:
    before = narrow.pods()
    scale_operator(narrow.cluster, 0)
    try:
        with under_load(narrow):
            narrow.cluster.kubectl("rollout", "restart", "deployment/orders")
            narrow.cluster.kubectl("delete", "pod", next(iter(before)), "--wait=false")
            eventually(lambda: replaced(narrow, before), "other pods serve", 150)
    finally:
        scale_operator(narrow.cluster, 1)
