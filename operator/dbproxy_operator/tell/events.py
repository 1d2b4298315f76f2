"""The Event for a change of a condition, so that `kubectl describe` tells the story.

Its name is derived from the change, so that a reconcile which is repeated after a crash does not
tell it twice.
"""

import hashlib

from dbproxy_operator.observe.names import MANAGER
from dbproxy_operator.observe.world import Object, name, timestamp, uid
from dbproxy_operator.tell.status import conditions_of

_MESSAGE = 1024
_GOOD_WHEN_FALSE = frozenset({"UpgradeAvailable"})


def event(obj: Object, condition: Object, instance: str, now: float) -> Object:
    old = conditions_of(obj).get(condition["type"], {})
    fields = [uid(obj), condition["type"], condition["status"], condition["reason"]]
    fields += [condition["message"], old.get("reason", ""), old.get("message", "")]
    fields.append(old.get("lastTransitionTime", ""))
    digest = hashlib.sha256("\0".join(fields).encode()).hexdigest()[:16]
    good = condition["status"] == "True" or condition["type"] in _GOOD_WHEN_FALSE
    waiting = condition["status"] != "True" and condition["reason"] in _EXPECTED
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


# Steps on the way to Ready that nobody has to act upon.
_EXPECTED = frozenset(
    {
        "PodsNotReady",
        "RollingOut",
        "WaitingForAcknowledgement",
        "WaitingForPods",
        "NoReport",
        "NotConfirmed",
        "Probing",
    }
)
