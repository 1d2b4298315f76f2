"""The Event for a change of a condition, so that `kubectl describe` tells the story.

Its name is derived from the change, so that a reconcile which is repeated after a crash does not
tell it twice. What goes to and fro is told a few times, then now and then: the condition says how
things stand.
"""

import hashlib
from dataclasses import dataclass, field

from dbproxy_operator.observe.names import MANAGER
from dbproxy_operator.observe.world import Object, name, timestamp, uid
from dbproxy_operator.tell.status import EXPECTED, conditions_of

BURST = 3
EVERY = 300.0
_MESSAGE = 1024
_MOST_COUNTED = 4096
_ALWAYS_GOOD = frozenset({"UpgradeAvailable"})


@dataclass
class Limit:
    """How many Events of one object and reason are told: BURST at once, then one in EVERY
    seconds."""

    left: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def allows(self, uid: str, reason: str, now: float) -> bool:
        """Whether one more may be told now; it counts as told then."""
        if len(self.left) > _MOST_COUNTED:
            self.left = {key: said for key, said in self.left.items() if _left(said, now) < BURST}
        tokens = _left(self.left.get((uid, reason), (BURST, now)), now)
        allowed = tokens >= 1
        self.left[uid, reason] = (tokens - allowed, now)
        return allowed


def _left(said: tuple[float, float], now: float) -> float:
    tokens, at = said
    return min(BURST, tokens + max(0.0, now - at) / EVERY)


def event(obj: Object, condition: Object, instance: str, now: float) -> Object:
    old = conditions_of(obj).get(condition["type"], {})
    fields = [uid(obj), condition["type"], condition["status"], condition["reason"]]
    fields += [condition["message"], old.get("reason", ""), old.get("message", "")]
    fields.append(old.get("lastTransitionTime", ""))
    digest = hashlib.sha256("\0".join(fields).encode()).hexdigest()[:16]
    good = (condition["status"] == "True") != (condition["type"] == "Stalled")
    good = good or condition["type"] in _ALWAYS_GOOD
    waiting = condition["type"] != "Stalled" and condition["reason"] in EXPECTED
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{name(obj)}.{digest}",
            "namespace": obj["metadata"]["namespace"],
        },
        "involvedObject": {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": name(obj),
            "namespace": obj["metadata"]["namespace"],
            "uid": uid(obj),
            "resourceVersion": obj["metadata"].get("resourceVersion", ""),
        },
        "type": "Normal" if good or waiting else "Warning",
        "reason": condition["reason"],
        "message": condition["message"][:_MESSAGE],
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": instance,
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
    }
