"""Keys to reconcile: coalesced, never the same one twice at a time, each with its own back-off.

`Schedule` is the pure part, with `now` as an argument; `Queue` adds the waiting. The handlers, the
resync and the workers are its callers.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from dbproxy_operator.observe.world import Key

SPACING = 1.0
FIRST_RETRY = 0.5
LONGEST_RETRY = 60.0


@dataclass
class Schedule:
    """When each key is due. A burst of wakes is one run; a failing key waits twice as long."""

    due: dict[Key, float] = field(default_factory=dict)
    running: set[Key] = field(default_factory=set)
    again: dict[Key, float] = field(default_factory=dict)
    failures: dict[Key, int] = field(default_factory=dict)
    not_before: dict[Key, float] = field(default_factory=dict)

    def ask(self, key: Key, at: float) -> None:
        where = self.again if key in self.running else self.due
        at = max(at, self.not_before.get(key, at))
        where[key] = min(at, where.get(key, at))

    def take(self, now: float) -> Key | None:
        """The key that has been due for the longest, now running."""
        key = min(self.due, key=lambda key: self.due[key], default=None)
        if key is None or self.due[key] > now:
            return None
        del self.due[key]
        self.running.add(key)
        return key

    def succeeded(self, key: Key, now: float, again_in: float | None) -> None:
        self.failures.pop(key, None)
        self._rest(key, now, SPACING)
        if again_in is not None:
            self.ask(key, now + again_in)

    def failed(self, key: Key, now: float) -> float:
        """Returns how long the key rests."""
        count = self.failures.get(key, 0)
        self.failures[key] = count + 1
        rest = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(count, 10))
        self._rest(key, now, rest)
        self.ask(key, now + rest)
        return rest

    def next_due(self) -> float | None:
        return min(self.due.values(), default=None)

    def age(self, now: float) -> float:
        """For how long the oldest key that is due has waited."""
        oldest = self.next_due()
        return 0.0 if oldest is None else max(0.0, now - oldest)

    def _rest(self, key: Key, now: float, seconds: float) -> None:
        self.running.discard(key)
        self.not_before = {k: at for k, at in self.not_before.items() if at > now}
        self.not_before[key] = now + seconds
        at = self.again.pop(key, None)
        if at is not None:
            self.ask(key, at)


class Queue:
    """The schedule, and the waiting for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._schedule = Schedule()
        self._changed = asyncio.Event()

    def wake(self, key: Key, delay: float = 0.0) -> None:
        self._schedule.ask(key, self._clock() + delay)
        self._changed.set()

    async def next(self) -> Key:
        while True:
            now = self._clock()
            key = self._schedule.take(now)
            if key is not None:
                return key
            due = self._schedule.next_due()
            self._changed.clear()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - now)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def succeeded(self, key: Key, again_in: float | None) -> None:
        self._schedule.succeeded(key, self._clock(), again_in)
        self._changed.set()

    def failed(self, key: Key) -> float:
        rest = self._schedule.failed(key, self._clock())
        self._changed.set()
        return rest

    @property
    def age(self) -> float:
        return self._schedule.age(self._clock())

    @property
    def depth(self) -> int:
        now = self._clock()
        due = sum(1 for at in self._schedule.due.values() if at <= now)
        return due + len(self._schedule.running)
