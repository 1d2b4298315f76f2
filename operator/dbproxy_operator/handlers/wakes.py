"""From events to keys: only what can matter to a reconcile wakes it.

A digest of what matters is kept per object, so that our own writes, heartbeats and the counters of
others wake nothing.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from dbproxy_operator.observe.world import Key, Ref
from dbproxy_operator.run.queue import Queue
from dbproxy_operator.run.users import Users

_NOISE = ("managedFields", "resourceVersion", "generation")


class Wakes:
    def __init__(self, queue: Queue, users: Users, on_wake: Callable[[str], None]) -> None:
        self._queue = queue
        self._users = users
        self._on_wake = on_wake
        self._digests: dict[str, str] = {}

    def wake(self, source: str, namespace: str | None, proxy: str | None) -> None:
        if namespace and proxy:
            self._on_wake(source)
            self._queue.wake(Key(namespace, proxy))

    def refers(self, event: Any, proxy: str | None, refs: Iterable[Ref]) -> None:
        """The object of the event refers to these, for that proxy."""
        obj = event["object"]
        source = (obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"])
        if event["type"] == "DELETED":
            self._users.forget(source)
        else:
            self._users.learn(source, proxy, refs)

    def is_news(self, event: Any, matters: object) -> bool:
        """Whether the event says something that the last one of this object didn't."""
        uid = str(event["object"]["metadata"].get("uid"))
        if event["type"] == "DELETED":
            self._digests.pop(uid, None)
            return True
        text = json.dumps(matters, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
        known = self._digests.get(uid)
        self._digests[uid] = digest
        return digest != known


def content(event: Any) -> dict[str, Any]:
    """The object but for its status and what changes with every write."""
    obj = event["object"]
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _NOISE}
    rest = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    return {"metadata": metadata, **rest}
