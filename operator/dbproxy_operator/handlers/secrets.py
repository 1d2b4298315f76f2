"""Secrets: our own by their label, the user's by who refers to them."""

from typing import Any

import kopf

from dbproxy_operator.handlers.wakes import Wakes, content
from dbproxy_operator.observe import references
from dbproxy_operator.observe.world import PROXY_LABEL

Reference = tuple[str | None, str]

PROXIES = "secrets_of_proxies"
GROUPS = "secrets_of_groups"


def register(registry: kopf.OperatorRegistry, wakes: Wakes) -> None:
    @kopf.index("dbproxy.dev", "v1alpha1", "dbproxies", id=PROXIES, registry=registry)
    async def secrets_of_proxies(
        body: Any, namespace: str | None, name: str, **_: Any
    ) -> dict[Reference, str]:
        return {(namespace, secret): name for secret in references.proxy_secrets(dict(body))}

    @kopf.index("dbproxy.dev", "v1alpha1", "dbproxytargetgroups", id=GROUPS, registry=registry)
    async def secrets_of_groups(
        body: Any, namespace: str | None, **_: Any
    ) -> dict[Reference, str | None]:
        proxy = references.proxy_of(dict(body))
        return {(namespace, secret): proxy for secret in references.group_secrets(dict(body))}

    @kopf.on.event("v1", "secrets", registry=registry)
    async def secret_changed(event: Any, namespace: str | None, name: str, **indices: Any) -> None:
        own = (event["object"]["metadata"].get("labels") or {}).get(PROXY_LABEL)
        users = {
            *indices[PROXIES].get((namespace, name), ()),
            *indices[GROUPS].get((namespace, name), ()),
            *([own] if own else []),
        }
        if users and wakes.is_news(event, content(event)):
            for proxy in users:
                wakes.wake("Secret", namespace, proxy)
