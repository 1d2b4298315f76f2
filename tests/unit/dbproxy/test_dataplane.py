"""The engine's Python face."""

from __future__ import annotations

from tests.fake_engine import FakeEngine

from dbproxy.dataplane import Dataplane


def test_says_how_many_connections_each_target_has() -> None:
    engine = FakeEngine()
    engine.holds = {"db-0": 3, "db-1": 0}
    assert Dataplane(engine).held() == {"db-0": 3, "db-1": 0}
