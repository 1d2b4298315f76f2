"""How things stand, told in words without counts, so that every pod is not an Event of its own."""

from typing import Any

import pytest
from tests.resources import Object
from tests.unit.dbproxy_operator.test_reconcile import World

from dbproxy_operator.tell import status

OUT_OF_SPACE = {"type": "PodScheduled", "status": "False"}


@pytest.fixture
async def world() -> World:
    """Its proxy has pods, none of which is ready."""
    made = World()
    await made.settle()
    for pod in pods(made):
        pod["status"] = {"phase": "Pending"}
    return made


def pods(world: World) -> list[Object]:
    return [obj for (kind, _, _), obj in world.kube.objects.items() if kind == "Pod"]


def message(world: World, kind: str = "DBProxy", name: str = "orders") -> str:
    return str(status.conditions_of(world.kube.at(kind, name))["Ready"]["message"])


def waiting(reason: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason}}
    return {"containerStatuses": [{"name": "proxy", "image": "proxy:1", "state": state}]}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "waiting for pods to become ready"),
        (waiting("ErrImagePull"), "the image proxy:1 cannot be pulled: check spec.image"),
        (waiting("ImagePullBackOff"), "the image proxy:1 cannot be pulled: check spec.image"),
        (waiting("CrashLoopBackOff"), "the container proxy keeps ending: see its log"),
        ({"conditions": [OUT_OF_SPACE]}, "a pod cannot be scheduled: describe it to see why"),
    ],
)
async def test_why_pods_are_not_ready_is_told(
    world: World, found: dict[str, Any], words: str
) -> None:
    pods(world)[0]["status"] |= found
    await world.reconcile()
    assert message(world) == words
    assert world.conditions("DBProxy", "orders")["Ready"] == ("False", "PodsNotReady")


async def test_pods_that_may_not_be_created_are_told(world: World) -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}
    world.kube.at("Deployment", "orders")["status"]["conditions"] = [refused]
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("False", "PodsRefused")
    assert "violates PodSecurity" in message(world)


async def test_less_than_one_connection_for_each_pod_is_stalled() -> None:
    world = World()
    await world.settle()
    group = world.kube.at("DBProxyTargetGroup", "orders-db")
    for entry in group["status"]["proxies"]:
        entry["targets"][0]["maxConnections"] = 2
    await world.reconcile()
    assert world.conditions("DBProxyTargetGroup", "orders-db")["Stalled"] == ("True", "Budget")
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_a_second_group_is_stalled_and_the_first_stays_ready() -> None:
    world = World()
    await world.settle()
    second = world.kube.at("DBProxyTargetGroup", "orders-db")
    metadata = {"name": "second", "creationTimestamp": "2026-02-01T00:00:00Z"}
    world.kube.put({**second, "metadata": metadata, "status": {"observedGeneration": -1}})
    await world.reconcile()
    found = world.conditions("DBProxyTargetGroup", "second")
    assert found["Stalled"] == ("True", "SecondTargetGroup")
    assert world.conditions("DBProxyTargetGroup", "orders-db")["Ready"] == ("True", "Ready")
    assert "orders-db" in message(world, "DBProxyTargetGroup", "second")


async def test_pods_that_have_not_the_newest_settings_keep_ready_at_the_older_generation() -> None:
    world = World()
    await world.settle()
    proxy = world.kube.at("DBProxy", "orders")
    proxy["spec"]["idleClientTimeout"] = 9
    proxy["metadata"]["generation"] = 2
    await world.reconcile()
    found = status.conditions_of(world.kube.at("DBProxy", "orders"))
    assert (found["Ready"]["status"], found["Ready"]["observedGeneration"]) == ("True", 1)
    assert found["Reconciling"]["reason"] == "WaitingForPods"
    assert world.kube.at("DBProxy", "orders")["status"]["observedGeneration"] == 2
    await world.settle()
    assert (
        status.conditions_of(world.kube.at("DBProxy", "orders"))["Ready"]["observedGeneration"] == 2
    )
