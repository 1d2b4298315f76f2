"""A whole reconcile against an API server in memory: order, faults, interruptions, rest."""

import base64
import contextlib
import json
from typing import Any

import pytest
from tests.composed import KEY, MATERIAL, NOW
from tests.resources import Object, endpoint, group, proxy, targets
from tests.unit.dbproxy_operator.fake_kube import FakeKube, Killed

from dbproxy_operator.act.apply import Performer
from dbproxy_operator.act.memory import Memory
from dbproxy_operator.decide.configuration import Defaults
from dbproxy_operator.desired.deployment import PodDefaults
from dbproxy_operator.kube import ConflictError
from dbproxy_operator.reconcile import Reconciler
from dbproxy_operator.tell import status
from dbproxy_operator.tell.posting import Teller
from dbproxy_operator.tell.status import LOOK_AGAIN

SECRET: Object = {
    "kind": "Secret",
    "metadata": {"name": "app"},
    "type": "kubernetes.io/basic-auth",
    "data": {
        "username": base64.b64encode(b"app").decode(),
        "password": base64.b64encode(b"p").decode(),
    },
}


class World:
    """A cluster with one proxy, its group and endpoint, and pods that are played."""

    def __init__(self, operator_class: str = "") -> None:
        self.kube = FakeKube()
        self.now = NOW
        # What pods say: the usable connections of the target, and a divisor of their own.
        self.usable: int | None = None
        self.divisors: dict[str, int] = {}
        # The newest format that each reads, where that is not the first.
        self.formats: dict[str, int] = {}
        self.proxy = self.kube.put(proxy())
        self.kube.put(group(targets=targets(2)))
        self.kube.put(endpoint())
        self.kube.put(SECRET)
        defaults = Defaults(PodDefaults("proxy:1"), MATERIAL, b"f" * 32, "cluster.local")
        kube: Any = self.kube

        def clock() -> float:
            return self.now

        self.reconciler = Reconciler(
            kube,
            lambda: defaults,
            clock,
            Performer(kube, Memory(clock)),
            Teller(kube, clock, "op-1"),
            operator_class,
        )

    async def reconcile(self) -> float | None:
        return await self.reconciler(KEY)

    async def settle(self, passes: int = 10) -> None:
        """Until a pass changes nothing, although the pods have seen all there is."""
        self.play()
        for _ in range(passes):
            before = len(self.kube.stored)
            await self.reconcile()
            self.play()
            if len(self.kube.stored) == before:
                return
        raise AssertionError("it does not come to rest")

    def play(self) -> None:
        """What the Deployment controller and the pods would do."""
        deployment = self.kube.objects.get(("Deployment", "shop", "orders"))
        settings = self.kube.objects.get(("ConfigMap", "shop", "orders-config"))
        if deployment is None or settings is None:
            return
        wanted = deployment["spec"]["replicas"]
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "updatedReplicas": wanted,
            "replicas": wanted,
        }
        names = [f"orders-{number}" for number in range(wanted)]
        for key in [key for key in self.kube.objects if key[0] == "Pod" and key[2] not in names]:
            del self.kube.objects[key]
        for name in names:
            if ("Pod", "shop", name) not in self.kube.objects:
                self.kube.put(pod(name, deployment))
        group_now = self.kube.objects.get(("DBProxyTargetGroup", "shop", "orders-db"))
        said = json.loads(settings["data"]["settings.json"])
        if group_now is not None and said["reportTo"] is not None:
            others = [
                entry
                for entry in group_now.get("status", {}).get("proxies", [])
                if entry["pod"] not in names
            ]
            reports = [self.report(name, said) for name in names]
            group_now.setdefault("status", {})["proxies"] = others + reports

    def change(self, **spec: Any) -> None:
        """What the user does to the DBProxy."""
        proxy = self.kube.at("DBProxy", "orders")
        proxy["spec"] |= spec
        proxy["metadata"]["generation"] += 1

    def report(self, name: str, settings: Any) -> Object:
        made = report(name, settings)
        for target in made.get("targets", ()):
            target["usableConnections"] = self.usable
        made["formatVersion"] = self.formats.get(name, 1)
        return made | {"budgetDivisor": self.divisors.get(name, made["budgetDivisor"])}

    def conditions(self, kind: str, name: str) -> dict[str, tuple[str, str]]:
        found = status.conditions_of(self.kube.at(kind, name))
        return {one: (said["status"], said["reason"]) for one, said in found.items()}

    def settings(self) -> dict[str, Any]:
        text = self.kube.at("ConfigMap", "orders-config")["data"]["settings.json"]
        return dict(json.loads(text))

    def credentials(self) -> dict[str, Any]:
        text = self.kube.at("Secret", "orders-config")["data"]["credentials.json"]
        return dict(json.loads(base64.b64decode(text)))

    def events(self, reason: str) -> list[Object]:
        return [
            obj
            for (kind, _, _), obj in self.kube.objects.items()
            if kind == "Event" and obj["reason"] == reason
        ]


ROLES = ("READ_WRITE", "READ_ONLY")


def pod(name: str, deployment: Object) -> Object:
    template = deployment["spec"]["template"]
    owner = {"kind": "ReplicaSet", "name": "orders-5d", "uid": "rs", "controller": True}
    metadata = {
        "name": name,
        "labels": {**template["metadata"]["labels"], "pod-template-hash": "5d"},
        "ownerReferences": [owner],
    }
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": template["spec"],
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def report(name: str, settings: Any) -> Object:
    served = settings["targetGroup"]
    seen: Object = (
        {}
        if served is None
        else {
            "writer": {"target": "db-0", "uid": "", "epoch": 0}
            | (served["writerFloor"] or {})
            | {"state": "OPEN"},
            "targets": [
                {"name": target["name"], "role": role, "state": "AVAILABLE"}
                for target, role in zip(served["targets"], ROLES, strict=False)
            ],
        }
    )
    return {
        **seen,
        "pod": name,
        "revision": settings["revision"],
        "generation": settings["proxy"]["generation"],
        "groupGeneration": served["generation"] if served else 0,
        "budgetDivisor": settings["budgetDivisor"],
        "listeners": [listener["port"] for listener in settings["listeners"]],
    }


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
        assert len(world.events("PodsNotReady")) <= 3


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
