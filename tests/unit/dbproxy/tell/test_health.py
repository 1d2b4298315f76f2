"""The probes and the metrics over HTTP, as the kubelet and Prometheus see them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.agent_made import config_of
from tests.fake_engine import FakeEngine
from tests.servers import free_port

from dbproxy.dataplane import Dataplane
from dbproxy.decide.planner import Planner
from dbproxy.families import EngineFamily
from dbproxy.tell.health import Health, serve
from dbproxy.tell.metrics import AgentMetrics


class Pod:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.health = Health()
        self.family: EngineFamily | None = "POSTGRESQL"
        self.metrics = AgentMetrics(lambda: self.health.dataplane, lambda: self.family)
        self.port = free_port()

    async def apply(self) -> None:
        planner = Planner(max_clients=10)
        planner.learn_config(config_of())
        plan = planner.plan(0, 0)
        assert plan is not None
        self.health.dataplane = Dataplane(self.engine)
        await self.health.dataplane.apply(plan.snapshot)
        self.health.starting = False

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as response,
        ):
            return response.status, await response.text()


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    pod = Pod()
    runner = await serve(pod.health, pod.metrics.render, "127.0.0.1", pod.port)
    yield pod
    await runner.cleanup()


async def test_a_pod_is_ready_once_its_snapshot_is_applied(pod: Pod) -> None:
    assert await pod.get("/readyz") == (503, "no snapshot is applied yet\n")
    await pod.apply()
    assert not pod.health.told_ready
    assert await pod.get("/readyz") == (200, "ok\n")
    assert pod.health.told_ready


async def test_a_new_pod_is_not_ready_before_it_has_reached_the_database(pod: Pod) -> None:
    await pod.apply()
    pod.health.starting = True
    assert await pod.get("/readyz") == (503, "has not reached the database yet\n")
    assert await pod.get("/healthz") == (200, "ok\n")


async def test_a_leaving_pod_is_alive_but_not_ready(pod: Pod) -> None:
    await pod.apply()
    pod.health.leaving = True
    assert await pod.get("/readyz") == (503, "leaving\n")
    assert await pod.get("/healthz") == (200, "ok\n")


async def test_a_pod_whose_engine_stands_still_is_not_alive(pod: Pod) -> None:
    await pod.apply()
    pod.engine.age_ms = 60_000
    status, text = await pod.get("/healthz")
    assert (status, text) == (503, "a loop of the engine has not turned for 60 s\n")


async def test_a_pod_whose_agent_hangs_in_a_turn_is_not_alive() -> None:
    now = 100.0
    health = Health(lambda: now)
    with health.turning():
        assert health.unhealthy() == ""
        now += 16
        assert health.unhealthy() == "the agent has been in one turn for 16 s"
    assert health.unhealthy() == ""


async def test_the_metrics_hold_the_engines_and_the_agents(pod: Pod) -> None:
    await pod.apply()
    pod.engine.connected = 5
    status, text = await pod.get("/metrics")
    assert status == 200
    lines = text.splitlines()
    assert 'dbproxy_clients{engine="postgresql"} 5.0' in lines
    labels = 'endpoint="orders",engine="postgresql",le="+Inf"'
    assert f"dbproxy_borrow_seconds_bucket{{{labels}}} 3.0" in lines
    assert 'dbproxy_snapshots_total{engine="postgresql",result="applied"} 0.0' in lines


async def test_each_series_of_ours_says_of_which_engine_it_is(pod: Pod) -> None:
    await pod.apply()
    pod.metrics.follow_targets(["db-0"], set())
    families: tuple[EngineFamily, ...] = ("MYSQL", "POSTGRESQL")
    for family in families:
        pod.family = family
        lines = [line for line in (await pod.get("/metrics"))[1].splitlines() if line[0] != "#"]
        ours = [line for line in lines if line.startswith("dbproxy_")]
        assert len(ours) > 20
        assert [line for line in ours if line.count(f'engine="{family.lower()}"') != 1] == []
        assert not any("engine=" in line for line in lines if line not in ours)


async def test_before_the_first_settings_no_series_claims_an_engine(pod: Pod) -> None:
    pod.family = None
    text = (await pod.get("/metrics"))[1]
    assert "dbproxy_writer_open 0.0" in text.splitlines()
    assert "engine=" not in text


async def test_the_series_of_a_target_begin_at_zero_and_end_with_it(pod: Pod) -> None:
    pod.metrics.follow_targets(["db-0"], set())
    series = 'dbproxy_probes_total{engine="postgresql",result="FAILED",target="db-0"} 0.0'
    assert series in (await pod.get("/metrics"))[1]
    pod.metrics.follow_targets([], {"db-0"})
    assert "db-0" not in (await pod.get("/metrics"))[1]
