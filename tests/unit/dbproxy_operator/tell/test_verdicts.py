"""How things stand, in words that name the pods; no wait is endless."""

from typing import Any

import pytest
from tests.resources import Object
from tests.unit.dbproxy_operator.world import World

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


def said(world: World) -> list[Object]:
    return list(world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["proxies"])


def message(world: World, kind: str = "DBProxy", name: str = "orders") -> str:
    return str(status.conditions_of(world.kube.at(kind, name))["Ready"]["message"])


def waiting(reason: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason}}
    return {"containerStatuses": [{"name": "proxy", "image": "proxy:1", "state": state}]}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "waiting for pods to become ready: orders-0, orders-1"),
        (waiting("ErrImagePull"), "the image proxy:1 cannot be pulled: check spec.image: orders-0"),
        (
            waiting("ImagePullBackOff"),
            "the image proxy:1 cannot be pulled: check spec.image: orders-0",
        ),
        (waiting("CrashLoopBackOff"), "the container proxy keeps ending: see its log: orders-0"),
        (
            {"containerStatuses": [{"name": "proxy", "restartCount": 3, "state": {"running": {}}}]},
            "the container proxy keeps ending: see its log: orders-0",
        ),
        (
            {"conditions": [OUT_OF_SPACE]},
            "no node takes these pods: describe one to see why: orders-0",
        ),
    ],
)
async def test_why_pods_are_not_ready_is_told_then_stalled(
    world: World, found: dict[str, Any], words: str
) -> None:
    pods(world)[0]["status"] |= found
    await world.reconcile()
    assert message(world) == words
    assert world.conditions("DBProxy", "orders")["Ready"] == ("False", "PodsNotReady")
    world.now += 300
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "PodsNotReady")
    assert world.conditions("DBProxyTargetGroup", "orders-db")["Stalled"][0] == "True"
    assert world.conditions("DBProxyEndpoint", "orders-ro")["Stalled"][0] == "True"


async def test_a_rollout_that_the_controller_gave_up_is_stalled_and_clients_are_served() -> None:
    world = World()
    await world.settle()
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    world.kube.at("Deployment", "orders")["status"] |= {"conditions": [late], "updatedReplicas": 1}
    await world.reconcile()
    found = world.conditions("DBProxy", "orders")
    assert found["Stalled"] == ("True", "ProgressDeadlineExceeded")
    assert found["Ready"] == ("True", "Ready")


async def test_a_rollout_that_nobody_carries_out_is_stalled() -> None:
    world = World()
    await world.settle()
    world.kube.at("Deployment", "orders")["status"]["observedGeneration"] = 0
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Reconciling"] == ("True", "RollingOut")
    world.now += 1200
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "RollingOut")


async def test_ready_pods_that_report_nothing_are_named_with_what_to_check() -> None:
    world = World()
    await world.settle()
    del world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["proxies"][1]
    await world.reconcile()
    world.now += 60
    await world.reconcile()
    for kind, name in (
        ("DBProxy", "orders"),
        ("DBProxyTargetGroup", "orders-db"),
        ("DBProxyEndpoint", "orders-ro"),
    ):
        stalled = status.conditions_of(world.kube.at(kind, name))["Stalled"]
        assert (stalled["status"], stalled["reason"]) == ("True", "WaitingForReports"), kind
        assert stalled["message"].endswith(": orders-1")
        assert "NetworkPolicies" in stalled["message"]
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")
    assert len(world.events("WaitingForReports")) == 3


async def test_pods_that_give_nothing_back_are_named() -> None:
    world = World()
    await world.settle()
    world.change(replicas=4)
    await world.reconcile()
    world.now += 300
    await world.reconcile()
    stalled = status.conditions_of(world.kube.at("DBProxy", "orders"))["Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "WaitingForAcknowledgement")
    assert stalled["message"].endswith(": orders-0 (up to 33%), orders-1 (up to 33%)")


async def test_a_proxy_that_grows_or_loses_a_pod_stays_ready_while_it_serves() -> None:
    world = World()
    await world.settle()
    pods(world)[0]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    await world.reconcile()
    found = world.conditions("DBProxy", "orders")
    assert found["Ready"] == ("True", "Ready")
    assert found["Reconciling"] == ("True", "PodsNotReady")
    for pod in pods(world):
        pod["status"]["conditions"] = []
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("False", "PodsNotReady")


async def test_an_endpoint_for_readers_tells_that_it_refuses_where_there_are_none() -> None:
    world = World()
    await world.settle()
    group = world.kube.at("DBProxyTargetGroup", "orders-db")
    group["spec"]["targets"] = group["spec"]["targets"][:1]
    await world.settle()
    found = world.conditions("DBProxyEndpoint", "orders-ro")
    assert found["Ready"] == ("False", "NoReader")
    assert "orders-db" in message(world, "DBProxyEndpoint", "orders-ro")
    world.now += 60
    await world.reconcile()
    assert world.conditions("DBProxyEndpoint", "orders-ro")["Stalled"] == ("True", "NoReader")


async def test_a_rotation_is_done_when_all_pods_report_the_secret_of_it() -> None:
    world = World()
    await world.settle()
    said(world)[0]["secretRevision"], said(world)[1]["secretRevision"] = 1, 2**52
    await world.reconcile()
    reconciling = status.conditions_of(world.kube.at("DBProxy", "orders"))["Reconciling"]
    assert (reconciling["status"], reconciling["reason"]) == ("True", "WaitingForPods")
    assert reconciling["message"].endswith(": orders-0")
    said(world)[0]["secretRevision"] = 2**52
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Reconciling"] == ("False", "Done")


async def test_more_pods_than_wanted_are_not_shown() -> None:
    world = World()
    await world.settle()
    world.kube.put({**pods(world)[0], "metadata": {**pods(world)[0]["metadata"], "name": "new"}})
    await world.reconcile()
    assert world.kube.at("DBProxy", "orders")["status"]["ready"] == "2/2"


async def test_pods_that_may_not_be_created_are_told(world: World) -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}
    world.kube.at("Deployment", "orders")["status"]["conditions"] = [refused]
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("False", "PodsRefused")
    assert "violates PodSecurity" in message(world)


async def test_a_target_without_a_connection_for_any_pod_is_stalled() -> None:
    world = World()
    await world.settle()
    group = world.kube.at("DBProxyTargetGroup", "orders-db")
    for entry in group["status"]["proxies"]:
        entry["targets"][0]["usableConnections"] = 2
    await world.reconcile()
    assert world.conditions("DBProxyTargetGroup", "orders-db")["Stalled"] == ("True", "Budget")
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "Budget")


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


async def test_a_proxy_whose_group_cannot_be_served_waits_for_no_report() -> None:
    """Pods of an older image have nowhere to report without a target group."""
    world = World()
    world.kube.at("DBProxyTargetGroup", "orders-db")["spec"]["tls"] = {
        "mode": "REQUIRED",
        "caSecretRef": {"name": "not-there"},
    }
    for _ in range(3):
        await world.reconcile()
        world.play()
        world.kube.at("DBProxyTargetGroup", "orders-db")["status"].pop("proxies", None)
    await world.reconcile()
    assert world.settings()["targetGroup"] is None
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")
    assert world.conditions("DBProxyTargetGroup", "orders-db")["Ready"] == (
        "False",
        "SecretNotFound",
    )
