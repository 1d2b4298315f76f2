"""What `observe` has read, as plain facts: the pure rooms ask it, nobody changes it."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
# Kind and name of an object in the proxy's namespace.
Ref = tuple[str, str]

PROXY_LABEL = "dbproxy.dev/proxy"
ALLOW_LABEL = "dbproxy.dev/allow"
PROXY_CONTAINER = "proxy"
UPGRADE_ANNOTATION = "dbproxy.dev/upgrade"


@dataclass(frozen=True, order=True)
class Key:
    """A DBProxy, there or not: the unit of reconciling."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Unread:
    """What the API server answered in place of an object, which may be there or not."""

    status: int
    message: str


@dataclass(frozen=True)
class Observed:
    """One reading of everything that concerns one DBProxy.

    What is the user's is left out while it is being deleted: the DBProxy, its groups and endpoints.
    What the operator made is there until it is gone: its name is taken so long. `services`: the
    names of those with the proxy's label. `unread`: what could not be read, with the name "" for
    the Services as a whole; whatever is not told of it is as it was served. `presumed`: what was
    taken for absent without a look.
    """

    key: Key
    proxy: Object | None
    groups: tuple[Object, ...] = ()
    endpoints: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    children: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    services: frozenset[str] = frozenset()
    secrets: Mapping[str, Object] = field(default_factory=dict)
    election: Object | None = None
    unread: Mapping[Ref, Unread] = field(default_factory=dict)
    presumed: frozenset[Ref] = frozenset()

    def child(self, kind: str, name: str) -> Object | None:
        return self.children.get((kind, name))


def name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def uid(obj: Object) -> str:
    return str(obj["metadata"]["uid"])


def generation(obj: Object) -> int:
    return int(obj["metadata"].get("generation", 0))


def labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def status(obj: Object) -> Object:
    return obj.get("status") or {}


def is_leaving(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def seniority(obj: Object) -> tuple[str, str]:
    """Sorts the oldest first, then the lower UID."""
    return str(obj["metadata"].get("creationTimestamp", "")), uid(obj)


def controller(obj: Object) -> Object | None:
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def is_alive(pod: Object) -> bool:
    """Has, or may yet have, connections open: terminating pods are alive until they are gone."""
    return status(pod).get("phase") not in ("Succeeded", "Failed")


def is_running(pod: Object) -> bool:
    """Its proxy's process is there, as far as the kubelet says."""
    if status(pod).get("phase") != "Running":
        return False
    for container in status(pod).get("containerStatuses") or ():
        if container.get("name") == PROXY_CONTAINER:
            return "running" in (container.get("state") or {})
    return True


def has_begun(pod: Object) -> bool:
    """Some container of it was started, so that it may have connections open."""
    return status(pod).get("phase") != "Pending"


def leaving_until(pod: Object) -> float | None:
    """The moment at which a leaving pod's grace ends."""
    moment = pod["metadata"].get("deletionTimestamp")
    return dt.datetime.fromisoformat(moment).timestamp() if moment else None


def is_pod_of(pod: Object, proxy: str) -> bool:
    """Made by a ReplicaSet of the proxy's Deployment: the label alone anybody can give a pod."""
    owner = controller(pod) or {}
    made_by = f"{proxy}-{labels(pod).get('pod-template-hash', '')}"
    return (owner.get("kind"), owner.get("name")) == ("ReplicaSet", made_by)


def is_ready(pod: Object) -> bool:
    """Ready, and here to stay."""
    if is_leaving(pod):
        return False
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status(pod).get("conditions") or ()
    )


def operator_class(proxy: Object | None) -> str:
    """Which operators serve the DBProxy; those without a class also see to what has no DBProxy."""
    value = ((proxy or {}).get("spec") or {}).get("operatorClass")
    return value if isinstance(value, str) else ""


def timestamp(now: float) -> str:
    """The moment as Kubernetes writes it."""
    return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
