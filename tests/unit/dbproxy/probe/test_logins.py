"""Each user's log-in is tried once, again after a failure, and anew when it may have changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest
from tests.waiting import DEADLINE

from dbproxy.facts import Login, Probe
from dbproxy.probe import logins
from dbproxy.probe.engines.base import Attempt, ProbeSpec
from dbproxy.probe.logins import Assignment, Logins
from dbproxy.tasks import Tasks


class FakeProbe:
    """Lets those in whose password is right."""

    def __init__(self, **passwords: str) -> None:
        self.passwords = passwords
        self.tried: list[str] = []

    async def ask(self, addresses: Sequence[str]) -> Probe:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    def renew(self, spec: ProbeSpec) -> None:
        raise NotImplementedError

    async def try_login(self, attempt: Attempt, addresses: Sequence[str]) -> Login:
        self.tried.append(attempt.user)
        known = self.passwords.get(attempt.user) in attempt.passwords
        return Login(attempt.user, "db-0", ok=known)


class Results:
    def __init__(self) -> None:
        self.last: dict[str, bool] = {}
        self.heard = asyncio.Event()

    def __call__(self, found: Iterable[Login]) -> None:
        self.last = {login.user: login.ok for login in found}
        self.heard.set()

    async def next(self) -> dict[str, bool]:
        async with asyncio.timeout(DEADLINE):
            await self.heard.wait()
        self.heard.clear()
        return self.last


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    tasks = Tasks()
    yield tasks
    await tasks.close()


def assignment(**passwords: str) -> Assignment:
    attempts = tuple(Attempt(user, (password,)) for user, password in passwords.items())
    return Assignment("db-0", ("127.0.0.1:1",), attempts)


async def test_every_user_is_tried(tasks: Tasks) -> None:
    results = Results()
    Logins(results, tasks).assign(assignment(a="1", b="2"), FakeProbe(a="1", b="x"))
    assert await results.next() == {"a": True, "b": False}


async def test_only_what_changed_is_tried_again(tasks: Tasks) -> None:
    results, probe = Results(), FakeProbe(a="1", b="2")
    checker = Logins(results, tasks)
    checker.assign(assignment(a="1", b="x"), probe)
    await results.next()
    checker.assign(assignment(a="1", b="2"), probe)
    assert await results.next() == {"a": True, "b": True}
    assert probe.tried == ["a", "b", "b"]


async def test_a_failure_is_tried_again_after_a_while(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "RETRY_FIRST", 0.01)
    results, probe = Results(), FakeProbe(a="later")
    Logins(results, tasks).assign(assignment(a="1"), probe)
    assert await results.next() == {"a": False}
    probe.passwords["a"] = "1"
    while not results.last["a"]:
        await results.next()


async def test_a_user_that_the_engine_was_refused_as_is_tried_at_once(tasks: Tasks) -> None:
    results, probe = Results(), FakeProbe(a="1", b="2")
    checker = Logins(results, tasks)
    checker.assign(assignment(a="1", b="2"), probe)
    await results.next()
    probe.passwords["b"] = "changed"
    checker.doubt("b")
    assert await results.next() == {"a": True, "b": False}
