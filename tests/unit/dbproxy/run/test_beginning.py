"""What a new pod waits for before its first clients come."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest
from tests.agent_made import answered, config_of, failed
from tests.fake_engine import FakeEngine

from dbproxy.decide.plan import Plan
from dbproxy.decide.planner import Planner
from dbproxy.facts import Probe
from dbproxy.run.beginning import GATE, Beginning
from dbproxy.run.options import Options

OUTSIDE = Options(
    config_dir=Path(),
    election_dir=None,
    listen_address="::",
    max_clients=10,
    workers=None,
    pod="pod-0",
    kube=None,
    start_engine=lambda _options: FakeEngine(),
)
NO_ELECTION = {"writerElection": None}


@pytest.fixture
def beginning() -> Beginning:
    return Beginning(dataclasses.replace(OUTSIDE, kube=cast(Any, object())))


def planned(*probes: Probe, **changes: Any) -> Plan:
    planner = Planner(max_clients=10)
    planner.learn_config(config_of(**({"group": NO_ELECTION} | changes)))
    for probe in probes:
        planner.learn_probe(probe)
    plan = planner.plan(1.0, 0.0)
    assert plan is not None
    return plan


def test_clients_come_at_once_where_the_writer_is_open(beginning: Beginning) -> None:
    """However long a replica has been down."""
    plan = planned(answered("db-0", 0.5, writes=True), failed("db-1", 0.5))
    assert plan.writer is not None
    assert plan.writer.is_open
    assert beginning.clients_wait(plan, 1.0) == 0


def test_clients_come_at_once_where_every_target_answers_although_none_writes(
    beginning: Beginning,
) -> None:
    first = answered("db-0", 0.5, writes=False)
    assert beginning.clients_wait(planned(first), 1.0) == GATE
    assert beginning.clients_wait(planned(first, answered("db-1", 0.5, writes=False)), 1.0) == 0


def test_clients_of_a_pod_that_reaches_no_database_wait_no_longer_than_a_while(
    beginning: Beginning,
) -> None:
    lost = planned(failed("db-0", 0.5), failed("db-1", 0.5))
    assert beginning.clients_wait(lost, 10.0) == GATE
    assert beginning.clients_wait(lost, 10.0 + GATE - 1) == 1
    assert beginning.clients_wait(lost, 10.0 + GATE) == 0


def test_a_monitor_that_is_refused_has_not_reached_the_database(beginning: Beginning) -> None:
    refused = [failed(name, 0.5, reason="AUTH_FAILURE") for name in ("db-0", "db-1")]
    assert beginning.clients_wait(planned(*refused), 1.0) == GATE


def test_what_was_reached_once_keeps_no_clients_away_later(beginning: Beginning) -> None:
    plan = planned(answered("db-0", 0.5, writes=True), failed("db-1", 0.5))
    assert beginning.clients_wait(plan, 1.0) == 0
    assert beginning.clients_wait(planned(failed("db-0", 0.5)), 2.0) == 0


def test_without_targets_there_is_nothing_to_wait_for(beginning: Beginning) -> None:
    assert beginning.clients_wait(planned(targetGroup=None, group=None), 1.0) == 0


def test_outside_of_kubernetes_nobody_waits() -> None:
    assert Beginning(OUTSIDE).clients_wait(planned(failed("db-0", 0.5)), 1.0) == 0
