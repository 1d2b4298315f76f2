"""Facts in, Snapshot and report out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.agent_made import answered, config_of, elected, failed

from dbproxy.decide.plan import Plan
from dbproxy.decide.planner import Planner
from dbproxy.decide.snapshot import SnapshotWriter
from dbproxy.decide.terms import Acknowledged
from dbproxy.facts import Addresses, Drained, Probe


class Clock:
    """A planner with its time; every fact arrives a second later than the one before."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.now = 100.0
        self.wall = 1_000_000.0

    def plan(self) -> Plan:
        plan = self.planner.plan(self.now, self.wall)
        assert plan is not None
        return plan

    def probe(self, *probes: Probe) -> Plan:
        for probe in probes:
            self.planner.learn_probe(probe)
        self.now += 1
        return self.plan()


def clock_of(**changes: Any) -> Clock:
    planner = Planner(max_clients=20_000)
    planner.learn_config(config_of(**changes))
    return Clock(planner)


def settled(**changes: Any) -> Clock:
    clock = clock_of(**changes)
    clock.planner.learn_election(elected("db-0", 7))
    clock.plan()
    clock.now += 1
    clock.probe(answered("db-0", clock.now, writes=True), answered("db-1", clock.now, writes=False))
    return clock


def test_nothing_is_planned_before_there_is_a_configuration() -> None:
    assert Planner(max_clients=1).plan(0, 0) is None


def test_a_proxy_without_target_group_opens_its_listeners() -> None:
    plan = clock_of(targetGroup=None).plan()
    assert [listener.port for listener in plan.snapshot.listeners] == [15432, 15433]
    assert plan.snapshot.targets == ()
    assert plan.snapshot.writer is None
    assert plan.writer is None


def test_the_snapshot_has_the_shape_of_the_contract() -> None:
    clock = settled()
    clock.planner.learn_addresses(Addresses("db-0", ("127.0.0.1:5000",)))
    document = json.loads(clock.plan().snapshot.to_json())
    assert document["users"] == [{"name": "app", "passwords": ["new"], "method": "SCRAM_SHA_256"}]
    assert document["writer"] == {"target": "db-0", "epoch": 7, "open": True}
    assert document["limits"]["borrow_timeout_ms"] == 120_000
    assert document["targets"][0] == {
        "name": "db-0",
        "addresses": ["127.0.0.1:5000"],
        "server_name": "127.0.0.1",
        "role": "READ_WRITE",
        "available": True,
        "max_connections": 30,
        "max_idle": 15,
        "min_idle": 0,
        "defaults": "",
    }


def test_the_budget_is_divided_after_reserve_probes_and_percent() -> None:
    pool = {
        "maxConnectionsPercent": 50,
        "maxIdleConnectionsPercent": 25,
        "minIdleConnectionsPercent": 10,
    }
    clock = settled(group={"connectionPoolConfig": pool}, budgetDivisor=3)
    target = clock.plan().snapshot.targets[0]
    # (100 - 3 reserved - 2 probes in each of 3 pods) / 2 / 3
    assert target.max_connections == 15
    assert (target.max_idle, target.min_idle) == (7, 3)


def test_a_target_that_has_no_connection_for_the_pod_gets_no_work() -> None:
    plan = settled(budgetDivisor=40).plan()
    assert plan.snapshot.targets[0].available is False
    assert plan.targets[0].reason == "PENDING_PROXY_CAPACITY"


def test_the_old_writer_is_neither_asked_nor_used_between_rise_and_acknowledgement() -> None:
    clock = settled()
    clock.planner.learn_election(elected("db-1", 8))
    plan = clock.plan()
    assert plan.suspended == {"db-0"}
    assert plan.snapshot.writer == SnapshotWriter("db-1", 8, open=False)
    old = plan.snapshot.targets[0]
    assert (old.role, old.available) == ("UNKNOWN", False)
    clock.planner.learn_drained(Drained("db-0", 8, unconfirmed=False))
    plan = clock.plan()
    assert plan.suspended == frozenset()
    assert plan.acknowledged is not None
    assert plan.acknowledged.epoch == 8


def test_a_probe_of_the_old_writer_that_was_under_way_counts_for_nothing() -> None:
    clock = settled()
    clock.planner.learn_election(elected("db-1", 8))
    clock.plan()
    plan = clock.probe(answered("db-0", clock.now, writes=True))
    assert plan.targets[0].state == "REGISTERING"


def test_the_new_writer_opens_with_the_first_probe_that_agrees() -> None:
    clock = settled()
    clock.planner.learn_election(elected("db-1", 8))
    clock.plan()
    plan = clock.probe(answered("db-1", clock.now, writes=True))
    assert plan.snapshot.writer == SnapshotWriter("db-1", 8, open=True)
    assert plan.snapshot.targets[1].role == "READ_WRITE"


def test_no_writer_is_told_to_the_engine_as_none() -> None:
    clock = settled()
    clock.planner.learn_election(elected("", 8))
    plan = clock.plan()
    assert plan.snapshot.writer is None
    assert plan.writer is not None
    assert plan.writer.reason == "NoWriter"


def test_a_target_that_is_down_is_unreachable_and_keeps_its_known_size() -> None:
    clock = settled()
    health = clock.probe(failed("db-1", clock.now)).targets[1]
    assert (health.state, health.reason) == ("UNAVAILABLE", "UNREACHABLE")
    assert health.max_connections == 100


def test_a_reader_that_is_down_is_still_a_reader_to_wait_for() -> None:
    clock = settled()
    target = clock.probe(failed("db-1", clock.now)).snapshot.targets[1]
    assert (target.role, target.available) == ("READ_ONLY", False)


def test_a_target_never_seen_may_be_a_reader_to_wait_for() -> None:
    clock = clock_of()
    clock.planner.learn_election(elected("db-0", 7))
    target = clock.probe(failed("db-1", clock.now)).snapshot.targets[1]
    assert (target.role, target.available) == ("READ_ONLY", False)
    assert clock.plan().targets[1].role == "UNKNOWN"


def test_a_replica_promoted_behind_our_back_is_not_read_from() -> None:
    clock = settled()
    plan = clock.probe(answered("db-1", clock.now, writes=True))
    assert plan.targets[1].reason == "PROMOTED"
    assert plan.snapshot.targets[1].available is False


def test_a_former_writer_that_still_writes_must_become_a_replica_first() -> None:
    clock = settled()
    clock.planner.learn_election(elected("db-1", 8))
    clock.plan()
    clock.planner.learn_drained(Drained("db-0", 8, unconfirmed=False))
    plan = clock.probe(
        answered("db-1", clock.now, writes=True), answered("db-0", clock.now, writes=True)
    )
    assert plan.targets[0].reason == "INVALID_REPLICATION_STATE"


def test_a_replica_that_is_too_late_is_not_read_from_until_it_has_caught_up() -> None:
    clock = settled(group={"maxReplicaLag": 30})
    for lag, available in ((31.0, False), (29.0, True)):
        for _ in range(3):
            plan = clock.probe(answered("db-1", clock.now, writes=False, replay_lag=lag))
        state, reason = (
            ("AVAILABLE", "") if available else ("UNAVAILABLE", "INVALID_REPLICATION_STATE")
        )
        assert (plan.targets[1].state, plan.targets[1].reason) == (state, reason)
        target = plan.snapshot.targets[1]
        assert (target.role, target.available) == ("READ_ONLY", available)


def test_a_replica_without_read_only_endpoint_is_available_for_the_next_failover() -> None:
    listener = {"name": "orders", "port": 15432, "targetRole": "READ_WRITE"}
    assert settled(listeners=[listener]).plan().targets[1].state == "AVAILABLE"


def test_faults_of_our_own_never_count_against_a_target() -> None:
    clock = settled()
    for _ in range(5):
        plan = clock.probe(Probe("db-0", "LOCAL", clock.now, 0.1, message="too many open files"))
    assert plan.targets[0].state == "AVAILABLE"
    assert plan.snapshot.writer == SnapshotWriter("db-0", 7, open=True)


def test_a_previous_password_is_accepted_until_its_time_and_replanned_at_that_moment() -> None:
    users = [
        {
            "name": "app",
            "password": "new",
            "previous": [{"password": "old", "validUntil": 1_000_010}],
        }
    ]
    clock = settled(credentials={"users": users})
    plan = clock.plan()
    assert plan.snapshot.users[0].passwords == ("new", "old")
    assert plan.wake_in == 10
    clock.wall += 10
    plan = clock.plan()
    assert plan.snapshot.users[0].passwords == ("new",)
    # What is left to wait for is the end of the writer's confirmation.
    assert plan.wake_in == 29


@pytest.mark.parametrize(
    ("family", "auth_type", "method"),
    [
        ("POSTGRESQL", None, "SCRAM_SHA_256"),
        ("POSTGRESQL", "POSTGRES_SCRAM_SHA_256", "SCRAM_SHA_256"),
        ("POSTGRESQL", "POSTGRES_MD5", "MD5"),
        ("MYSQL", None, "CACHING_SHA2_PASSWORD"),
        ("MYSQL", "MYSQL_CACHING_SHA2_PASSWORD", "CACHING_SHA2_PASSWORD"),
        ("MYSQL", "MYSQL_NATIVE_PASSWORD", "MYSQL_NATIVE_PASSWORD"),
        ("MYSQL", "MARIADB_CLIENT_ED25519", "CLIENT_ED25519"),
    ],
)
def test_the_engine_is_told_ways_to_log_in_by_its_own_names(
    family: str, auth_type: str | None, method: str
) -> None:
    user = {"name": "app", "password": "p", "clientPasswordAuthType": auth_type}
    plan = clock_of(engineFamily=family, credentials={"users": [user]}).plan()
    assert [user.method for user in plan.snapshot.users] == [method]


def test_targets_keep_what_is_known_of_them_over_a_new_configuration() -> None:
    clock = settled()
    clock.planner.learn_config(config_of(revision=11, idleClientTimeout=60))
    plan = clock.plan()
    assert plan.snapshot.limits.idle_client_timeout_ms == 60_000
    assert plan.targets[0].state == "AVAILABLE"


def test_a_target_that_moved_to_another_host_is_registered_anew() -> None:
    clock = settled()
    targets = [
        {"name": "db-0", "host": "127.0.0.9", "port": 5000},
        {"name": "db-1", "host": "127.0.0.1", "port": 5001},
    ]
    clock.planner.learn_config(config_of(group={"targets": targets}, revision=11))
    assert [target.state for target in clock.plan().targets] == ["REGISTERING", "AVAILABLE"]


MOVED = [
    {"name": "db-0", "host": "127.0.0.9", "port": 5000},
    {"name": "db-1", "host": "127.0.0.1", "port": 5001},
]


def test_a_writer_that_moved_to_another_host_is_a_change_of_writer() -> None:
    clock = settled()
    clock.planner.learn_config(config_of(group={"targets": MOVED}, revision=11))
    plan = clock.plan()
    # The engine would take a target without addresses for one that stayed.
    assert (plan.snapshot.writer, plan.snapshot.targets[0].addresses) == (None, ())
    clock.planner.learn_addresses(Addresses("db-0", ("127.0.0.9:5000",)))
    plan = clock.plan()
    assert plan.snapshot.writer == SnapshotWriter("db-0", 8, open=False)
    assert plan.suspended == frozenset()
    assert plan.acknowledged is None
    clock.now += 1
    plan = clock.probe(answered("db-0", clock.now, writes=True))
    assert plan.snapshot.writer == SnapshotWriter("db-0", 8, open=True)
    clock.planner.learn_drained(Drained("db-0", 8, unconfirmed=False))
    assert clock.plan().acknowledged == Acknowledged("cm", 7, unconfirmed=False)


def resolved(*answers: tuple[str, ...]) -> Plan:
    clock = settled()
    for answer in answers:
        clock.planner.learn_addresses(Addresses("db-0", answer))
    return clock.plan()


def test_a_dns_answer_that_drops_an_address_of_the_writer_is_a_change_of_writer() -> None:
    plan = resolved(("10.0.0.1:5000", "10.0.0.2:5000"), ("10.0.0.2:5000",))
    assert plan.snapshot.writer == SnapshotWriter("db-0", 8, open=False)
    assert plan.targets[0].state == "REGISTERING"
    assert plan.snapshot.targets[0].addresses == ("10.0.0.2:5000",)


def test_a_dns_answer_with_more_addresses_changes_no_writer() -> None:
    plan = resolved(("10.0.0.1:5000",), ("10.0.0.2:5000", "10.0.0.1:5000"))
    assert plan.snapshot.writer == SnapshotWriter("db-0", 7, open=True)
    assert plan.snapshot.targets[0].addresses == ("10.0.0.2:5000", "10.0.0.1:5000")


def test_the_confirmation_timeout_of_the_settings_is_obeyed() -> None:
    election = {"configMap": "orders-election", "confirmationTimeout": 5, "strictFencing": True}
    clock = settled(group={"writerElection": election})
    clock.planner.learn_election_read(clock.now)
    assert clock.plan().wake_in == 4
    clock.now += 4
    # Strict fencing leaves no connection to it.
    plan = clock.plan()
    assert plan.snapshot.writer is None
    assert plan.writer is not None
    assert plan.writer.reason == "Unconfirmed"


def test_probes_are_fast_only_while_the_writer_is_in_doubt() -> None:
    clock = settled()
    assert not clock.plan().fast
    assert clock.probe(failed("db-0", clock.now)).fast
