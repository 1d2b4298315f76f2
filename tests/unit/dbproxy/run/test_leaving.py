"""How a pod leaves: in order, and faster when told twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.agent_made import config_of
from tests.fake_engine import FakeEngine
from tests.waiting import DEADLINE, until

from dbproxy.dataplane import Dataplane
from dbproxy.run import leaving as leaving_module
from dbproxy.run.leaving import Leaving
from dbproxy.settings import Config
from dbproxy.tasks import Tasks
from dbproxy.tell.health import Health


@dataclass
class FakeAgent:
    dataplane: Dataplane | None
    config: Config | None = field(default_factory=config_of)
    left: bool = False

    async def drain(self) -> None:
        if self.dataplane is not None:
            await self.dataplane.drain()

    async def leave(self) -> None:
        self.left = True


class World:
    def __init__(self, *, in_kubernetes: bool = False) -> None:
        self.engine = FakeEngine()
        self.agent = FakeAgent(Dataplane(self.engine))
        self.health = Health()
        self.health.told_ready = True
        self.tasks = Tasks()
        agent: Any = self.agent
        self.leaving = Leaving(agent, self.health, in_kubernetes=in_kubernetes)
        self.done = asyncio.ensure_future(self.leaving.done(self.tasks))


async def test_a_pod_without_clients_leaves_at_once() -> None:
    world = World()
    world.leaving.told()
    assert await world.done is None
    assert world.engine.drained
    assert world.agent.left
    assert world.health.unready() == "leaving"


async def test_clients_are_waited_for() -> None:
    world = World()
    world.engine.connected = 1
    world.leaving.told()
    await until(lambda: world.engine.drained)
    assert not world.done.done()
    world.engine.connected = 0
    assert await world.done is None


async def test_the_drain_timeout_ends_the_wait() -> None:
    world = World()
    world.agent.config = config_of(drainTimeout=1)
    world.engine.connected = 1
    world.leaving.told()
    assert await world.done is None


async def test_in_kubernetes_the_endpoints_settle_before_the_drain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaving_module, "SETTLE", 0.2)
    world = World(in_kubernetes=True)
    world.leaving.told()
    await until(lambda: world.health.leaving)
    assert not world.engine.drained
    assert await world.done is None
    assert world.engine.drained


async def test_a_pod_that_never_was_ready_has_no_endpoints_to_settle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaving_module, "SETTLE", 3600.0)
    world = World(in_kubernetes=True)
    world.health.told_ready = False
    world.leaving.told()
    async with asyncio.timeout(DEADLINE):
        assert await world.done is None
    assert world.agent.left


async def test_a_second_signal_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving_module, "SETTLE", 3600.0)
    world = World(in_kubernetes=True)
    world.engine.connected = 1
    world.leaving.told()
    await until(lambda: world.health.leaving)
    world.leaving.told()
    async with asyncio.timeout(DEADLINE):
        assert await world.done is None
    assert world.engine.drained


async def test_a_crashed_task_ends_the_pod_with_its_error() -> None:
    world = World()
    error = RuntimeError("a bug")

    async def crash() -> None:
        raise error

    world.tasks.spawn(crash(), "bug")
    assert await world.done is error
    assert world.agent.left


async def test_a_crashed_task_cuts_no_client() -> None:
    world = World()
    world.engine.connected = 1

    async def crash() -> None:
        raise RuntimeError("a bug")

    world.tasks.spawn(crash(), "bug")
    await until(lambda: world.engine.drained)
    assert world.health.unready() == "leaving"
    assert not world.done.done()
    world.engine.connected = 0
    assert isinstance(await world.done, RuntimeError)


async def test_a_pod_whose_engine_cannot_drain_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    def drain() -> None:
        raise RuntimeError("the engine is gone")

    monkeypatch.setattr(world.engine, "drain", drain)
    world.leaving.told()
    assert await world.done is None
    assert world.agent.left
