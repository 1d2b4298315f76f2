"""In which format pods of several images get their configuration."""

from typing import Any

import pytest
from tests.unit.dbproxy_operator.world import World

from dbproxy_operator.decide.skew import common_format
from dbproxy_operator.desired import formats
from dbproxy_operator.observe.reports import Report


def pods(*read: int | None) -> dict[str, Report | None]:
    """`read`: the newest format of each; None of one that says nothing, 0 of one that leaves."""
    return {
        f"orders-{number}": Report("", format_version=one) if one is not None else None
        for number, one in enumerate(read)
    }


CASES: dict[str, tuple[tuple[int, ...], int, dict[str, Report | None], int | None]] = {
    "there are no pods yet": ((1, 2), 0, {}, 2),
    "all read the newest": ((1, 2), 1, pods(2, 3), 2),
    "one reads an older one": ((1, 2), 2, pods(2, 1), 1),
    "one says nothing yet": ((1, 2), 1, pods(2, None), 1),
    "one says nothing and the newest is served": ((1, 2), 2, pods(2, None), 2),
    "one says nothing, one reads no more than the first": ((1, 2), 2, pods(1, None), 1),
    "the first of all says nothing": ((1, 2), 0, pods(None), 2),
    "one takes its leave": ((1, 2), 2, pods(2, 0), 2),
    "the operator was rolled back": ((1,), 2, pods(2, 2), 1),
    "one reads nothing that is written": ((2, 3), 1, pods(3, 1), None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_format_where(case: str) -> None:
    known, former, said, wanted = CASES[case]
    assert common_format(known, former, said) == wanted


def older(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != "idleClientTimeout"}


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """An operator that knows two formats, and pods that read the first."""
    monkeypatch.setattr(formats, "FORMATS", {1: older, 2: lambda content: content})
    world = World()
    world.formats = {"orders-0": 1, "orders-1": 1}
    await world.settle()
    return world


def versions(world: World) -> tuple[int, int]:
    return world.settings()["formatVersion"], world.credentials()["formatVersion"]


async def test_pods_get_the_newest_format_that_all_of_them_read(world: World) -> None:
    assert versions(world) == (1, 1)
    assert "idleClientTimeout" not in world.settings()
    world.formats["orders-0"] = 2
    await world.settle()
    assert versions(world) == (1, 1)
    world.formats["orders-1"] = 2
    await world.settle()
    assert versions(world) == (2, 2)
    assert "idleClientTimeout" in world.settings()


async def test_a_pod_of_an_older_image_has_its_format_written_again(world: World) -> None:
    world.formats = {"orders-0": 2, "orders-1": 2}
    await world.settle()
    world.formats["orders-1"] = 1
    await world.settle()
    assert versions(world) == (1, 1)
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_what_is_served_stays_where_pods_read_nothing_that_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "FORMATS", {2: older, 3: lambda content: content})
    world.formats["orders-0"] = 2
    before = [world.kube.at(kind, "orders-config")["data"] for kind in ("ConfigMap", "Secret")]
    world.change(idleClientTimeout=77)
    await world.settle()
    assert [
        world.kube.at(kind, "orders-config")["data"] for kind in ("ConfigMap", "Secret")
    ] == before
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "FormatUnsupported")
    told = next(
        one["message"]
        for one in world.kube.at("DBProxy", "orders")["status"]["conditions"]
        if one["type"] == "Stalled"
    )
    assert told.endswith(": orders-1")
    assert "dbproxy.dev/upgrade" in told


async def test_pods_that_read_nothing_that_is_written_can_be_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "FORMATS", {2: older, 3: lambda content: content})
    world.change(image="proxy:2")
    await world.settle()
    (container,) = world.kube.at("Deployment", "orders")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "proxy:2"
    world.formats = {"orders-0": 3, "orders-1": 3}
    await world.settle()
    assert versions(world) == (3, 3)
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")
