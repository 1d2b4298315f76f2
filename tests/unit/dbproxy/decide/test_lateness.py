"""Replicas that are too late to be read from."""

from __future__ import annotations

import pytest

from dbproxy.decide.lateness import lateness
from dbproxy.facts import Probe, ServerFacts
from dbproxy.probe.views import View

LATE = "it lags behind by more than maxReplicaLag, 10 s"
UNKNOWN = "its lag isn't known, and maxReplicaLag is 10 s"


def told(*lags: float | None, limit: int | None = 10, message: str = "") -> str:
    """After probes of a replica that found these, one after the other."""
    view = View("db-1")
    for lag in lags:
        server = ServerFacts(True, 100, 3, replay_lag=lag)
        view = view.fold(Probe("db-1", "OK", 1.0, 0.1, server=server, message=message))
    return lateness(view, limit)


@pytest.mark.parametrize(
    ("lags", "fault"),
    [
        ((0.0,), ""),
        ((10.0,), ""),
        # Of one that nothing good is known of, the first probe counts.
        ((10.5,), LATE),
        ((0.0, 11.0), ""),
        ((0.0, 11.0, 12.0), ""),
        ((0.0, 11.0, 12.0, 13.0), LATE),
        ((11.0, 12.0, 13.0, 9.0), ""),
        ((None,), UNKNOWN),
        ((0.0, None, None), ""),
        ((0.0, None, None, None), UNKNOWN),
        ((0.0, None, 11.0, None), LATE),
    ],
)
def test_who_was_late_in_the_last_three_probes_is_too_late(
    lags: tuple[float | None, ...], fault: str
) -> None:
    assert told(*lags) == fault


def test_without_a_limit_nobody_is_too_late() -> None:
    assert told(1e6, None, limit=None) == ""


def test_why_a_lag_is_not_known_is_told() -> None:
    assert told(None, message="grant it SLAVE MONITOR") == f"{UNKNOWN}: grant it SLAVE MONITOR"


def test_a_writer_and_a_target_that_is_gone_are_not_late() -> None:
    writer = ServerFacts(False, 100, 3)
    late = View("db-1").fold(
        Probe("db-1", "OK", 1.0, 0.1, server=ServerFacts(True, 100, 3, replay_lag=99.0))
    )
    assert lateness(late, 10) == LATE
    assert lateness(late.fold(Probe("db-1", "OK", 2.0, 0.1, server=writer)), 10) == ""
    gone = Probe("db-1", "FAILED", 2.0, 0.1, reason="UNREACHABLE", decisive=True)
    assert lateness(late.fold(gone), 10) == ""
