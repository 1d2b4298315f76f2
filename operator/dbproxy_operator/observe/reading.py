"""One reading of everything that concerns a DBProxy, live: no cache, no index.

The election ConfigMap is read after the target groups, so that it is at least as new as what the
pods reported of it.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from dbproxy_operator.kube import Kube, RefusedError
from dbproxy_operator.observe import names, references
from dbproxy_operator.observe.world import (
    PROXY_LABEL,
    Key,
    Object,
    Observed,
    Ref,
    is_leaving,
    name,
    seniority,
)

PROXY_FIELD = "spec.proxyRef.name"
BAD_REQUEST = 400


async def observe(kube: Kube, key: Key) -> Observed:
    """Pods are listed after what they report was read: so none is missing that has reported."""
    proxy, groups, endpoints = await asyncio.gather(
        kube.get("DBProxy", key.namespace, key.name),
        _belonging(kube, "DBProxyTargetGroup", key),
        _belonging(kube, "DBProxyEndpoint", key),
    )
    if proxy is None or is_leaving(proxy):
        pods = await _pods(kube, key) if groups else []
        return Observed(key, None, tuple(groups), tuple(endpoints), tuple(pods))
    pods, services, children, secrets, election = await asyncio.gather(
        _pods(kube, key),
        kube.list("Service", key.namespace, label_selector=_labelled(key)),
        _children(kube, key, endpoints),
        _secrets(kube, key, [proxy, *groups[:1]]),
        _election(kube, key, groups),
    )
    return Observed(
        key,
        proxy,
        groups=tuple(groups),
        endpoints=tuple(endpoints),
        pods=tuple(pods),
        children=children,
        services=tuple(services),
        secrets=secrets,
        election=election,
    )


async def with_election(kube: Kube, observed: Observed, followed: str | None) -> Observed:
    """With the election that the pods follow, where the group names another one by now."""
    if not observed.groups or followed in (None, references.election(observed.groups[0])):
        return observed
    election = await kube.get("ConfigMap", observed.key.namespace, str(followed))
    return replace(observed, election=election)


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


async def _children(kube: Kube, key: Key, endpoints: Iterable[Object]) -> dict[Ref, Object]:
    account, config = names.account_name(key.name), names.config_name(key.name)
    wanted: list[Ref] = [
        ("ServiceAccount", account),
        ("Role", account),
        ("RoleBinding", account),
        ("Secret", config),
        ("Secret", names.ca_key_name(key.name)),
        ("ConfigMap", config),
        ("ConfigMap", names.ca_name(key.name)),
        ("Service", key.name),
        ("PodDisruptionBudget", key.name),
        ("Deployment", key.name),
        *(("Service", name(endpoint)) for endpoint in endpoints),
    ]
    found = await asyncio.gather(*(kube.get(kind, key.namespace, child) for kind, child in wanted))
    return {ref: child for ref, child in zip(wanted, found, strict=True) if child is not None}


async def _secrets(kube: Kube, key: Key, owners: list[Object]) -> dict[str, Object]:
    proxy, *groups = owners
    wanted = references.proxy_secrets(proxy)
    for group in groups:
        wanted |= references.group_secrets(group)
    ordered = sorted(wanted)
    found = await asyncio.gather(*(kube.get("Secret", key.namespace, secret) for secret in ordered))
    return {secret: obj for secret, obj in zip(ordered, found, strict=True) if obj is not None}


async def _election(kube: Kube, key: Key, groups: list[Object]) -> Object | None:
    config_map = references.election(groups[0]) if groups else None
    if config_map is None:
        return None
    return await kube.get("ConfigMap", key.namespace, config_map)
