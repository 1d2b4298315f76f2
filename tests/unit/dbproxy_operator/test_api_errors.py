"""What the API server answers about one object stops no other, and is told as what it is."""

import dataclasses
from typing import Any

import pytest
from tests.unit.dbproxy_operator.test_reconcile import World

from dbproxy_operator.errors import Problem
from dbproxy_operator.kube import ConflictError, KubeError, RefusedError, UnreachableError
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


def message(world: World, kind: str, name: str, condition: str) -> str:
    return str(status.conditions_of(world.kube.at(kind, name))[condition]["message"])


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


async def test_what_needs_the_object_that_failed_waits_for_it(world: World) -> None:
    failing(world, "Secret", KubeError(500, HOOK), "orders-config")
    with pytest.raises(KubeError):
        await world.reconcile()
    assert ("Service", "shop", "orders") in world.kube.objects
    assert ("ConfigMap", "shop", "orders-config") not in world.kube.objects
    assert ("Deployment", "shop", "orders") not in world.kube.objects


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
