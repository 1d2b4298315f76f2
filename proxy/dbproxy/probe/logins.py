"""Tries whether each user of the configuration can log in to the database; results go to the
status.

Tried when the users, the target or its TLS change, failures again with growing pauses, all of them
every ten minutes; one at a time, because each takes a connection from the database's budget.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dbproxy.facts import Login
from dbproxy.logs import Log
from dbproxy.probe.engines.base import Attempt, TargetProbe
from dbproxy.tasks import Tasks

RETRY_FIRST = 5.0
RETRY_LAST = 60.0
AGAIN = 600.0

log = Log(__name__)


@dataclass(frozen=True)
class Assignment:
    """What there is to try now."""

    target: str
    addresses: tuple[str, ...]
    attempts: tuple[Attempt, ...]


class Logins:
    """The task that tries; `assign` gives it something new to do."""

    def __init__(self, on_logins: Callable[[Iterable[Login]], None], tasks: Tasks) -> None:
        self._on_logins = on_logins
        self._assignment: Assignment | None = None
        self._probe: TargetProbe | None = None
        self._wake = asyncio.Event()
        self._results: dict[str, Login] = {}
        self._task = tasks.spawn(self._run(), "logins")

    def assign(self, assignment: Assignment | None, probe: TargetProbe | None) -> None:
        """Try these; what was tried of the same assignment before is not tried again."""
        changed = assignment != self._assignment
        self._assignment, self._probe = assignment, probe
        if changed:
            self._wake.set()

    def doubt(self, user: str) -> None:
        """The engine was refused as this user: try it soon."""
        if self._results.pop(user, None) is not None:
            self._wake.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        tried: Assignment | None = None
        pause = RETRY_FIRST
        while True:
            self._wake.clear()
            assignment, probe = self._assignment, self._probe
            if assignment is None or probe is None:
                await self._wake.wait()
                continue
            if assignment != tried:
                self._results = _still_true(self._results, tried, assignment)
                tried, pause = assignment, RETRY_FIRST
            await self._try_missing(assignment, probe)
            good = all(result.ok for result in self._results.values())
            woken = await self._pause(AGAIN if good else pause)
            if not woken:
                self._results = {} if good else _ok_only(self._results)
                pause = min(2 * pause, RETRY_LAST)

    async def _try_missing(self, assignment: Assignment, probe: TargetProbe) -> None:
        for attempt in assignment.attempts:
            if attempt.user in self._results:
                continue
            login = await probe.try_login(attempt, assignment.addresses)
            if self._assignment != assignment:
                return
            self._results[attempt.user] = login
            if not login.ok:
                log.warning("login_refused", user=login.user, target=login.target,
                            reason=login.reason, message=login.message)  # fmt: skip
        self._on_logins(tuple(self._results.values()))

    async def _pause(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds * random.uniform(0.9, 1.1)):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True


def _ok_only(results: dict[str, Login]) -> dict[str, Login]:
    return {user: login for user, login in results.items() if login.ok}


def _still_true(
    results: dict[str, Login], before: Assignment | None, now: Assignment
) -> dict[str, Login]:
    """The results that the new assignment doesn't call into question."""
    if before is None or (before.target, before.addresses) != (now.target, now.addresses):
        return {}
    same = {attempt.user for attempt in now.attempts if attempt in before.attempts}
    return {user: login for user, login in results.items() if user in same and login.ok}
