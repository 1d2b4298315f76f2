"""What a pass doesn't read, and that nothing is decided wrongly from that."""

import copy
import json

import pytest
from tests.composed import KEY
from tests.resources import Object
from tests.unit.dbproxy_operator.world import SECRET, World

from dbproxy_operator.kube import ConflictError, KubeError
from dbproxy_operator.observe.recall import KEPT

OUTPUTS = [
    ("ServiceAccount", "orders-proxy"),
    ("Role", "orders-proxy"),
    ("RoleBinding", "orders-proxy"),
    ("ConfigMap", "orders-ca"),
    ("PodDisruptionBudget", "orders"),
]
PRESUMED = [*OUTPUTS, ("Service", "orders")]
ROOTS = [
    ("Secret", "orders-config"),
    ("ConfigMap", "orders-config"),
    ("Secret", "orders-ca-key"),
    ("Deployment", "orders"),
]


@pytest.fixture
def world() -> World:
    return World()


def forget(world: World) -> None:
    """As after a restore, but under the same UID: nothing was told of the DBProxy yet, and nothing
    is remembered of it."""
    world.now += KEPT
    world.kube.at("DBProxy", "orders")["status"] = {"observedGeneration": -1}


async def test_of_a_new_proxy_only_the_roots_are_looked_for(world: World) -> None:
    forget(world)
    await world.reconcile()
    assert set(ROOTS) <= set(world.kube.reads)
    assert not set(PRESUMED) & set(world.kube.reads)
    assert "Service" not in world.kube.lists


@pytest.mark.parametrize("ref", PRESUMED, ids=lambda ref: str(ref[0]))
async def test_a_foreign_object_that_was_presumed_absent_is_found_in_the_same_pass(
    world: World, ref: tuple[str, str]
) -> None:
    foreign = world.kube.put({"kind": ref[0], "metadata": {"name": ref[1]}, "data": {"x": "y"}})
    await world.reconcile()
    assert world.kube.at(*ref) == foreign
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "NameTaken")
    del world.kube.objects[ref[0], "shop", ref[1]]
    await world.settle()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


@pytest.mark.parametrize("root", ROOTS, ids=lambda ref: "/".join(ref))
async def test_any_root_that_is_there_has_everything_read(
    world: World, root: tuple[str, str]
) -> None:
    await world.settle()
    forget(world)
    kept: list[Object] = [copy.deepcopy(world.kube.at(*ref)) for ref in PRESUMED]
    for ref in ROOTS:
        if ref != root:
            del world.kube.objects[ref[0], "shop", ref[1]]
    world.kube.reads.clear()
    await world.reconcile()
    assert set(OUTPUTS) <= set(world.kube.reads)
    for ref, before in zip(PRESUMED, kept, strict=True):
        assert world.kube.at(*ref)["metadata"]["uid"] == before["metadata"]["uid"]
    await world.settle()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_what_outlived_the_roots_is_still_the_proxys(world: World) -> None:
    """All are gone from which everything else is made; what nobody looked for is there."""
    await world.settle()
    forget(world)
    before = {ref: world.kube.at(*ref)["metadata"]["uid"] for ref in PRESUMED}
    for ref in ROOTS:
        del world.kube.objects[ref[0], "shop", ref[1]]
    await world.settle()
    assert {ref: world.kube.at(*ref)["metadata"]["uid"] for ref in PRESUMED} == before
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_a_root_that_is_not_shown_is_no_sign_of_a_new_proxy(world: World) -> None:
    world.kube.fail = lambda verb, _kind, name: (
        KubeError(500, "no key to decrypt it") if (verb, name) == ("get", "orders-ca-key") else None
    )
    await world.reconcile()
    assert ("ServiceAccount", "orders-proxy") in world.kube.reads
    assert ("ConfigMap", "shop", "orders-ca") not in world.kube.objects


async def test_services_are_read_by_one_list(world: World) -> None:
    await world.settle()
    world.kube.reads.clear()
    await world.reconcile()
    assert "Service" not in {kind for kind, _ in world.kube.reads}


async def test_a_service_whose_label_was_taken_off_gets_it_back(world: World) -> None:
    await world.settle()
    for name in ("orders", "orders-ro"):
        world.kube.at("Service", name)["metadata"]["labels"] = {}
    await world.reconcile()
    for name in ("orders", "orders-ro"):
        assert world.kube.at("Service", name)["metadata"]["labels"]["dbproxy.dev/proxy"] == "orders"
    assert world.conditions("DBProxyEndpoint", "orders-ro")["Ready"] == ("True", "Ready")


async def settled() -> World:
    world = World()
    await world.settle()
    await world.reconcile()
    world.kube.reads.clear()
    return world


async def test_what_nobody_changed_is_not_read_again_before_the_resync() -> None:
    world = await settled()
    await world.reconcile()
    assert sorted(world.kube.reads) == sorted([("DBProxy", "orders"), *ROOTS])
    world.now += KEPT
    await world.reconcile()
    assert {*OUTPUTS, ("Secret", "app")} <= set(world.kube.reads)


@pytest.mark.parametrize("ref", OUTPUTS, ids=lambda ref: str(ref[0]))
async def test_an_output_that_is_deleted_is_made_again_once_the_watch_tells(
    ref: tuple[str, str],
) -> None:
    world = await settled()
    del world.kube.objects[ref[0], "shop", ref[1]]
    await world.reconcile()
    assert ref in world.kube.reads
    assert (ref[0], "shop", ref[1]) in world.kube.objects


async def test_an_output_that_is_changed_by_hand_is_put_back_once_the_watch_tells() -> None:
    world = await settled()
    rules = copy.deepcopy(world.kube.at("Role", "orders-proxy")["rules"])
    world.kube.at("Role", "orders-proxy")["rules"] = []
    await world.reconcile()
    assert world.kube.at("Role", "orders-proxy")["rules"] == rules


async def test_an_output_that_is_replaced_unseen_is_read_after_the_conflict() -> None:
    """The watch has not told yet of another Role of that name, and ours is to change."""
    world = await settled()
    foreign = {"kind": "Role", "metadata": {"name": "orders-proxy"}, "rules": []}
    put = world.kube.put(foreign)
    world.watched["Role", "shop", "orders-proxy"] = json.dumps(put)
    election = {"configMapRef": {"name": "elected"}}
    world.kube.at("DBProxyTargetGroup", "orders-db")["spec"]["writerElection"] = election
    with pytest.raises(ConflictError):
        await world.reconcile()
    await world.reconcile()
    assert world.kube.at("Role", "orders-proxy")["rules"] == []
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "NameTaken")


async def test_a_rotated_password_is_read_once_the_watch_tells() -> None:
    world = await settled()
    world.kube.put(SECRET | {"data": SECRET["data"] | {"password": "cm90YXRlZA=="}})
    await world.reconcile()
    assert world.credentials()["users"][0]["password"] == "rotated"


async def test_what_is_watched_by_its_label_is_not_remembered_without() -> None:
    """Nobody would tell that it is gone."""
    world = World()
    world.kube.put({"kind": "Role", "metadata": {"name": "orders-proxy"}, "rules": []})
    await world.reconcile()
    del world.kube.objects["Role", "shop", "orders-proxy"]
    world.watched.clear()
    await world.reconciler(KEY)
    assert world.kube.at("Role", "orders-proxy")["rules"]
