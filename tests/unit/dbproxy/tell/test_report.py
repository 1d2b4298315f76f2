"""The report: on change, spaced, tried again, and withdrawn at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
from tests.agent_made import answered, config_of, elected
from tests.fake_api import FakeApi
from tests.waiting import DEADLINE, until

from dbproxy.decide.planner import Planner
from dbproxy.kube import Kube
from dbproxy.tasks import Tasks
from dbproxy.tell import report as report_module
from dbproxy.tell.report import Destination, Others, Reporter, least_entry, pod_entry

PINNED = {"listen": 2}
GROUP = Destination("shop", "orders-db", "group-uid", "pod-0")


class World:
    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.kube = Kube(api.cluster)
        self.tasks = Tasks()
        self.stored: list[tuple[Any, Others]] = []
        self.failures = 0
        self.reporter = Reporter(self.kube, self.tasks, self.on_stored, self.on_failed)

    def on_stored(self, entry: Any, others: Others) -> None:
        self.stored.append((entry, others))

    def on_failed(self) -> None:
        self.failures += 1

    def last_is(self, number: int) -> bool:
        return self.told[-1:] == [[{"n": number}]]

    @property
    def told(self) -> list[Any]:
        return [body["status"].get("proxies") for _, _, body in self.api.patches]


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(report_module, "RETRY_FIRST", 0.01)
    monkeypatch.setattr(report_module, "FAREWELL", DEADLINE)
    api = await FakeApi().start()
    world = World(api)
    yield world
    await world.tasks.close()
    await world.kube.close()
    await api.stop()


async def test_an_answer_that_is_not_the_group_is_no_word_about_other_pods(world: World) -> None:
    """Something before the API server says 200, and has stored nothing."""
    world.api.answer = {}
    world.reporter.offer(GROUP, {"pod": "pod-0"})
    await until(lambda: world.failures > 1)
    assert world.stored == []
    world.api.answer = None
    await until(lambda: world.stored)


async def test_a_report_carries_the_uid_it_is_meant_for(world: World) -> None:
    world.reporter.offer(GROUP, {"pod": "pod-0"})
    await until(lambda: world.api.patches)
    assert world.api.patches[0][2] == {
        "apiVersion": "dbproxy.dev/v1alpha1",
        "kind": "DBProxyTargetGroup",
        "metadata": {"name": "orders-db", "namespace": "shop", "uid": "group-uid"},
        "status": {"proxies": [{"pod": "pod-0"}]},
    }


async def test_what_did_not_change_is_not_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "APART", 0.01)
    for number in (1, 1, 2):
        world.reporter.offer(GROUP, {"n": number})
        await until(partial(world.last_is, number))
    assert world.told == [[{"n": 1}], [{"n": 2}]]


async def test_of_many_changes_within_a_second_only_the_last_is_written(world: World) -> None:
    world.reporter.offer(GROUP, {"n": 0})
    await until(lambda: world.told)
    for number in range(1, 10):
        world.reporter.offer(GROUP, {"n": number})
    await until(lambda: len(world.told) == 2)
    assert world.told[-1] == [{"n": 9}]


async def test_a_report_that_cannot_be_written_is_tried_again(world: World) -> None:
    world.api.status = 500
    world.reporter.offer(GROUP, {"n": 1})
    await until(lambda: world.failures)
    world.api.status = 200
    await until(lambda: world.told == [[{"n": 1}]])


async def test_the_answer_tells_which_parts_the_other_pods_have(world: World) -> None:
    world.api.reports = {
        "dbproxy/pod-1": [{"pod": "pod-1", "budgetDivisor": 3}],
        "dbproxy/pod-2": [{"pod": "pod-2", "budgetDivisor": 4}],
        "dbproxy/pod-3": [{"pod": "pod-3", "budgetDivisor": 0}, {"pod": "pod-4"}],
    }
    world.reporter.offer(GROUP, {"pod": "pod-0", "budgetDivisor": 5})
    await until(lambda: world.stored)
    found = Others(Fraction(7, 12), frozenset(["pod-1", "pod-2"]))
    assert world.stored == [({"pod": "pod-0", "budgetDivisor": 5}, found)]


async def test_a_pod_hears_of_others_that_come_although_it_has_nothing_to_say(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "APART", 0.01)
    monkeypatch.setattr(report_module, "LOOK_LAST", 0.02)
    world.reporter.offer(GROUP, {"pod": "pod-0", "budgetDivisor": 5})
    await until(lambda: world.stored)
    world.api.reports["dbproxy/pod-1"] = [{"pod": "pod-1", "budgetDivisor": 3}]
    await until(lambda: world.stored[-1][1].pods == {"pod-1"})
    assert {entries[0]["budgetDivisor"] for entries in world.told} == {5}


def test_the_longer_the_same_pods_are_there_the_more_rarely_they_are_looked_for() -> None:
    pause = report_module.next_look(3600.0, changed=True)
    assert pause == report_module.LOOK_FIRST
    for _ in range(10):
        longer = report_module.next_look(pause, changed=False)
        assert longer == min(2 * pause, report_module.LOOK_LAST)
        pause = longer
    assert pause == report_module.LOOK_LAST


async def test_a_pod_that_wishes_for_more_asks_again_and_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "APART", 0.01)
    monkeypatch.setattr(report_module, "LOOK_FOR_ROOM", 0.01)
    world.reporter.offer(GROUP, {"n": 1}, wishes=True)
    await until(lambda: len(world.stored) > 2)
    assert world.told[:3] == [[{"n": 1}]] * 3


async def test_the_last_word_of_a_leaving_pod_is_that_it_has_nothing(world: World) -> None:
    world.reporter.offer(GROUP, {"pod": "pod-0", "budgetDivisor": 3})
    await until(lambda: world.told)
    await world.reporter.farewell()
    assert world.told[-1] == [{"pod": "pod-0"}]


async def test_nothing_is_stored_behind_the_last_word_of_a_leaving_pod(world: World) -> None:
    arrived: list[bool] = []
    world.api.on_patch = lambda: arrived.append(True)
    world.api.patch_takes = 0.2
    world.reporter.offer(GROUP, {"pod": "pod-0", "budgetDivisor": 3})
    await until(lambda: arrived)
    world.api.patch_takes = 0.0
    await world.reporter.farewell()
    await until(lambda: len(world.told) == 2)
    assert world.told[-1] == [{"pod": "pod-0"}]


async def test_an_api_server_that_answers_nothing_keeps_no_pod_that_leaves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "FAREWELL", 0.1)
    world.api.patch_takes = 3600.0
    world.reporter.offer(GROUP, {"pod": "pod-0", "budgetDivisor": 3})
    arrived: list[bool] = []
    world.api.on_patch = lambda: arrived.append(True)
    await until(lambda: arrived)
    async with asyncio.timeout(DEADLINE):
        await world.reporter.farewell()


def test_the_entry_has_the_shape_of_the_contract() -> None:
    planner = Planner(max_clients=10)
    config = config_of()
    planner.learn_config(config)
    planner.learn_election(elected("db-0", 7))
    planner.plan(1, 0)
    planner.learn_probe(answered("db-0", 2, writes=True))
    plan = planner.plan(3, 0)
    assert plan is not None
    assert pod_entry(least_entry("pod-0", 3, []), plan, config, plan.snapshot, PINNED) == {
        "pod": "pod-0",
        "formatVersion": 1,
        "revision": 10,
        "secretRevision": 10,
        "generation": 3,
        "groupGeneration": 2,
        "budgetDivisor": 3,
        "listeners": [15432, 15433],
        "writer": {
            "target": "db-0",
            "uid": "cm",
            "epoch": 7,
            "state": "OPEN",
            "reason": "",
            "message": "",
        },
        "acknowledged": {"uid": "cm", "epoch": 7, "unconfirmed": False},
        "targets": [
            {
                "name": "db-0",
                "role": "READ_WRITE",
                "state": "AVAILABLE",
                "reason": "",
                "description": "",
                "maxConnections": 100,
                "usableConnections": 97,
            },
            {
                "name": "db-1",
                "role": "UNKNOWN",
                "state": "REGISTERING",
                "reason": "",
                "description": "not asked yet",
                "maxConnections": None,
                "usableConnections": None,
            },
        ],
        "goodLogins": 0,
        "badLogins": 0,
        "logins": [],
        "pinnedSessions": {"listen": 2},
        "problem": "",
        "problemReason": "",
    }
