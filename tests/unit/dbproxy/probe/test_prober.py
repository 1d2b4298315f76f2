"""Each target's watch: where it asks, and what it says when its name stands for another server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from tests.agent_made import answered, config_of
from tests.waiting import until

from dbproxy.facts import Addresses, Login, Probe
from dbproxy.probe import prober as prober_module
from dbproxy.probe.engines.base import Attempt, ProbeSpec
from dbproxy.probe.prober import Prober, TargetWatch
from dbproxy.tasks import Tasks

SPEC = ProbeSpec("db-0", "db-0.example", 5432, "monitor", ("m",), "DISABLED", None)
A, B = "10.0.0.1:5432", "10.0.0.2:5432"


class Names:
    """A name server: its answers in their order, the last one for ever."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = list(answers)
        self.waiting = 0
        self.answering = asyncio.Event()
        self.answering.set()

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        self.waiting += 1
        await self.answering.wait()
        self.waiting -= 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class FakeProbe:
    """Answers at once, or, with a gate, when it is opened or aborted."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.aborts = 0
        self.renewed: list[ProbeSpec] = []
        self.gate: asyncio.Event | None = None

    async def ask(self, addresses: Sequence[str]) -> Probe:
        self.asked.append(tuple(addresses))
        asked_at = asyncio.get_running_loop().time()
        if self.gate is not None:
            await self.gate.wait()
        return answered("db-0", asked_at, writes=True)

    def renew(self, spec: ProbeSpec) -> None:
        self.renewed.append(spec)

    def abort(self) -> None:
        self.aborts += 1
        if self.gate is not None:
            self.gate.set()

    async def close(self) -> None:
        self.abort()

    async def try_login(self, attempt: Attempt, addresses: Sequence[str]) -> Login:
        raise NotImplementedError


class World:
    def __init__(self) -> None:
        self.tasks = Tasks()
        self.probe = FakeProbe()
        self.probes: list[Probe] = []
        self.addresses: list[tuple[str, ...]] = []
        self.watch: TargetWatch | None = None

    def begin(self) -> TargetWatch:
        self.watch = TargetWatch(
            SPEC, self.probe, self.probes.append, self.learn_addresses, self.tasks
        )
        return self.watch

    def learn_addresses(self, fact: Addresses) -> None:
        self.addresses.append(fact.addresses)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(prober_module, "RESOLVE_EVERY", 0.0)
    monkeypatch.setattr(prober_module, "DROP_PAUSE", 0.0)
    monkeypatch.setattr(prober_module, "AT_REST", 0.01)
    monkeypatch.setattr(prober_module, "IN_DOUBT", 0.01)
    world = World()
    yield world
    if world.watch is not None:
        await world.watch.close()
    await world.tasks.close()


def answer(monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, ...]) -> Names:
    names = Names(*answers)
    monkeypatch.setattr(prober_module, "resolve", names.resolve)
    return names


async def test_an_address_that_is_gone_from_three_answers_running_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, (A,), (B,))
    world.begin()
    await until(lambda: world.addresses == [(A,), (B,)], "the name stands for another server")
    assert world.probe.aborts == 1
    await until(lambda: world.probe.asked[-1] == (B,), "the other one is asked")


async def test_a_name_server_that_tells_some_addresses_at_a_time_moves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = answer(monkeypatch, (A,), (B,), (A,), (B,), (A, B), (B,), (A,), (B, A))
    world.begin()
    await until(lambda: len(names.answers) == 1 and world.probe.asked[-1] == (B, A), "both")
    assert world.addresses == [(A,), (B, A)]
    assert world.probe.aborts == 0


async def test_a_probe_of_the_place_before_says_nothing_of_the_new_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = answer(monkeypatch, (A,))
    world.begin()
    await until(lambda: world.probes, "it is asked")
    names.answering.clear()
    await until(lambda: names.waiting, "its name is asked for")
    world.probe.gate = gate = asyncio.Event()
    said, asked = len(world.probes), len(world.probe.asked)
    await until(lambda: len(world.probe.asked) > asked, "it is asked again, and says nothing yet")
    names.answers = [(B,)]
    names.answering.set()
    await until(lambda: gate.is_set(), "it moves, and the probe under way is called off")
    await until(lambda: len(world.probes) > said, "the next probe answers")
    assert world.probe.asked[asked + 1] == (B,)
    assert world.probes[said].asked_at > world.probes[said - 1].asked_at
    assert len(world.probes) - said < len(world.probe.asked) - asked


async def test_new_credentials_keep_the_watch_and_what_stands(world: World) -> None:
    made: list[FakeProbe] = []

    def make(spec: ProbeSpec) -> FakeProbe:
        made.append(FakeProbe())
        return made[-1]

    prober = Prober(make, world.probes.append, world.learn_addresses, world.tasks, "dbproxy")
    prober.configure(config_of())
    watches = dict(prober.watches)
    monitor = {"name": "monitor", "password": "n", "previous": [{"password": "m", "validUntil": 1}]}
    prober.configure(config_of(credentials={"monitor": monitor}))
    assert prober.watches == watches
    assert [probe.renewed[0].passwords for probe in made] == [("n", "m"), ("n", "m")]
    changed = config_of(credentials={"monitor": monitor}, group={"tls": {"mode": "REQUIRED"}})
    prober.configure(changed)
    assert prober.watches.keys() == watches.keys()
    assert all(prober.watches[name] is not watch for name, watch in watches.items())
    await prober.close()


def test_only_user_and_passwords_may_differ_for_a_connection_to_stay() -> None:
    assert SPEC.same_but_for_login(replace(SPEC, user="other", passwords=("n", "m")))
    assert not SPEC.same_but_for_login(replace(SPEC, port=1))
