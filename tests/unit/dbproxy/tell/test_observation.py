"""What is logged of a flood of events."""

from __future__ import annotations

from dbproxy.tell.observation import LINES, Throttle


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
