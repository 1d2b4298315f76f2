"""Children whose owner is gone: taken up again without an outage, and nothing foreign with them."""

import copy
from typing import Any

import pytest
from tests.resources import Object, endpoint, proxy
from tests.unit.dbproxy_operator.world import World

LABELS = {
    "app.kubernetes.io/name": "dbproxy",
    "app.kubernetes.io/instance": "orders",
    "app.kubernetes.io/managed-by": "dbproxy-operator",
    "dbproxy.dev/proxy": "orders",
}
APPLIED = [{"manager": "dbproxy-operator", "operation": "Apply"}]


@pytest.fixture
async def world() -> World:
    world = World()
    await world.settle()
    return world


def children(world: World, kind: str = "") -> list[Object]:
    """But for pods: those are the Deployment's."""
    return [
        obj
        for obj in world.kube.objects.values()
        if obj["metadata"].get("ownerReferences")
        and obj["kind"] != "Pod"
        and kind in ("", obj["kind"])
    ]


def recreate(world: World, *, orphaned: bool, **spec: Any) -> None:
    """Delete DBProxy and endpoint, and make them anew before the garbage collector comes."""
    if orphaned:
        for obj in children(world):
            obj["metadata"]["ownerReferences"] = []
    for made in (proxy(**spec), endpoint()):
        del world.kube.objects[made["kind"], "shop", made["metadata"]["name"]]
        world.kube.put(made)


@pytest.mark.parametrize("orphaned", [True, False])
async def test_all_are_taken_up_as_they_are(world: World, orphaned: bool) -> None:
    before = {key: obj["metadata"]["uid"] for key, obj in world.kube.objects.items()}
    template = copy.deepcopy(world.kube.at("Deployment", "orders")["spec"])
    secret = copy.deepcopy(world.kube.at("Secret", "orders-config")["data"])
    authority = copy.deepcopy(world.kube.at("Secret", "orders-ca-key")["data"])
    revision = world.settings()["revision"]
    recreate(world, orphaned=orphaned)
    await world.settle()
    owners = {"DBProxy", "DBProxyEndpoint"}
    for obj in children(world):
        ref = (obj["kind"], "shop", obj["metadata"]["name"])
        assert obj["metadata"]["uid"] == before[ref]
        (owner,) = obj["metadata"]["ownerReferences"]
        assert owner["uid"] == world.kube.at(owner["kind"], owner["name"])["metadata"]["uid"]
        owners.discard(owner["kind"])
    assert owners == set()
    assert world.kube.at("Deployment", "orders")["spec"] == template
    assert world.kube.at("Secret", "orders-config")["data"] == secret
    assert world.kube.at("Secret", "orders-ca-key")["data"] == authority
    assert world.settings()["revision"] > revision
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_pods_of_another_family_are_replaced(world: World) -> None:
    pod = world.kube.at("Deployment", "orders")["spec"]["template"]["spec"]
    recreate(world, orphaned=False, engineFamily="MYSQL")
    del world.kube.objects["Secret", "shop", "app"]
    await world.settle()
    template = world.kube.at("Deployment", "orders")["spec"]["template"]
    assert template["metadata"]["annotations"]["dbproxy.dev/engine-family"] == "MYSQL"
    assert template["spec"] == pod
    assert world.settings()["engineFamily"] == "MYSQL"
    # As it was kept: in words that the new pods know.
    (user,) = world.credentials()["users"]
    assert user["clientPasswordAuthType"] == "MYSQL_CACHING_SHA2_PASSWORD"


async def test_an_object_that_is_being_deleted_is_waited_for(world: World) -> None:
    recreate(world, orphaned=False)
    world.kube.at("Service", "orders")["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("False", "NameTaken")


def planted(kind: str, name: str) -> Object:
    """Looks in every way as if the operator had made it, before there was a DBProxy."""
    metadata = {"name": name, "labels": LABELS, "managedFields": APPLIED}
    return {"kind": kind, "metadata": metadata, "data": {}, "spec": {"ports": []}}


@pytest.mark.parametrize(
    "ref", [("Secret", "orders-ca-key"), ("Secret", "orders-config"), ("ConfigMap", "orders-ca")]
)
async def test_what_somebody_laid_out_is_not_taken_up_without_pods(ref: tuple[str, str]) -> None:
    world = World()
    world.kube.put(planted(*ref))
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "NameTaken")
    assert world.kube.at(*ref)["data"] == {}


async def test_nothing_is_taken_up_once_the_deployment_is_the_proxys(world: World) -> None:
    del world.kube.objects["Secret", "shop", "orders-ca-key"]
    world.kube.put(planted("Secret", "orders-ca-key"))
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "NameTaken")


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {**LABELS, "dbproxy.dev/proxy": "other"}},
        {"managedFields": [{"manager": "kubectl", "operation": "Apply"}]},
        {"managedFields": [{"manager": "dbproxy-operator", "operation": "Update"}]},
        {"ownerReferences": [{"kind": "DBProxy", "name": "x", "uid": "y", "controller": True}]},
        {"ownerReferences": [{"kind": "Job", "name": "orders", "uid": "y", "controller": True}]},
    ],
)
async def test_a_deployment_that_is_not_quite_an_orphan_is_foreign(
    world: World, change: Object
) -> None:
    recreate(world, orphaned=True)
    world.kube.at("Deployment", "orders")["metadata"] |= change
    before = copy.deepcopy(world.kube.at("Deployment", "orders"))
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("False", "NameTaken")
    assert world.kube.at("Deployment", "orders") == before
