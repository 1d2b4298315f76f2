"""A pod among others: what it has of the connections, it asks for first and gives back truly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.fake_api import FakeApi
from tests.fix_postgres import PostgresFactory
from tests.servers import Postgres
from tests.unit.dbproxy.run.test_agent import Running
from tests.waiting import until

from dbproxy.decide.budget import largest_divisor, share
from dbproxy.decide.rota import Rota
from dbproxy.kube import Kube
from dbproxy.run import beginning
from dbproxy.tell import report

# Of the test servers' 50 connections.
USABLE = 47


class Pod(Running):
    """An agent that reports to an API server; another pod's entry is there already."""

    def __init__(self, directory: Path, servers: list[Postgres], api: FakeApi) -> None:
        super().__init__(directory, servers)
        self.servers = servers
        self.api = api
        self.kube = Kube(api.cluster)

    @property
    def said(self) -> dict[str, Any]:
        """Its entry in the status."""
        entries = self.api.reports.get("dbproxy/pod-0", [])
        return dict(entries[0]) if entries else {}

    def says(self, divisor: int) -> bool:
        return self.said.get("budgetDivisor") == divisor

    def others(self, *divisors: int) -> None:
        for number, divisor in enumerate(divisors, 1):
            name = f"pod-{number}"
            self.api.reports[f"dbproxy/{name}"] = [{"pod": name, "budgetDivisor": divisor}]

    async def leave(self) -> None:
        assert self.agent is not None
        agent, self.agent = self.agent, None
        await agent.leave()

    def limit(self) -> int:
        return int(self.target("db-0")["max_connections"]) if self.engine.snapshots else 0


@pytest.fixture
async def pod(
    tmp_path: Path, make_postgres: PostgresFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pod]:
    monkeypatch.setattr(report, "APART", 0.01)
    monkeypatch.setattr(report, "LOOK_FOR_ROOM", 0.01)
    api = await FakeApi().start()
    made = Pod(tmp_path, [make_postgres("db-0")], api)
    made.credentials()
    made.configure(group={"writerElection": None}, budgetDivisor=3)
    yield made
    await made.stop()
    assert made.kube is not None
    await made.kube.close()
    await api.stop()


async def test_a_pod_neither_opens_nor_asks_anything_before_it_has_a_part(pod: Pod) -> None:
    pod.others(2, 2)
    await pod.start()
    await until(lambda: len(pod.api.patches) > 3, "it asks again and again")
    assert pod.engine_options is None
    assert pod.health.unready().startswith("waits for a part of the connections")
    assert pod.said["budgetDivisor"] == 0
    assert pod.metric("dbproxy_probes_total", target="db-0", result="OK") is None
    pod.others(3, 3)
    await until(lambda: pod.limit() == share(USABLE, 100, 3), "it has its part")
    await until(lambda: not pod.health.unready(), "it is ready")
    assert pod.said["budgetDivisor"] == 3


async def test_a_part_is_told_to_be_smaller_when_the_connections_are_given_back(pod: Pod) -> None:
    pod.others(3)
    await pod.start()
    await until(lambda: pod.said.get("budgetDivisor") == 3, "it has its part")
    await until(lambda: pod.limit() == share(USABLE, 100, 3), "it knows the server")
    pod.engine.holds = {"db-0": 9}
    pod.configure(group={"writerElection": None}, budgetDivisor=11)
    await until(lambda: pod.limit() == share(USABLE, 100, 11), "it obeys at once")
    told = largest_divisor(USABLE, 100, 9)
    assert 3 < told < 11
    await until(lambda: pod.said["budgetDivisor"] == told, "it tells what it still holds")
    pod.engine.holds = {"db-0": 2}
    await until(lambda: pod.said["budgetDivisor"] == 11, "all is given back")


async def test_a_leaving_pod_gives_back_what_it_needs_no_more_and_ends_with_nothing(
    pod: Pod,
) -> None:
    pod.others(3)
    await pod.start()
    await until(lambda: pod.limit() == share(USABLE, 100, 3), "it has its part")
    assert pod.agent is not None
    pod.engine.holds = {"db-0": 12}
    await pod.agent.drain()
    for left in (12, 4, 1):
        pod.engine.holds = {"db-0": left}
        divisor = largest_divisor(USABLE, 100, left)
        await until(partial(pod.says, divisor), "what was free is given back")
        assert pod.limit() == share(USABLE, 100, divisor)
    await pod.leave()
    assert pod.said == {"pod": "pod-0"}


async def test_the_connections_are_closed_before_the_pod_says_that_it_has_none(pod: Pod) -> None:
    await pod.start()
    await until(lambda: pod.limit(), "it has its part")
    closed: list[bool] = []
    pod.api.on_patch = lambda: closed.append(pod.engine.closed)
    await pod.leave()
    assert closed[-1] is True


async def test_a_part_that_is_worth_no_connection_is_left_to_others(pod: Pod) -> None:
    pod.configure(group={"writerElection": None}, budgetDivisor=100)
    await pod.start()
    await until(lambda: pod.engine.snapshots, "it begins")
    await until(lambda: pod.said.get("budgetDivisor") == 0, "it has nothing")
    await until(lambda: "less than one connection" in pod.health.unready(), "it says why")
    pod.configure(group={"writerElection": None}, budgetDivisor=3)
    await until(lambda: pod.limit() == share(USABLE, 100, 3), "it has its part")
    await until(lambda: not pod.health.unready(), "it is ready")


async def test_a_pod_is_ready_once_it_has_reached_its_database_and_stays_so(pod: Pod) -> None:
    (database,) = pod.servers
    await asyncio.to_thread(database.stop)
    await pod.start()
    await until(lambda: pod.engine.snapshots, "it begins")
    await until(
        lambda: pod.metric("dbproxy_target_state", target="db-0", state="UNAVAILABLE") == 1,
        "its database is down",
    )
    assert pod.health.unready() == "has not reached the database yet"
    await asyncio.to_thread(database.start)
    await until(lambda: not pod.health.unready(), "it is ready")
    await asyncio.to_thread(database.stop)
    pod.engine.emit(event="writer_doubted", target="db-0", reason="broken")
    await until(
        lambda: pod.metric("dbproxy_target_state", target="db-0", state="UNAVAILABLE") == 1,
        "its database is down",
    )
    assert not pod.health.unready()


async def test_a_pod_that_never_reaches_its_database_is_ready_after_a_while(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "GATE", 0.3)
    await asyncio.to_thread(pod.servers[0].stop)
    await pod.start()
    await until(lambda: not pod.health.unready(), "it is ready")
    await until(
        lambda: pod.metric("dbproxy_target_state", target="db-0", state="UNAVAILABLE") == 1,
        "its database is down",
    )


async def test_a_pod_tries_its_share_of_the_users_and_whom_its_engine_was_refused_as(
    pod: Pod,
) -> None:
    strangers = [f"nobody-{number}" for number in range(8)]
    pod.credentials(users=[{"name": name, "password": "x"} for name in strangers])
    rota = Rota("pod-0")
    rota.learn_others(frozenset(["pod-1"]))
    own = {name for name in strangers if rota.tries(name)}
    assert 0 < len(own) < len(strangers)
    pod.others(3)
    await pod.start()

    def failed() -> set[str]:
        return {login["user"] for login in pod.said.get("logins", [])}

    await until(lambda: failed() == own, "its own share is tried")
    other = next(name for name in strangers if name not in own)
    pod.engine.emit(event="backend_failed", target="db-0", user=other, fault="wrong_password")
    await until(lambda: failed() == own | {other}, "the user in doubt as well")
