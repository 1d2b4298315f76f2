"""Reads that fail in between, at random: what pods are given never falls behind what is known.

The operator's passes are the real ones, each with other objects that the API server does not show;
what they compose, the proxy itself parses and plans with. Meanwhile the writer changes.
"""

import random
from typing import Any

import pytest
from tests.composed import NOW
from tests.resources import Object
from tests.unit.dbproxy_operator.world import SECRET, World

from dbproxy import settings
from dbproxy.decide.planner import Planner
from dbproxy_operator.desired.config import decoded
from dbproxy_operator.kube import KubeError, RefusedError, UnreachableError

SEEDS = range(20)
PASSES = 12
ERRORS = (
    KubeError(500, "no key to decrypt it"),
    UnreachableError(0, "TimeoutError: "),
    RefusedError(403, 'secrets is forbidden: User "operator" cannot get resource'),
)
# What everything is made from: without it nothing is done, and nothing is lost either.
INDISPENSABLE = (
    ("ConfigMap", "orders-config"),
    ("Secret", "orders-config"),
    ("Deployment", "orders"),
)
ELECTION = ("ConfigMap", "election")


def elected(epoch: int) -> Object:
    data = {"writer": f"db-{epoch % 2}", "epoch": str(epoch)}
    return {"kind": "ConfigMap", "metadata": {"name": "election", "uid": "election"}, "data": data}


async def begun() -> World:
    """A proxy that serves, with an election and a monitor of its own."""
    world = World()
    world.kube.put(SECRET | {"metadata": {"name": "monitor"}})
    world.kube.put(elected(1))
    group = world.kube.at("DBProxyTargetGroup", "orders-db")
    group["spec"] |= {
        "writerElection": {"configMapRef": {"name": "election"}},
        "monitorSecretRef": {"name": "monitor"},
    }
    await world.settle()
    return world


def read(world: World) -> settings.Config:
    """What a pod makes of it."""
    text = world.kube.at("ConfigMap", "orders-config")["data"]["settings.json"]
    parsed = settings.parse_settings(text.encode())
    files = decoded(world.kube.at("Secret", "orders-config"))
    credentials = settings.parse_credentials({name: one.encode() for name, one in files.items()})
    assert settings.pair_faults(parsed, credentials) == []
    return settings.Config(parsed, credentials)


def lasting(config: settings.Config) -> Any:
    """What no failing read may change."""
    group = config.settings.target_group
    assert group is not None
    return (
        config.credentials.certificate,
        config.credentials.file.users,
        config.credentials.file.monitor,
        config.settings.listeners,
        config.settings.budget_divisor,
        [(target.name, target.host) for target in group.targets],
    )


def read_by_name(world: World) -> list[tuple[str, str]]:
    listed = ("Pod", "Event", "DBProxy", "DBProxyTargetGroup", "DBProxyEndpoint")
    return [(kind, name) for kind, _, name in world.kube.objects if kind not in listed]


def hide(world: World, chance: random.Random) -> set[tuple[str, str]]:
    """Some objects are not shown until the next call."""
    shown = read_by_name(world)
    hidden = set(chance.sample(shown, chance.randint(1, len(shown) // 2)))
    error = chance.choice(ERRORS)
    world.kube.fail = lambda verb, kind, name: (
        error if verb == "get" and (kind, name) in hidden else None
    )
    return hidden


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_is_not_shown_the_election_is_passed_on_and_nothing_is_lost(
    seed: int,
) -> None:
    chance, world = random.Random(seed), await begun()
    before, epoch = lasting(read(world)), 1
    children = {key: obj["metadata"]["uid"] for key, obj in world.kube.objects.items()}
    for _ in range(PASSES):
        world.now += 1
        if chance.random() < 0.5:
            epoch += 1
            world.kube.at(*ELECTION)["data"] = elected(epoch)["data"]
        hidden = hide(world, chance)
        if hidden.isdisjoint(INDISPENSABLE):
            await world.reconcile()
            floor = read(world).settings.target_group
            assert floor is not None
            assert floor.writer_floor is not None
            if ELECTION not in hidden:
                assert floor.writer_floor.epoch == epoch
        else:
            with pytest.raises(KubeError):
                await world.reconcile()
        assert lasting(read(world)) == before
    world.kube.fail = lambda *_: None
    await world.settle()
    assert lasting(read(world)) == before
    assert (
        children.items()
        <= {key: obj["metadata"]["uid"] for key, obj in world.kube.objects.items()}.items()
    )
    planner = Planner(max_clients=10)
    planner.learn_config(read(world))
    assert planner.plan(now=1.0, wall=NOW) is not None
    assert world.settings()["targetGroup"]["writerFloor"]["epoch"] == epoch


async def test_a_password_that_is_shown_is_rotated_beside_one_that_is_not() -> None:
    world = await begun()
    world.kube.at("Secret", "app")["data"]["password"] = "bmV3"
    world.kube.fail = lambda verb, kind, name: (
        ERRORS[0] if (verb, kind, name) == ("get", "Secret", "monitor") else None
    )
    await world.reconcile()
    (user,) = read(world).credentials.file.users
    assert (user.password, user.previous[0].password) == ("new", "p")
    monitor = read(world).credentials.file.monitor
    assert monitor is not None
    assert monitor.password == "p"
