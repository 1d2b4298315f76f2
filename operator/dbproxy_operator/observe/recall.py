"""Objects that need not be read again, since the watch told of no other version of them.

Kept are users' Secrets, as they were read, and what is nothing but the operator's output
(`names.outputs`), as it was read or stored: for as long as the informers, which watch these kinds
anyway, tell of no change, and for KEPT seconds at most. So nobody acts upon a version that is older
than the one that woke him, a watch that is cut is begun anew with nothing kept, and of what it lost
without a word the next pass after KEPT seconds knows.
"""

import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TypeVar, cast

from dbproxy_operator.kube.watch import version_of
from dbproxy_operator.observe.world import PROXY_LABEL, Object, labels

# In seconds; less than a round of the resync takes.
KEPT = 240.0
# The other kinds are watched by their label.
WATCHED_WHOLE = frozenset({"ConfigMap", "Secret"})
Place = tuple[str, str, str]
_NOTHING = ""
T = TypeVar("T", Object, Object | None)


@dataclass(frozen=True)
class _Kept:
    version: str
    text: bytes
    at: float


@dataclass
class _Call:
    """`told`: the version that the watch told of meanwhile; None if that is no longer there."""

    told: str | None = _NOTHING
    count: int = 0


class Recall:
    """Passes read and write through it, the informers tell it. `Place`: kind, namespace, name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # The oldest first.
        self._kept: dict[Place, _Kept] = {}
        self._calls: dict[Place, _Call] = {}

    async def read(
        self, place: Place, get: Callable[[], Awaitable[Object | None]]
    ) -> Object | None:
        """The object as it is, as far as anybody knows, else by that call."""
        kept = self._kept.get(place)
        if kept is not None and self._clock() < kept.at + KEPT:
            return cast(Object, json.loads(kept.text))
        return await self.through(place, get())

    async def through(self, place: Place, call: Awaitable[T]) -> T:
        """Makes a call that reads or writes the object, and keeps what it brings.

        That is older than what is told meanwhile, unless it is the same version.
        """
        mine = self._calls.setdefault(place, _Call())
        mine.count += 1
        self._kept.pop(place, None)
        try:
            found = await call
        finally:
            mine.count -= 1
            if not mine.count:
                del self._calls[place]
        if found is not None:
            self._keep(place, found, mine.told)
        return found

    def told(self, place: Place, version: str | None) -> None:
        """The watch tells of this version; None: that the object is gone."""
        if place in self._calls:
            self._calls[place].told = version
        kept = self._kept.get(place)
        if kept is not None and kept.version != version:
            del self._kept[place]

    def begun(self, kind: str, listed: Collection[tuple[str, str]] = ()) -> None:
        """A watch of the kind begins anew, or has begun: what it has not `listed` may be gone."""
        for place, call in self._calls.items():
            if place[0] == kind:
                call.told = None
        gone = [place for place in self._kept if place[0] == kind and place[1:] not in listed]
        for place in gone:
            del self._kept[place]

    def _keep(self, place: Place, found: Object, told: str | None) -> None:
        version, now = version_of(found["metadata"]), self._clock()
        self._kept.pop(place, None)
        watched = place[0] in WATCHED_WHOLE or PROXY_LABEL in labels(found)
        if watched and told in (_NOTHING, version):
            self._kept[place] = _Kept(version, json.dumps(found).encode(), now)
        while self._kept:
            oldest = next(iter(self._kept))
            if now < self._kept[oldest].at + KEPT:
                break
            del self._kept[oldest]
