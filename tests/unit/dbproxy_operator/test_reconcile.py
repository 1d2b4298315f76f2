"""A whole reconcile against an API server in memory: order, faults, interruptions, rest."""

import contextlib

import pytest
from tests.resources import Object, group
from tests.unit.dbproxy_operator.fake_kube import Killed
from tests.unit.dbproxy_operator.world import World

from dbproxy_operator.kube import ConflictError
from dbproxy_operator.tell.status import LOOK_AGAIN


@pytest.fixture
def world() -> World:
    return World()


async def test_all_three_become_ready(world: World) -> None:
    await world.settle()
    for kind, name in (
        ("DBProxy", "orders"),
        ("DBProxyTargetGroup", "orders-db"),
        ("DBProxyEndpoint", "orders-ro"),
    ):
        assert world.conditions(kind, name)["Ready"] == ("True", "Ready"), kind
    found = world.kube.at("DBProxy", "orders")["status"]
    assert (found["ready"], found["healthyTargets"], found["writer"]) == ("2/2", "2/2", "db-0")
    assert found["endpoint"] == "orders.shop.svc:5432"


async def test_at_rest_nothing_is_stored(world: World) -> None:
    await world.settle()
    before = len(world.kube.stored)
    world.now += 3600
    for _ in range(5):
        await world.reconcile()
    assert len(world.kube.stored) == before


async def test_at_rest_nothing_is_written_but_once_an_hour(world: World) -> None:
    await world.settle()
    before = len(world.kube.calls)
    for _ in range(5):
        world.now += 60
        await world.reconcile()
    assert len(world.kube.calls) == before
    world.now += 3600
    await world.reconcile()
    assert len(world.kube.calls) > before


async def test_pods_are_listed_once_in_a_pass(world: World) -> None:
    await world.settle()
    before = world.kube.lists.count("Pod")
    await world.reconcile()
    assert world.kube.lists.count("Pod") == before + 1


async def test_an_older_api_server_that_selects_by_no_field_is_asked_for_all(world: World) -> None:
    world.kube.selects_fields = False
    other = group(proxyRef={"name": "other"})
    world.kube.put({**other, "metadata": {"name": "other-db"}})
    await world.settle()
    assert world.conditions("DBProxyTargetGroup", "orders-db")["Ready"] == ("True", "Ready")
    assert "status" not in world.kube.at("DBProxyTargetGroup", "other-db")


async def test_what_was_changed_by_hand_is_repaired_at_once(world: World) -> None:
    await world.settle()
    world.kube.at("Service", "orders")["spec"]["ports"][0]["port"] = 1
    await world.reconcile()
    assert world.kube.at("Service", "orders")["spec"]["ports"][0]["port"] == 5432


async def test_a_foreign_object_that_comes_in_between_is_left_as_it_is(world: World) -> None:
    """Somebody creates `orders-ca` after it was seen to be absent and before ours is written."""
    await world.settle()
    del world.kube.objects["ConfigMap", "shop", "orders-ca"]
    foreign: Object = {"kind": "ConfigMap", "metadata": {"name": "orders-ca"}, "data": {"x": "y"}}
    absent = world.kube.get

    async def get(kind: str, namespace: str, name: str) -> Object | None:
        found = await absent(kind, namespace, name)
        if (kind, name) == ("ConfigMap", "orders-ca") and found is None:
            world.kube.put(foreign)
        return found

    world.kube.get = get  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        await world.reconcile()
    await world.reconcile()
    left = world.kube.at("ConfigMap", "orders-ca")
    assert left["data"] == {"x": "y"}
    assert "ownerReferences" not in left["metadata"]
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "NameTaken")


async def test_the_secret_is_written_before_the_settings_and_both_before_the_deployment(
    world: World,
) -> None:
    await world.reconcile()
    order = [(kind, name) for verb, kind, name in world.kube.stored if verb == "apply"]
    secret = order.index(("Secret", "orders-config"))
    config_map = order.index(("ConfigMap", "orders-config"))
    assert secret < config_map < order.index(("Deployment", "orders"))


async def test_without_its_secret_neither_settings_nor_pods_are_made(world: World) -> None:
    world.kube.refuse = lambda obj: (
        "too large"
        if (obj["kind"], obj["metadata"]["name"]) == ("Secret", "orders-config")
        else None
    )
    again = await world.reconcile()
    assert ("ConfigMap", "shop", "orders-config") not in world.kube.objects
    assert ("Deployment", "shop", "orders") not in world.kube.objects
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "Refused")
    assert again == LOOK_AGAIN


async def test_a_template_that_is_refused_is_stalled_with_one_event(world: World) -> None:
    await world.settle()
    world.change(image="proxy:2")
    world.kube.refuse = lambda obj: "no such thing" if obj["kind"] == "Deployment" else None
    for _ in range(3):
        world.now += 20
        await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "InvalidTemplate")
    assert len(world.events("InvalidTemplate")) == 1
    world.kube.refuse = lambda _obj: None
    await world.settle()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_an_endpoint_gets_its_service_only_after_all_pods_listen(world: World) -> None:
    await world.reconcile()
    assert ("Service", "shop", "orders-ro") not in world.kube.objects
    assert world.kube.at("DBProxyEndpoint", "orders-ro")["status"]["port"] == 15433
    world.play()
    await world.reconcile()
    (port,) = world.kube.at("Service", "orders-ro")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (5432, 15433)


@pytest.mark.parametrize(
    ("family", "number", "protocol"), [("POSTGRESQL", 5432, "postgresql"), ("MYSQL", 3306, "mysql")]
)
async def test_services_and_status_are_of_the_family(
    world: World, family: str, number: int, protocol: str
) -> None:
    world.proxy["spec"]["engineFamily"] = family
    await world.settle()
    for service in ("orders", "orders-ro"):
        (port,) = world.kube.at("Service", service)["spec"]["ports"]
        assert (port["name"], port["port"], port["appProtocol"]) == ("database", number, protocol)
    assert world.kube.at("DBProxy", "orders")["status"]["endpoint"] == f"orders.shop.svc:{number}"
    targets = world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["targets"]
    assert {target["port"] for target in targets} == {number}
    assert {target["port"] for target in world.settings()["targetGroup"]["targets"]} == {number}


async def test_what_the_family_has_not_stalls_the_group_and_leaves_it_as_it_was(
    world: World,
) -> None:
    world.proxy["spec"]["engineFamily"] = "MYSQL"
    await world.settle()
    group = world.kube.at("DBProxyTargetGroup", "orders-db")
    group["spec"]["connectionPoolConfig"] = {"maxConnectionsPerDatabase": 8}
    group["metadata"]["generation"] += 1
    await world.settle()
    assert world.conditions("DBProxyTargetGroup", "orders-db")["Stalled"] == ("True", "InvalidSpec")
    served = world.settings()["targetGroup"]["connectionPoolConfig"]
    assert served["maxConnectionsPerDatabase"] is None


async def test_the_word_of_pods_that_are_gone_is_taken_from_them(world: World) -> None:
    await world.settle()
    said = world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["proxies"]
    said += [{"pod": "gone"}, {"pod": "x" * 200}]
    await world.reconcile()
    left = world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["proxies"]
    assert [entry["pod"] for entry in left] == ["orders-0", "orders-1"]


async def test_groups_and_endpoints_outlive_their_proxy(world: World) -> None:
    await world.settle()
    del world.kube.objects["DBProxy", "shop", "orders"]
    wait = await world.reconcile()
    assert wait == 60
    for kind, name in (("DBProxyTargetGroup", "orders-db"), ("DBProxyEndpoint", "orders-ro")):
        assert world.conditions(kind, name)["Ready"] == ("False", "ProxyNotFound")
    assert world.kube.at("DBProxyEndpoint", "orders-ro")["status"]["port"] == 15433
    assert world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["writer"]["target"] == "db-0"
    world.now += 61
    await world.reconcile()
    assert world.conditions("DBProxyEndpoint", "orders-ro")["Stalled"][0] == "True"


async def test_a_foreign_key_is_removed_and_a_lost_child_comes_back(world: World) -> None:
    await world.settle()
    world.kube.at("ConfigMap", "orders-config")["data"]["evil"] = "1"
    del world.kube.objects["PodDisruptionBudget", "shop", "orders"]
    await world.settle()
    assert list(world.kube.at("ConfigMap", "orders-config")["data"]) == ["settings.json"]
    assert ("PodDisruptionBudget", "shop", "orders") in world.kube.objects


async def test_a_service_of_that_name_is_never_taken(world: World) -> None:
    foreign = world.kube.put(
        {"kind": "Service", "metadata": {"name": "orders"}, "spec": {"ports": [{"port": 1}]}}
    )
    await world.reconcile()
    assert world.kube.at("Service", "orders") == foreign
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "NameTaken")
    assert len(world.events("NameTaken")) == 1


async def test_however_often_it_is_killed_it_ends_at_the_same_place() -> None:
    whole = World()
    await whole.settle()
    expected = {key for key in whole.kube.objects if key[0] not in ("Event", "Pod")}
    for calls in range(0, len(whole.kube.calls), 3):
        world = World()
        world.kube.calls_left = calls
        with contextlib.suppress(Killed):
            await world.settle(20)
        world.kube.calls_left = None
        await world.settle()
        assert {key for key in world.kube.objects if key[0] not in ("Event", "Pod")} == expected
        assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")
        assert len(world.events("Ready")) <= 3


async def test_what_is_of_another_class_is_left_to_its_operator() -> None:
    for ours, theirs in (("", "team-a"), ("team-a", ""), ("team-a", "team-b")):
        world = World(ours)
        if theirs:
            world.proxy["spec"]["operatorClass"] = theirs
        world.kube.objects["DBProxy", "shop", "orders"]["spec"] = world.proxy["spec"]
        await world.reconcile()
        assert not world.kube.stored, (ours, theirs)


async def test_a_class_serves_its_own() -> None:
    world = World("team-a")
    world.kube.objects["DBProxy", "shop", "orders"]["spec"]["operatorClass"] = "team-a"
    await world.settle()
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_groups_without_a_proxy_are_told_by_the_operator_without_a_class() -> None:
    told, silent = World(), World("team-a")
    for world in (told, silent):
        del world.kube.objects["DBProxy", "shop", "orders"]
        await world.reconcile()
    assert told.kube.stored
    assert not silent.kube.stored
