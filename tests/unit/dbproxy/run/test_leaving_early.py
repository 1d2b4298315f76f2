"""A pod that is told to go while it starts: it goes at once, and leaves others its part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fake_api import FakeApi
from tests.fix_postgres import PostgresFactory
from tests.unit.dbproxy.run.test_sharing import Pod
from tests.waiting import DEADLINE, until

from dbproxy.run import leaving as leaving_module
from dbproxy.run.leaving import Leaving


class Starting(Pod):
    async def goes(self) -> None:
        """Told once, with nobody to wait for."""
        assert self.agent is not None
        leaving = Leaving(self.agent, self.health, in_kubernetes=True)
        leaving.told()
        async with asyncio.timeout(2 * DEADLINE):
            assert await leaving.done(self.tasks) is None
        self.agent = None


@pytest.fixture
async def pod(
    tmp_path: Path, make_postgres: PostgresFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Starting]:
    monkeypatch.setattr(leaving_module, "SETTLE", 3600.0)
    api = await FakeApi().start()
    made = Starting(tmp_path, [make_postgres("db-0")], api)
    yield made
    await made.stop()
    assert made.kube is not None
    await made.kube.close()
    await api.stop()


async def test_without_a_configuration(pod: Starting) -> None:
    await pod.start()
    await asyncio.sleep(0)
    await pod.goes()
    assert pod.said == {}


async def test_while_it_waits_for_its_part(pod: Starting) -> None:
    pod.credentials()
    pod.configure(group={"writerElection": None}, budgetDivisor=3)
    pod.others(2, 2)
    await pod.start()
    await until(lambda: pod.health.unready().startswith("waits for a part"), "it waits")
    await pod.goes()
    assert pod.said == {"pod": "pod-0"}
    assert pod.engine_options is None


async def test_while_the_answer_to_its_request_for_a_part_is_under_way(pod: Starting) -> None:
    """Which may be stored after all, and must not be once the pod is gone."""
    pod.credentials()
    pod.configure(group={"writerElection": None}, budgetDivisor=3)
    pod.api.patch_takes = 0.3
    arrived: list[bool] = []
    pod.api.on_patch = lambda: arrived.append(True)
    await pod.start()
    await until(lambda: arrived, "it asks")
    pod.api.patch_takes = 0.0
    await pod.goes()
    await until(lambda: len(pod.api.patches) >= 2, "both are stored")
    assert pod.said == {"pod": "pod-0"}


async def test_while_the_api_server_refuses_its_request_for_a_part(pod: Starting) -> None:
    pod.credentials()
    pod.configure(group={"writerElection": None}, budgetDivisor=3)
    pod.api.status = 500
    await pod.start()
    await until(lambda: pod.health.unready().startswith("no answer yet"), "it waits")
    await pod.goes()


async def test_while_it_waits_for_its_database(pod: Starting) -> None:
    await asyncio.to_thread(pod.servers[0].stop)
    pod.credentials()
    pod.configure(group={"writerElection": None}, budgetDivisor=3)
    await pod.start()
    await until(lambda: pod.engine.snapshots, "it begins")
    await until(lambda: pod.health.unready() == "has not reached the database yet", "it waits")
    assert pod.says(3)
    await pod.goes()
    assert pod.engine.closed
    assert pod.said == {"pod": "pod-0"}
