"""What can't be resolved or read takes nothing from the pods: whole reconciles."""

import base64
from typing import Any

import pytest
from tests.composed import NOW
from tests.resources import Object, group, targets
from tests.unit.dbproxy_operator.world import World


@pytest.fixture
async def world() -> World:
    """A proxy that serves."""
    world = World()
    await world.settle()
    return world


def change(world: World, kind: str, name: str, **spec: Any) -> None:
    obj = world.kube.at(kind, name)
    obj["spec"] |= spec
    obj["metadata"]["generation"] += 1


def secret(name: str, **data: str) -> Object:
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/basic-auth",
        "data": encoded,
    }


UNRESOLVED: dict[str, tuple[Object, str]] = {
    "its CA is not there yet": (
        {"tls": {"mode": "REQUIRED", "caSecretRef": {"name": "db-ca"}}},
        "SecretNotFound",
    ),
    "its CA is no certificate": (
        {"tls": {"mode": "PREFERRED", "caSecretRef": {"name": "broken"}}},
        "InvalidCertificate",
    ),
    "its spec can't be read": ({"tls": {"mode": "OF_TOMORROW"}}, "InvalidSpec"),
}


@pytest.mark.parametrize("case", UNRESOLVED)
async def test_a_group_is_served_as_before_when(world: World, case: str) -> None:
    before = world.settings()["targetGroup"]
    world.kube.put(secret("broken", **{"ca.crt": "x"}))
    spec, reason = UNRESOLVED[case]
    change(world, "DBProxyTargetGroup", "orders-db", **spec, targets=targets(2))
    await world.settle()
    assert world.settings()["targetGroup"] == before
    told = world.conditions("DBProxyTargetGroup", "orders-db")
    assert told["Ready"] == ("False", reason)
    assert told["TargetsAvailable"] == ("True", "AllAvailable")
    assert told["WriterKnown"] == ("True", "WriterKnown")
    assert world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["writer"]["target"] == "db-0"
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_the_group_follows_its_spec_again_once_it_can_be_read(world: World) -> None:
    change(world, "DBProxyTargetGroup", "orders-db", tls={"mode": "OF_TOMORROW"})
    await world.settle()
    change(world, "DBProxyTargetGroup", "orders-db", tls={"mode": "REQUIRED"}, targets=targets(2))
    await world.settle()
    served = world.settings()["targetGroup"]
    assert (served["generation"], len(served["targets"])) == (3, 2)
    assert served["tls"] == {"mode": "REQUIRED"}


async def test_only_a_group_that_does_not_exist_is_taken_from_the_pods(world: World) -> None:
    del world.kube.objects["DBProxyTargetGroup", "shop", "orders-db"]
    await world.settle()
    assert world.settings()["targetGroup"] is None
    assert world.settings()["reportTo"] is None


async def test_pods_report_to_a_group_that_was_never_served() -> None:
    world = World()
    spec = {"tls": {"mode": "VERIFY_CA", "caSecretRef": {"name": "db-ca"}}}
    made = world.kube.put(group(**spec))
    await world.settle()
    assert world.settings()["targetGroup"] is None
    assert world.settings()["reportTo"] == {"name": "orders-db", "uid": made["metadata"]["uid"]}
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")
    assert world.conditions("DBProxyTargetGroup", "orders-db")["Ready"][1] == "SecretNotFound"


async def test_a_budget_still_changes_while_the_group_is_kept(world: World) -> None:
    change(world, "DBProxyTargetGroup", "orders-db", tls={"mode": "OF_TOMORROW"})
    change(world, "DBProxy", "orders", replicas=4)
    await world.settle()
    assert world.settings()["budgetDivisor"] == 5
    assert world.kube.at("Deployment", "orders")["spec"]["replicas"] == 4


async def test_the_election_of_a_kept_group_is_still_the_one_that_counts(world: World) -> None:
    election = {"kind": "ConfigMap", "metadata": {"name": "elected"}}
    world.kube.put(election | {"data": {"writer": "db-0", "epoch": "7"}})
    named = {"configMapRef": {"name": "elected"}}
    change(world, "DBProxyTargetGroup", "orders-db", writerElection=named)
    await world.settle()
    other = {"configMapRef": {"name": "another"}}
    spec = {"writerElection": other, "tls": {"mode": "OF_TOMORROW"}}
    change(world, "DBProxyTargetGroup", "orders-db", **spec)
    await world.settle()
    told = world.conditions("DBProxyTargetGroup", "orders-db")
    assert told["WriterKnown"] == ("True", "WriterKnown")
    rules = world.kube.at("Role", "orders-proxy")["rules"]
    assert ["orders-config", "elected"] in [rule["resourceNames"] for rule in rules]


async def test_the_monitor_of_a_kept_group_rotates(world: World) -> None:
    world.kube.put(secret("watch", username="watcher", password="one"))
    change(world, "DBProxyTargetGroup", "orders-db", monitorSecretRef={"name": "watch"})
    await world.settle()
    change(world, "DBProxyTargetGroup", "orders-db", tls={"mode": "OF_TOMORROW"})
    world.kube.put(secret("watch", username="watcher", password="two"))
    await world.settle()
    assert world.credentials()["monitor"] == {
        "name": "watcher",
        "password": "two",
        "previous": [{"password": "one", "validUntil": NOW + 300}],
        "secret": "watch",
    }
    world.now += 301
    await world.settle()
    assert world.credentials()["monitor"]["previous"] == []


async def test_a_monitor_that_never_came_leaves_the_first_user_probing(world: World) -> None:
    change(world, "DBProxyTargetGroup", "orders-db", monitorSecretRef={"name": "nowhere"})
    await world.settle()
    world.kube.put(secret("app", username="app", password="rotated"))
    await world.settle()
    monitor = world.credentials()["monitor"]
    assert (monitor["name"], monitor["password"]) == ("app", "rotated")


async def test_a_user_whose_secret_is_replaced_goes_on_until_the_new_one_is_there(
    world: World,
) -> None:
    world.kube.put(secret("other", username="other", password="p"))
    refs = {name: {"secretRef": {"name": name}} for name in ("app", "other", "later")}
    change(world, "DBProxy", "orders", auth=[refs["app"], refs["other"]])
    await world.settle()
    change(world, "DBProxy", "orders", auth=[refs["later"], refs["other"]])
    await world.settle()
    assert {user["name"] for user in world.credentials()["users"]} == {"app", "other"}
    assert world.conditions("DBProxy", "orders")["Ready"] == ("False", "SecretNotFound")
    world.kube.put(secret("later", username="app2", password="p"))
    await world.settle()
    assert {user["name"] for user in world.credentials()["users"]} == {"app2", "other"}


class TestAProxyWhoseSpecCannotBeRead:
    """What was served is rendered on: nothing of the new spec, but all that time and others do."""

    @pytest.fixture
    async def world(self, world: World) -> World:
        change(world, "DBProxy", "orders", engineFamily="OF_TOMORROW", replicas=7)
        await world.settle()
        return world

    async def test_it_is_told_and_nothing_of_it_counts(self, world: World) -> None:
        assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "InvalidSpec")
        assert world.settings()["proxy"]["generation"] == 1
        assert world.kube.at("Deployment", "orders")["spec"]["replicas"] == 2
        for kind, name in (("DBProxyTargetGroup", "orders-db"), ("DBProxyEndpoint", "orders-ro")):
            assert world.conditions(kind, name)["Ready"] == ("True", "Ready")

    async def test_a_password_still_rotates(self, world: World) -> None:
        world.kube.put(secret("app", username="app", password="rotated"))
        await world.settle()
        assert world.credentials()["users"][0]["password"] == "rotated"

    async def test_a_deleted_child_still_comes_back(self, world: World) -> None:
        template = world.kube.at("Deployment", "orders")["spec"]["template"]
        for ref in (
            ("Deployment", "orders"),
            ("Service", "orders-ro"),
            ("Secret", "orders-ca-key"),
        ):
            del world.kube.objects[ref[0], "shop", ref[1]]
        await world.settle()
        assert world.kube.at("Deployment", "orders")["spec"]["template"] == template
        assert ("Service", "shop", "orders-ro") in world.kube.objects

    async def test_its_certificate_is_still_renewed(self, world: World) -> None:
        before = world.kube.at("Secret", "orders-config")["data"]["tls.crt"]
        world.now += 61 * 86400
        await world.settle()
        assert world.kube.at("Secret", "orders-config")["data"]["tls.crt"] != before

    async def test_its_group_may_still_change(self, world: World) -> None:
        change(world, "DBProxyTargetGroup", "orders-db", targets=targets(2))
        await world.settle()
        assert len(world.settings()["targetGroup"]["targets"]) == 2


async def test_a_proxy_that_never_had_a_spec_makes_nothing() -> None:
    world = World()
    change(world, "DBProxy", "orders", engineFamily="OF_TOMORROW")
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "InvalidSpec")
    assert ("Deployment", "shop", "orders") not in world.kube.objects
