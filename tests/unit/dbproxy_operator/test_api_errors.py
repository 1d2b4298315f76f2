"""What the API server answers about one object stops no other, and is told as what it is."""

import dataclasses
from typing import Any

import pytest
from tests.unit.dbproxy_operator.world import World

from dbproxy_operator import reconcile
from dbproxy_operator.errors import Problem
from dbproxy_operator.kube import (
    ConflictError,
    KubeError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from dbproxy_operator.observe.recall import KEPT
from dbproxy_operator.tell import faults, status, verdicts
from dbproxy_operator.tell.status import LOOK_AGAIN, LOOK_AGAIN_LAST

HOOK = 'Internal error occurred: failed calling webhook "check.example.com"'
QUOTA = 'services "orders" is forbidden: exceeded quota: small, requested: services=1'
DENIED = 'admission webhook "check.example.com" denied the request: no team label'
TERMINATING = "unable to create new content in namespace shop because it is being terminated"
NO_RIGHT = 'services "orders" is forbidden: User "system:sa" cannot patch resource "services"'


@pytest.fixture
def world() -> World:
    return World()


def failing(world: World, kind: str, error: KubeError, name: str = "orders") -> None:
    world.kube.fail = lambda verb, its_kind, its_name: (
        error if (its_kind, its_name) == (kind, name) and verb in ("apply", "create") else None
    )


def hide(world: World, kind: str, name: str = "") -> None:
    """The API server doesn't show these objects, or that one, and none is remembered."""
    world.now += KEPT
    world.kube.fail = lambda verb, its_kind, its_name: (
        KubeError(500, "no key to decrypt it")
        if verb in ("get", "list") and its_kind == kind and name in ("", its_name)
        else None
    )


def message(world: World, kind: str, name: str, condition: str) -> str:
    return str(status.conditions_of(world.kube.at(kind, name))[condition]["message"])


ENDPOINT = ("DBProxyEndpoint", "orders-ro")
ERRORS = [
    KubeError(500, HOOK),
    KubeError(429, "too many requests"),
    KubeError(503, "the server is currently unable to handle the request"),
    UnreachableError(0, "TimeoutError: "),
    ConflictError(409, "the object has been modified"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.status))
async def test_one_child_that_fails_stops_no_other_and_everybody_is_told(
    world: World, error: KubeError
) -> None:
    failing(world, "Service", error)
    with pytest.raises(type(error)):
        await world.reconcile()
    assert ("Deployment", "shop", "orders") in world.kube.objects
    assert world.conditions("DBProxy", "orders")["Reconciling"] == ("True", "ApiError")
    assert error.message in message(world, "DBProxy", "orders", "Reconciling")
    assert "Service orders" in message(world, "DBProxy", "orders", "Reconciling")
    for kind, name in (("DBProxyTargetGroup", "orders-db"), ("DBProxyEndpoint", "orders-ro")):
        assert world.conditions(kind, name)["Reconciling"][0] == "True", kind


async def test_a_pass_that_fails_takes_the_word_from_pods_that_are_gone_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else their parts of the connections were kept as long as it fails."""
    await world.settle()
    status = world.kube.at("DBProxyTargetGroup", "orders-db")["status"]
    status["proxies"].append({**status["proxies"][0], "pod": "gone"})

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(reconcile, "intend", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        await world.reconcile()
    left = world.kube.at("DBProxyTargetGroup", "orders-db")["status"]["proxies"]
    assert sorted(entry["pod"] for entry in left) == ["orders-0", "orders-1"]


async def test_what_needs_the_object_that_failed_waits_for_it(world: World) -> None:
    failing(world, "Secret", KubeError(500, HOOK), "orders-config")
    with pytest.raises(KubeError):
        await world.reconcile()
    assert ("Service", "shop", "orders") in world.kube.objects
    assert ("ConfigMap", "shop", "orders-config") not in world.kube.objects
    assert ("Deployment", "shop", "orders") not in world.kube.objects


async def test_a_binding_waits_until_the_api_server_has_heard_of_its_role(
    world: World,
) -> None:
    deaf = iter([NotFoundError(404, 'rolebindings "orders-proxy" not found')] * 3)
    world.kube.fail = lambda verb, kind, _name: (
        next(deaf, None) if (verb, kind) == ("apply", "RoleBinding") else None
    )
    await world.reconcile()
    assert world.kube.at("RoleBinding", "orders-proxy")
    assert next(deaf, None) is None


async def test_an_error_that_stays_is_stalled_while_clients_are_served(world: World) -> None:
    await world.settle()
    world.change(service={"labels": {"team": "shop"}})
    failing(world, "Service", KubeError(500, HOOK))
    for _ in range(2):
        with pytest.raises(KubeError):
            await world.reconcile()
        world.now += 61
    found = world.conditions("DBProxy", "orders")
    assert found["Stalled"] == ("True", "ApiError")
    assert found["Ready"] == ("True", "Ready")
    world.kube.fail = lambda *_: None
    await world.settle()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("False", "NotStalled")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (QUOTA, "QuotaExceeded"),
        (DENIED, "PolicyDenied"),
        (TERMINATING, "NamespaceTerminating"),
        (NO_RIGHT, "OperatorForbidden"),
    ],
)
@pytest.mark.parametrize("kind", ["Deployment", "Service"])
async def test_a_refusal_that_is_not_the_objects_fault_is_told_as_what_it_is(
    world: World, kind: str, words: str, reason: str
) -> None:
    failing(world, kind, RefusedError(403, words))
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", reason)
    assert words in message(world, "DBProxy", "orders", "Stalled")


async def test_a_template_that_is_invalid_is_told_as_such(world: World) -> None:
    words = 'Deployment.apps "orders" is invalid: spec.template.spec.containers[0].image: Required'
    failing(world, "Deployment", RefusedError(422, words))
    await world.reconcile()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "InvalidTemplate")


async def test_the_quota_that_pods_exceed_is_told_as_such(world: World) -> None:
    assert faults.pods_refused('pods "orders-1" is forbidden: exceeded quota: small').reason == (
        "QuotaExceeded"
    )
    assert faults.pods_refused("violates PodSecurity").reason == "PodsRefused"


async def test_a_refusal_is_looked_at_again_ever_more_rarely(world: World) -> None:
    failing(world, "Deployment", RefusedError(403, DENIED))
    assert await world.reconcile() == LOOK_AGAIN
    begun, passes, wait = world.now, 0, 0.0
    while world.now < begun + 3600:
        wait = await world.reconcile() or 3600
        world.now += wait
        passes += 1
    assert passes < 25
    assert wait == LOOK_AGAIN_LAST


async def test_a_status_that_cannot_be_written_keeps_nobody_elses_from_it(world: World) -> None:
    world.kube.fail = lambda verb, kind, _name: (
        KubeError(500, "etcd") if (verb, kind) == ("status", "DBProxy") else None
    )
    with pytest.raises(KubeError):
        await world.reconcile()
    assert world.conditions("DBProxyEndpoint", "orders-ro")["Reconciling"][0] == "True"


async def test_a_read_that_fails_is_told_and_changes_nothing(world: World) -> None:
    await world.settle()
    before = dict(world.kube.objects)
    world.kube.fail = lambda verb, kind, _name: (
        KubeError(500, "no key to decrypt it") if (verb, kind) == ("get", "Secret") else None
    )
    with pytest.raises(KubeError):
        await world.reconcile()
    found = world.conditions("DBProxy", "orders")
    assert found["Reconciling"] == ("True", "ApiError")
    assert found["Ready"] == ("True", "Ready")
    assert "UpgradeAvailable" in found
    changed = {key for key in before if before[key] != world.kube.objects[key]}
    assert {kind for kind, _, _ in changed} <= {"DBProxy"}


async def test_a_secret_that_is_not_shown_is_served_as_before_and_told(world: World) -> None:
    await world.settle()
    before = world.credentials()["users"]
    hide(world, "Secret", "app")
    again = await world.reconcile()
    assert again == LOOK_AGAIN
    assert world.credentials()["users"] == before
    found = world.conditions("DBProxy", "orders")
    assert found["Ready"] == ("True", "Ready")
    assert found["Reconciling"] == ("True", "ApiError")
    told = message(world, "DBProxy", "orders", "Reconciling")
    assert "does not show the Secret app now (500)" in told
    assert "no key to decrypt it" in told
    world.kube.fail = lambda *_: None
    await world.settle()
    assert world.conditions("DBProxy", "orders")["Reconciling"] == ("False", "Done")


@pytest.mark.parametrize("kind", ["Role", "PodDisruptionBudget", "Service"])
async def test_a_child_that_is_not_shown_is_not_touched_and_all_others_are_made(
    world: World, kind: str
) -> None:
    await world.settle()
    world.change(idleClientTimeout=77)
    hide(world, kind)
    written = len(world.kube.calls)
    await world.reconcile()
    assert kind not in {its_kind for verb, its_kind, _ in world.kube.calls[written:]}
    assert world.settings()["idleClientTimeout"] == 77
    assert world.conditions("DBProxy", "orders")["Reconciling"] == ("True", "ApiError")
    proxy, endpoint = world.kube.at("DBProxy", "orders"), world.kube.at(*ENDPOINT)
    assert proxy["status"]["endpoint"] == "orders.shop.svc:5432"
    assert endpoint["status"]["endpoint"] == "orders-ro.shop.svc:5432"
    assert world.conditions(*ENDPOINT)["Ready"] == ("True", "Ready")


async def test_an_authority_that_is_not_shown_is_not_made_anew(world: World) -> None:
    await world.settle()
    before = world.kube.at("Secret", "orders-config")["data"]["tls.crt"]
    trusted = world.kube.at("ConfigMap", "orders-ca")["data"]
    hide(world, "Secret", "orders-ca-key")
    world.now += 80 * 86400
    await world.reconcile()
    assert world.kube.at("Secret", "orders-config")["data"]["tls.crt"] == before
    assert world.kube.at("ConfigMap", "orders-ca")["data"] == trusted


async def test_while_services_are_not_shown_no_listener_is_given_up(world: World) -> None:
    await world.settle()
    del world.kube.objects["DBProxyEndpoint", "shop", "orders-ro"]
    await world.settle()
    world.now += 3600
    world.kube.fail = lambda verb, kind, _name: (
        KubeError(500, "etcd") if (verb, kind) == ("list", "Service") else None
    )
    await world.reconcile()
    assert len(world.settings()["listeners"]) == 2
    assert world.conditions("DBProxy", "orders")["Reconciling"] == ("True", "ApiError")
    world.kube.fail = lambda *_: None
    del world.kube.objects["Service", "shop", "orders-ro"]
    await world.settle()
    assert len(world.settings()["listeners"]) == 1


async def test_an_election_that_is_not_shown_leaves_open_who_the_writer_is(world: World) -> None:
    data = {"writer": "db-0", "epoch": "3"}
    world.kube.put({"kind": "ConfigMap", "metadata": {"name": "election"}, "data": data})
    group = world.kube.at("DBProxyTargetGroup", "orders-db")
    group["spec"]["writerElection"] = {"configMapRef": {"name": "election"}}
    await world.settle()
    hide(world, "ConfigMap", "election")
    await world.reconcile()
    found = world.conditions("DBProxyTargetGroup", "orders-db")
    assert found["WriterKnown"] == ("Unknown", "ApiError")
    assert found["Ready"] == ("True", "Ready")
    assert world.settings()["targetGroup"]["writerFloor"]["epoch"] == 3
    assert world.kube.at("DBProxy", "orders")["status"]["writer"] == "db-0"


async def test_a_fault_of_our_own_is_told_of_the_object_that_it_strikes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.settle()

    def broken(*_: Any) -> None:
        raise KeyError("secret-value")

    monkeypatch.setattr(verdicts, "endpoint_verdict", broken)
    with pytest.raises(KeyError):
        await world.reconcile()
    assert world.conditions("DBProxyEndpoint", "orders-ro")["Reconciling"] == (
        "True",
        "InternalError",
    )
    assert "secret-value" not in message(world, "DBProxyEndpoint", "orders-ro", "Reconciling")
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_a_fault_of_our_own_in_the_middle_is_told_of_the_proxy(world: World) -> None:
    await world.settle()

    def broken() -> Any:
        raise ZeroDivisionError

    reconciler = dataclasses.replace(world.reconciler, defaults=broken)
    world.reconciler = reconciler
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await world.reconcile()
        world.now += 61
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "InternalError")


def test_many_names_are_told_as_a_few_and_a_count() -> None:
    problem = Problem("WaitingForPods", "waiting", waits_for=tuple("abcdefgh"))
    assert problem.told == "waiting: a, b, c, d, e and 3 more"
