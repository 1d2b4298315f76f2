"""Losing the writer: to another one under load, for a while, and with no API server to tell it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.e2e.ledger import Failure
from tests.fix_cluster import ROOT, Object, eventually
from tests.fix_orders import APP_SESSIONS, DATABASES, Kept, Orders

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("orders")]
Record = Callable[[str, object], None]
NODE = [sys.executable, "-m", "tests.cluster.node"]
PGBENCH = ["pgbench", "-n", "-c", "8", "-j", "2", "-T", "14", "--max-tries=10", "--log"]
COMMIT_UNKNOWN = "08007"
LOST = "40001"
PINNED_LOST = "57P01"


@dataclass(frozen=True)
class Flip:
    """What was seen of a writer that another one replaced while both could write."""

    old: str
    new: str
    epoch: int
    raised: float
    acknowledged: float
    kept: Kept
    rows: dict[str, list[tuple[int, int]]]
    bench: str
    bench_log: str
    left_on_old: int
    last_write_on_old: float
    status: Object


def raise_epoch(orders: Orders, writer: str, epoch: int) -> float:
    """Write the election without the time that kubectl needs; when it was about to be written."""
    cluster = orders.cluster
    election = cluster.get("configmap", "orders-election")
    assert election is not None
    election["data"] = {"writer": writer, "epoch": str(epoch)}
    raised = time.time()
    cluster.call("PUT", f"{cluster.path('configmap')}/orders-election", election)
    return raised


def flip_the_writer(orders: Orders) -> Flip:
    old, new = orders.others()
    epoch = orders.elected()[1] + 1
    orders.in_client("sh", "-c", "rm -f /tmp/bench.*")
    with (
        orders.writing(writers=8, idle=4, pinned=2) as writing,
        orders.running(*PGBENCH, "--log-prefix=/tmp/bench") as bench,
    ):
        orders.promote(new)
        raised = raise_epoch(orders, new, epoch)
        eventually(lambda: orders.acknowledged(epoch), "both pods acknowledge the epoch")
        acknowledged = time.time()
        left = int(orders.on(old, APP_SESSIONS))
        report, told = bench.communicate(timeout=60)
        kept = writing.finish()
    latest = "select coalesce(extract(epoch from max(at)), 0) from ledger"
    return Flip(
        old,
        new,
        epoch,
        raised,
        acknowledged,
        kept,
        {database: orders.rows(kept, database) for database in DATABASES},
        report + told,
        orders.in_client("sh", "-c", "cat /tmp/bench.*"),
        left,
        float(orders.on(old, f"{latest} where server = '{old}'")),
        orders.status(),
    )


def others_than_lost(kept: Kept) -> list[Failure]:
    return [one for one in kept.failures if one.code not in (LOST, COMMIT_UNKNOWN)]


@pytest.fixture(scope="module")
def flip(opened_orders: Orders) -> Iterator[Flip]:
    opened_orders.put_right()
    yield flip_the_writer(opened_orders)
    opened_orders.put_right()


def test_every_acknowledged_commit_is_in_the_database_that_acknowledged_it(flip: Flip) -> None:
    found = {row for rows in flip.rows.values() for row in rows}
    assert len(flip.kept.committed) > 100
    assert set(flip.kept.committed) - found == set()


def test_nothing_is_done_twice(flip: Flip) -> None:
    found = [row for rows in flip.rows.values() for row in rows]
    assert len(found) == len(set(found))


def test_clients_write_on_to_the_new_writer(flip: Flip, record_property: Record) -> None:
    moments = flip.kept.committed
    after = [moments[row] for row in flip.rows[flip.new] if row in moments]
    assert {client for client, _ in flip.rows[flip.new]} == set(range(8))
    before = max(moments[row] for row in flip.rows[flip.old] if row in moments)
    pause = {
        "ms from the raised epoch to the first write": round(1000 * (min(after) - flip.raised)),
        "ms from the last write to the first on the new writer": round(
            1000 * (min(after) - before)
        ),
    }
    for what, value in pause.items():
        record_property(what, value)
        print(f"{what}: {value}")


def test_a_failure_is_either_surely_lost_or_of_unknown_outcome(flip: Flip) -> None:
    assert others_than_lost(flip.kept) == []


def test_what_was_lost_is_nowhere_and_its_script_cannot_commit_the_rest(flip: Flip) -> None:
    found = {row for rows in flip.rows.values() for row in rows}
    lost = [failure for failure in flip.kept.failures if failure.code == LOST]
    assert all(failure.stayed for failure in lost)
    assert {failure.then for failure in lost} <= {"25P02 ok", "ok"}
    assert {(failure.client, failure.number) for failure in lost} & found == set()


def test_an_unknown_outcome_ends_the_connection(flip: Flip) -> None:
    unknown = [failure for failure in flip.kept.failures if failure.code == COMMIT_UNKNOWN]
    assert not any(failure.stayed for failure in unknown)


def test_idle_clients_stay_connected(flip: Flip) -> None:
    assert flip.kept.idle == ["ok"] * 4


def test_clients_that_lost_their_state_are_told_and_closed(flip: Flip) -> None:
    assert flip.kept.pinned == [PINNED_LOST] * 2


def test_pgbench_goes_on(flip: Flip) -> None:
    """Its clients end only for an unknown outcome, which no program can repeat by itself."""
    moments = [int(line.split()[4]) for line in flip.bench_log.splitlines()]
    assert max(moments) > flip.acknowledged + 1, flip.bench
    ended = [line for line in flip.bench.splitlines() if " aborted " in line]
    assert all("whether the transaction was committed is unknown" in line for line in ended)


def test_status_names_the_new_writer(flip: Flip) -> None:
    writer = flip.status["writer"]
    assert (writer["target"], writer["epoch"]) == (flip.new, flip.epoch)


def test_no_session_is_left_on_the_old_writer_once_the_epoch_is_acknowledged(flip: Flip) -> None:
    assert flip.left_on_old == 0


def test_nothing_reaches_the_old_writer_once_the_epoch_is_acknowledged(flip: Flip) -> None:
    assert 0 < flip.last_write_on_old < flip.acknowledged


def test_the_acknowledgement_is_confirmed(flip: Flip) -> None:
    told = [entry["acknowledged"] for entry in flip.status["proxies"]]
    assert [one.get("unconfirmed", False) for one in told] == [False] * len(told)


def test_readers_move_to_the_former_writer_when_it_is_a_replica(orders: Orders, flip: Flip) -> None:
    answer = orders.ask("select current_setting('cluster_name')", PGHOST="orders-readonly")
    assert answer == flip.old


def test_a_writer_that_is_down_is_told_and_waited_for(orders: Orders) -> None:
    writer, _ = orders.others()
    with orders.writing(writers=4, idle=4) as writing:
        orders.stop(writer)
        orders.becomes(writer, "UNAVAILABLE", "UNREACHABLE")
        began = time.time()
        orders.start(writer)
        orders.becomes(writer, "AVAILABLE", "")
        eventually(orders.writes, "writes get through")
        kept = writing.finish()
    assert kept.idle == ["ok"] * 4
    assert max(kept.committed.values()) > began
    assert others_than_lost(kept) == []
    assert set(kept.committed) - set(orders.rows(kept, writer)) == set()


def test_a_replica_that_is_down_leaves_writers_alone(orders: Orders) -> None:
    _, reader = orders.others()
    with orders.writing(writers=4) as writing:
        orders.stop(reader)
        orders.becomes(reader, "UNAVAILABLE", "UNREACHABLE")
        kept = writing.finish()
    assert kept.failures == []


# Waits in the database's pod for the API server to go, then stops the database.
STOP_WITHOUT_API = """
while (: < /dev/tcp/$KUBERNETES_SERVICE_HOST/$KUBERNETES_SERVICE_PORT) 2>/dev/null
do sleep 0.2; done
touch /data/stopped
pg_ctl -D /data/pgdata -m fast -w stop
"""


def node(*arguments: str) -> bool:
    return subprocess.run([*NODE, *arguments], cwd=ROOT, check=False, timeout=120).returncode == 0


@pytest.mark.alone
def test_what_happened_without_an_api_server_is_told_when_it_is_back(orders: Orders) -> None:
    _, reader = orders.others()
    pod = orders.cluster.get("pod", reader)
    assert pod is not None
    port = f"/dev/tcp/{pod['status']['podIP']}/5432"
    waiting = ["setsid", "bash", "-c", f"({STOP_WITHOUT_API}) >/dev/null 2>&1 &"]
    orders.cluster.kubectl("exec", reader, "--", *waiting)
    node("stop-apiserver")
    try:
        eventually(
            lambda: not node("inside", "bash", "-c", f": 2>/dev/null < {port}"),
            "the replica is down",
        )
    finally:
        node("start-apiserver")
    orders.becomes(reader, "UNAVAILABLE", "UNREACHABLE")
    assert orders.writes()
    assert orders.restarts() == 0
