"""How many sessions are pinned, for the report: a number that changes all the time, told rarely.

All pods write into one object, and each change wakes the operator; `dbproxy_sessions_pinned` is the
same number at every scrape. Turned by the agent.
"""

from __future__ import annotations

from typing import Any

from dbproxy.dataplane import Dataplane

# Seconds from one look to the next.
APART = 30.0


class Pinned:
    """What the engine had at the last look: sessions by reason, those that there are."""

    def __init__(self) -> None:
        self.sessions: dict[str, int] = {}
        self._look_at = 0.0

    def look(self, dataplane: Dataplane, now: float) -> float:
        """Look if it is time to; says in how many seconds it is again."""
        if now >= self._look_at:
            self._look_at = now + APART
            self.sessions = by_reason(dataplane.stats())
        return self._look_at - now


def by_reason(metrics: list[dict[str, Any]]) -> dict[str, int]:
    """Of all endpoints together."""
    found: dict[str, int] = {}
    for metric in metrics:
        if metric["name"] != "sessions_pinned":
            continue
        for sample in metric["samples"]:
            if sample["value"]:
                reason = sample["labels"]["reason"]
                found[reason] = found.get(reason, 0) + int(sample["value"])
    return dict(sorted(found.items()))
