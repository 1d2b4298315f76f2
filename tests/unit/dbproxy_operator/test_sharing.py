"""The budget over whole reconciles: growth, refusals, and pods that are not ours."""

import pytest
from tests.unit.dbproxy_operator.world import World

from dbproxy_operator.tell import status


@pytest.fixture
def world() -> World:
    return World()


def replicas(world: World) -> int:
    return int(world.kube.at("Deployment", "orders")["spec"]["replicas"])


def message(world: World, kind: str) -> str:
    return str(status.conditions_of(world.kube.at("DBProxy", "orders"))[kind]["message"])


async def test_the_budget_is_divided_before_the_deployment_grows(world: World) -> None:
    await world.settle()
    world.change(replicas=4)
    await world.reconcile()
    assert world.settings()["budgetDivisor"] == 5
    assert replicas(world) == 2
    assert world.conditions("DBProxy", "orders")["Reconciling"] == (
        "True",
        "WaitingForAcknowledgement",
    )
    world.play()
    await world.reconcile()
    assert replicas(world) == 4
    await world.settle()
    world.change(replicas=2)
    await world.settle()
    assert world.settings()["budgetDivisor"] == 3


async def test_growth_waits_for_connections_and_not_for_settings(world: World) -> None:
    """The pods have applied the settings; pinned sessions keep what they had."""
    world.usable = 97
    await world.settle()
    world.divisors = {"orders-0": 3, "orders-1": 5}
    world.change(replicas=4)
    await world.settle()
    assert replicas(world) == 3
    assert "orders-0 (up to 30 of db-0, 30 of db-1)" in message(world, "Reconciling")
    world.divisors = {}
    await world.settle()
    assert replicas(world) == 4
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_more_pods_than_connections_are_refused_and_told(world: World) -> None:
    world.usable = 12
    await world.settle()
    world.change(replicas=100)
    await world.settle()
    assert replicas(world) == 3
    assert world.settings()["budgetDivisor"] == 4
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "Budget")
    assert "each of 3 pods" in message(world, "Stalled")
    assert world.conditions("DBProxyTargetGroup", "orders-db")["Ready"] == ("True", "Ready")
    world.change(replicas=3)
    await world.settle()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_a_pod_that_somebody_made_by_hand_counts_for_nothing(world: World) -> None:
    await world.settle()
    made = world.kube.at("Pod", "orders-0")
    labels = {"dbproxy.dev/proxy": "orders"}
    world.kube.put({**made, "metadata": {"name": "by-hand", "labels": labels}})
    foreign = {"kind": "ReplicaSet", "name": "other-5d", "uid": "other", "controller": True}
    labels = {**labels, "pod-template-hash": "5d"}
    metadata = {"name": "other", "labels": labels, "ownerReferences": [foreign]}
    world.kube.put({**made, "metadata": metadata})
    world.change(replicas=3)
    await world.reconcile()
    found = world.kube.at("DBProxy", "orders")["status"]
    assert (found["ready"], found["replicas"]) == ("2/3", 2)
    assert world.settings()["budgetDivisor"] == 4


async def test_a_pod_that_was_evicted_holds_nothing_any_more(world: World) -> None:
    """Kubernetes keeps the object of a pod that it evicted for lack of space."""
    await world.settle()
    evicted = world.kube.at("Pod", "orders-1")
    world.kube.put({**evicted, "metadata": {**evicted["metadata"], "name": "evicted"}})
    world.kube.at("Pod", "evicted")["status"] = {"phase": "Failed", "reason": "Evicted"}
    said = world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["proxies"]
    said.append({"pod": "evicted", "budgetDivisor": 3})
    await world.reconcile()
    left = world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["proxies"]
    assert [entry["pod"] for entry in left] == ["orders-0", "orders-1"]
