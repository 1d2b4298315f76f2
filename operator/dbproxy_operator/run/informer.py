"""Wakes the proxies whose Secrets, ConfigMaps, children or pods change, whoever else has thousands.

Kopf takes a task, a queue and a record for each object that it watches, and is left to the three
resources of users; here only those objects are remembered that some proxy uses.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from dbproxy_operator.kube import Kube
from dbproxy_operator.kube.watch import Change, Listed, Listing, Matters, changes
from dbproxy_operator.observe.recall import Recall
from dbproxy_operator.observe.world import PROXY_LABEL, Key
from dbproxy_operator.run import matters
from dbproxy_operator.run.users import Users

_OURS = {"labelSelector": PROXY_LABEL}
KINDS: dict[str, dict[str, str]] = {
    # Helm keeps whole releases in Secrets.
    "Secret": {"fieldSelector": "type!=helm.sh/release.v1"},
    "ConfigMap": {},
    "Service": _OURS,
    "ServiceAccount": _OURS,
    "PodDisruptionBudget": _OURS,
    "Role": _OURS,
    "RoleBinding": _OURS,
    "Deployment": _OURS,
    "Pod": _OURS,
}
MATTERS: dict[str, Matters] = {"Deployment": matters.of_deployment, "Pod": matters.of_pod}


@dataclass
class Informer:
    """Of one of KINDS. `recall` is told of each version; `wake` of the kind and the proxy."""

    kind: str
    users: Users
    recall: Recall
    wake: Callable[[str, Key], None]
    _known: dict[tuple[str, str], tuple[str, Key | None]] = field(default_factory=dict)
    _listed: set[tuple[str, str]] = field(default_factory=set)

    async def run(self, kube: Kube, namespace: str | None) -> None:
        told = changes(kube, self.kind, namespace, KINDS[self.kind], MATTERS.get(self.kind))
        async for change in told:
            self.learn(change)

    def learn(self, change: Change) -> None:
        if isinstance(change, Listing):
            self._listed = set()
            self.recall.begun(self.kind)
            return
        if isinstance(change, Listed):
            self.recall.begun(self.kind, self._listed)
            for place in self._known.keys() - self._listed:
                self._wake(self._users(place, None))
                del self._known[place]
            return
        place = (change.namespace, change.name)
        self.recall.told((self.kind, *place), change.version)
        owner = change.labels.get(PROXY_LABEL)
        users = self._users(place, Key(change.namespace, owner) if owner else None)
        self._listed.add(place)
        former = self._known.pop(place, None)
        if change.version is None:
            self._wake(users)
        elif users:
            # One that has just lost its label is remembered until its next change.
            self._known[place] = (change.version, Key(change.namespace, owner) if owner else None)
            if former is None or former[0] != change.version:
                self._wake(users)

    def _users(self, place: tuple[str, str], own: Key | None) -> set[Key]:
        namespace, name = place
        _, formerly = self._known.get(place, ("", None))
        owners = {key for key in (own, formerly) if key is not None}
        return self.users.of(namespace, (self.kind, name)) | owners

    def _wake(self, users: set[Key]) -> None:
        for key in users:
            self.wake(self.kind, key)
