"""What the report says of pinned sessions: a number that changes all the time, told rarely."""

from __future__ import annotations

import json
from typing import Any

from tests.fake_engine import FakeEngine

from dbproxy.dataplane import Dataplane
from dbproxy.tell.pinned import APART, Pinned


class Engine(FakeEngine):
    """One whose endpoints have so many sessions pinned."""

    def __init__(self) -> None:
        super().__init__()
        self.samples: list[tuple[str, str, int]] = []

    def stats(self) -> bytes:
        samples = [
            {"labels": {"endpoint": endpoint, "reason": reason}, "value": value}
            for endpoint, reason, value in self.samples
        ]
        metric: dict[str, Any] = {"name": "sessions_pinned", "type": "gauge", "samples": samples}
        return json.dumps({"metrics": [metric]}).encode()


async def test_sessions_are_told_by_reason_of_all_endpoints_together() -> None:
    engine, pinned = Engine(), Pinned()
    engine.samples = [("rw", "listen", 2), ("ro", "listen", 1), ("rw", "held_cursor", 0)]
    pinned.look(Dataplane(engine), 100)
    assert pinned.sessions == {"listen": 3}


async def test_a_number_that_changes_is_told_twice_a_minute_at_most() -> None:
    engine, pinned = Engine(), Pinned()
    dataplane = Dataplane(engine)
    assert pinned.look(dataplane, 100) == APART
    engine.samples = [("rw", "listen", 1)]
    assert pinned.look(dataplane, 110) == APART - 10
    assert pinned.sessions == {}
    assert pinned.look(dataplane, 100 + APART) == APART
    assert pinned.sessions == {"listen": 1}
