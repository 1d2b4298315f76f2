"""One reading of everything that concerns a DBProxy, live but for what `recall` may keep.

What is decided from is read at that moment, by no index: the resources, the pods, what is served,
the CA's key, the Deployment, the election.

The election ConfigMap is read after the target groups, so that it is at least as new as what the
pods reported of it.

A single object that can't be read is noted as such, and what was served of it stays: it keeps
nothing else from going on, least of all a change of the writer. Only what everything is made from
must be there to read: the resources themselves, the pods, what is served, and the Deployment.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field, replace

from dbproxy_operator.kube import Kube, KubeError, RefusedError
from dbproxy_operator.observe import names, references
from dbproxy_operator.observe.recall import Recall
from dbproxy_operator.observe.world import (
    PROXY_LABEL,
    Key,
    Object,
    Observed,
    Ref,
    Unread,
    is_leaving,
    name,
    seniority,
    status,
)

PROXY_FIELD = "spec.proxyRef.name"
BAD_REQUEST = 400


async def observe(kube: Kube, recall: Recall, key: Key, *, presume: bool = True) -> Observed:
    """Pods are listed after what they report was read: so none is missing that has reported.

    With `presume` what is most probably not there isn't asked for, and noted as such: creating it
    is answered with a conflict if it is there, and then everything must be read without.
    """
    proxy, groups, endpoints = await asyncio.gather(
        kube.get("DBProxy", key.namespace, key.name),
        _belonging(kube, "DBProxyTargetGroup", key),
        _belonging(kube, "DBProxyEndpoint", key),
    )
    if proxy is None or is_leaving(proxy):
        pods = await _pods(kube, key) if groups else []
        return Observed(key, None, tuple(groups), tuple(endpoints), tuple(pods))
    reading = _Reading(kube, recall, key, presume)
    pods, secrets, election, _ = await asyncio.gather(
        _pods(kube, key),
        reading.secrets([proxy, *groups[:1]]),
        reading.election(references.election(groups[0]) if groups else None),
        reading.made(proxy, [key.name, names.peers_name(key.name), *map(name, endpoints)]),
    )
    return Observed(
        key,
        proxy,
        groups=tuple(groups),
        endpoints=tuple(endpoints),
        pods=tuple(pods),
        children=reading.children,
        services=frozenset(reading.services),
        secrets=secrets,
        election=election,
        unread=reading.unread,
        presumed=frozenset(reading.presumed),
    )


async def with_election(
    kube: Kube, recall: Recall, observed: Observed, followed: str | None
) -> Observed:
    """With the election that the pods follow, where the group names another one by now."""
    if not observed.groups or followed in (None, references.election(observed.groups[0])):
        return observed
    reading = _Reading(kube, recall, observed.key)
    election = await reading.election(followed)
    return replace(observed, election=election, unread={**observed.unread, **reading.unread})


async def all_keys(kube: Kube, namespaces: Iterable[str]) -> set[Key]:
    """Every DBProxy, and every one that a target group or an endpoint asks for."""
    keys: set[Key] = set()
    for namespace in tuple(namespaces) or (None,):
        for proxy in await kube.list("DBProxy", namespace):
            keys.add(Key(proxy["metadata"]["namespace"], name(proxy)))
        for kind in ("DBProxyTargetGroup", "DBProxyEndpoint"):
            for obj in await kube.list(kind, namespace):
                proxy_name = references.proxy_of(obj)
                if proxy_name is not None:
                    keys.add(Key(obj["metadata"]["namespace"], proxy_name))
    return keys


async def _belonging(kube: Kube, kind: str, key: Key) -> list[Object]:
    """Target groups or endpoints of the proxy, the oldest first."""
    try:
        found = await kube.list(kind, key.namespace, field_selector=f"{PROXY_FIELD}={key.name}")
    except RefusedError as error:
        if error.status != BAD_REQUEST:
            raise
        # Before 1.31 no field of a custom resource can be selected by.
        found = await kube.list(kind, key.namespace)
    found = [obj for obj in found if references.proxy_of(obj) == key.name and not is_leaving(obj)]
    return sorted(found, key=seniority)


async def _pods(kube: Kube, key: Key) -> list[Object]:
    return await kube.list("Pod", key.namespace, label_selector=_labelled(key))


def _labelled(key: Key) -> str:
    return f"{PROXY_LABEL}={key.name}"


@dataclass
class _Reading:
    """What belongs to a proxy by name."""

    kube: Kube
    recall: Recall
    key: Key
    presume: bool = False
    children: dict[Ref, Object] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)
    unread: dict[Ref, Unread] = field(default_factory=dict)
    presumed: set[Ref] = field(default_factory=set)

    async def made(self, proxy: Object, services: list[str]) -> None:
        """What the operator made; `services`: the names that Services of it may have.

        Of a proxy of which nothing was told yet, and that has nothing of what all the rest is made
        from, there is most probably nothing at all.
        """
        outputs = names.outputs(self.key.name)
        new = self.presume and not status(proxy).get("conditions")
        if new:
            await self._roots()
            if not self.children and self._authority not in self.unread:
                self.presumed.update(outputs, (("Service", one) for one in services))
                return
        roots = () if new else (self._roots(),)
        await asyncio.gather(*roots, self._outputs(outputs), self._services(services))

    @property
    def _authority(self) -> Ref:
        return "Secret", names.ca_key_name(self.key.name)

    async def _roots(self) -> None:
        """What everything else is made from, or hangs on."""
        config = names.config_name(self.key.name)
        indispensable: list[Ref] = [
            ("Secret", config),
            ("ConfigMap", config),
            ("Deployment", self.key.name),
        ]
        *found, _ = await asyncio.gather(
            *(self.kube.get(kind, self.key.namespace, child) for kind, child in indispensable),
            self._try_all([self._authority]),
        )
        self._note(indispensable, found)

    async def _outputs(self, refs: list[Ref]) -> None:
        self._note(refs, await asyncio.gather(*(self._try_recall(ref) for ref in refs)))

    async def _services(self, wanted: list[str]) -> None:
        """By their label in one call; one that may lack it, by its name."""
        refs = [("Service", service) for service in wanted]
        try:
            listed = await self.kube.list(
                "Service", self.key.namespace, label_selector=_labelled(self.key)
            )
        except KubeError as error:
            self.unread |= dict.fromkeys(
                [*refs, ("Service", "")], Unread(error.status, error.message)
            )
            return
        self.services |= {name(service) for service in listed}
        self._note([("Service", name(service)) for service in listed], listed)
        await self._try_all([ref for ref in refs if ref not in self.children])

    async def _try_all(self, refs: list[Ref]) -> None:
        self._note(refs, await asyncio.gather(*(self._try(ref) for ref in refs)))

    def _note(self, refs: Iterable[Ref], found: Iterable[Object | None]) -> None:
        self.children |= {
            ref: child for ref, child in zip(refs, found, strict=True) if child is not None
        }

    async def secrets(self, owners: list[Object]) -> dict[str, Object]:
        proxy, *groups = owners
        wanted = references.proxy_secrets(proxy)
        for group in groups:
            wanted |= references.group_secrets(group)
        ordered = sorted(wanted)
        found = await asyncio.gather(*(self._try_recall(("Secret", one)) for one in ordered))
        return {secret: obj for secret, obj in zip(ordered, found, strict=True) if obj is not None}

    async def election(self, config_map: str | None) -> Object | None:
        return await self._try(("ConfigMap", config_map)) if config_map is not None else None

    async def _try(self, ref: Ref) -> Object | None:
        kind, child = ref
        return await self._noted(ref, self.kube.get(kind, self.key.namespace, child))

    async def _try_recall(self, ref: Ref) -> Object | None:
        kind, child = ref
        place = (kind, self.key.namespace, child)
        call = self.recall.read(place, lambda: self.kube.get(*place))
        return await self._noted(ref, call)

    async def _noted(self, ref: Ref, call: Awaitable[Object | None]) -> Object | None:
        try:
            return await call
        except KubeError as error:
            self.unread[ref] = Unread(error.status, error.message)
            return None
