"""One holder at a time, judged by our own clock only."""

import copy
from typing import Any

import pytest

from dbproxy_operator.errors import LeaseLostError
from dbproxy_operator.kube import ConflictError, UnreachableError
from dbproxy_operator.run import lease
from dbproxy_operator.run.lease import Elector


class Leases:
    """An API server with a single Lease."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.version = 0
        self.down = False

    async def get(self, *_: str) -> dict[str, Any] | None:
        if self.down:
            raise UnreachableError(0, "down")
        return copy.deepcopy(self.stored)

    async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        if self.stored is not None:
            raise ConflictError(409, "exists")
        return self._store(obj)

    async def update(self, obj: dict[str, Any]) -> dict[str, Any]:
        if obj["metadata"]["resourceVersion"] != str(self.version):
            raise ConflictError(409, "changed")
        return self._store(obj)

    def _store(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.stored = copy.deepcopy(obj)
        self.stored["metadata"]["resourceVersion"] = str(self.version)
        return self.stored


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def elector(leases: Leases, clock: Clock, identity: str, wall: float = 0.0) -> Elector:
    return Elector(leases, lease.Place("ns", lease.lease_name("")), identity, clock, lambda: wall)  # type: ignore[arg-type]


async def test_the_second_waits_until_the_first_has_been_silent_for_the_whole_duration() -> None:
    leases, clock = Leases(), Clock()
    # Its wall clock is years ahead, which must not matter.
    first, second = elector(leases, clock, "a"), elector(leases, clock, "b", wall=2e9)
    assert await first.try_once()
    assert not await second.try_once()
    clock.now += lease.DURATION - 1
    assert await first.try_once()
    clock.now += 2
    assert not await second.try_once()
    clock.now += lease.DURATION
    assert await second.try_once()
    assert leases.stored is not None
    assert leases.stored["spec"]["leaseTransitions"] == 1
    assert not await first.try_once()


async def test_a_process_that_follows_a_killed_one_in_the_same_pod_goes_on_at_once() -> None:
    leases, clock = Leases(), Clock()
    assert await elector(leases, clock, "pod-1").try_once()
    assert await elector(leases, clock, "pod-1").try_once()
    assert leases.stored is not None
    assert leases.stored["spec"]["leaseTransitions"] == 0


async def test_a_released_lease_is_taken_at_once() -> None:
    leases, clock = Leases(), Clock()
    first, second = elector(leases, clock, "a"), elector(leases, clock, "b")
    await first.try_once()
    await second.release()
    assert not await second.try_once()
    await first.release()
    assert await second.try_once()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EVERY", 0.0)


async def test_the_holder_ends_when_another_has_the_lease(quick: None) -> None:
    leases, clock = Leases(), Clock()
    first = elector(leases, clock, "a")
    await first.try_once()
    assert leases.stored is not None
    leases.stored["spec"]["holderIdentity"] = "b"
    with pytest.raises(LeaseLostError, match="another"):
        await first.hold()


async def test_the_holder_ends_when_it_cannot_renew_in_time(quick: None) -> None:
    leases, clock = Leases(), Clock()
    first = elector(leases, clock, "a")
    await first.try_once()

    async def get(*_: str) -> None:
        clock.now += 3
        raise UnreachableError(0, "down")

    leases.get = get  # type: ignore[method-assign]
    with pytest.raises(LeaseLostError, match="in time"):
        await first.hold()
    assert clock.now < 100 + lease.DURATION


async def test_a_lease_that_somebody_annotates_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EVERY", 0.0)
    leases, clock = Leases(), Clock()
    holder = elector(leases, clock, "a")
    assert await holder.try_once()
    read, turns = leases.get, 0

    async def get(*where: str) -> dict[str, Any] | None:
        nonlocal turns
        found, turns = await read(*where), turns + 1
        if turns == 1:
            # Between our read and our write.
            leases._store(copy.deepcopy(found or {}))
        if turns == 3:
            clock.now += lease.RENEW_WITHIN
        return found

    monkeypatch.setattr(leases, "get", get)
    with pytest.raises(LeaseLostError, match="in time"):
        await holder.hold()
    assert turns >= 3
