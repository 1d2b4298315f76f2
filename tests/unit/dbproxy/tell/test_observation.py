"""What is logged of a flood of events, and what gauges show of a target."""

from __future__ import annotations

import math

import pytest
from tests.agent_made import answered, config_of

from dbproxy.tell.metrics import AgentMetrics
from dbproxy.tell.observation import LINES, Observation, Throttle


def test_a_flood_of_events_is_cut_and_counted() -> None:
    throttle = Throttle()
    admitted = [throttle.admit("session_pinned", 5.5) for _ in range(LINES + 7)]
    assert [line for line, _ in admitted].count(True) == LINES
    assert throttle.admit("session_pinned", 6.0) == (True, 7)
    assert throttle.admit("session_pinned", 6.1) == (True, 0)


def test_one_kind_of_event_does_not_silence_another() -> None:
    throttle = Throttle()
    for _ in range(LINES + 1):
        throttle.admit("session_pinned", 5.0)
    assert throttle.admit("backend_failed", 5.0) == (True, 0)


@pytest.mark.parametrize(
    ("writes", "lag", "shown"), [(True, None, 0.0), (False, 4.5, 4.5), (False, None, math.nan)]
)
def test_a_lag_that_nobody_knows_is_not_shown_as_none(
    writes: bool, lag: float | None, shown: float
) -> None:
    metrics = AgentMetrics(lambda: None, lambda: "POSTGRESQL")
    observation = Observation(metrics)
    observation.config(config_of())
    observation.probe(answered("db-1", 1.0, writes=writes, replay_lag=lag))
    (gauge,) = metrics.replay_lag.collect()
    (value,) = [one.value for one in gauge.samples if one.labels["target"] == "db-1"]
    assert value == pytest.approx(shown, nan_ok=True)
