"""What was applied last and what the API server made of it, so that nothing is written that would
change nothing: each write runs admission webhooks and audit, also one that is not stored.

This is no source of decisions: an empty memory costs one more write for each object, and every
entry is good for AGAIN seconds only.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from dbproxy_operator.observe.world import Key, Object, Ref

AGAIN = 3600.0
_NOISE = ("managedFields", "resourceVersion", "generation")


@dataclass(frozen=True)
class _Entry:
    wanted: str
    stored: str
    at: float


@dataclass(frozen=True)
class Memory:
    """The entries of each proxy; those of one that is gone are forgotten."""

    clock: Callable[[], float]
    entries: dict[Key, dict[Ref, _Entry]] = field(default_factory=dict)

    def is_applied(self, key: Key, ref: Ref, wanted: Object, live: Object) -> bool:
        """Whether `live` is what the API server made of `wanted` when that was applied last."""
        entry = self.entries.get(key, {}).get(ref)
        return (
            entry is not None
            and self.clock() < entry.at + AGAIN
            and entry.wanted == _digest(wanted)
            and entry.stored == _digest(_content(live))
        )

    def learn(self, key: Key, ref: Ref, wanted: Object, stored: Object) -> None:
        entry = _Entry(_digest(wanted), _digest(_content(stored)), self.clock())
        self.entries.setdefault(key, {})[ref] = entry

    def forget(self, key: Key) -> None:
        self.entries.pop(key, None)


def _content(obj: Object) -> Object:
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _NOISE}
    rest = {name: value for name, value in obj.items() if name not in ("metadata", "status")}
    return {**rest, "metadata": metadata}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
