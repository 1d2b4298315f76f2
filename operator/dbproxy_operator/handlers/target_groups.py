"""Target groups: what the user says wakes, and what the pods say, by a digest of it."""

from typing import Any

import kopf

from dbproxy_operator.handlers.wakes import Wakes, content
from dbproxy_operator.observe import references, reports


def register(registry: kopf.OperatorRegistry, wakes: Wakes) -> None:
    @kopf.on.event("dbproxy.dev", "v1alpha1", "dbproxytargetgroups", registry=registry)
    async def group_changed(event: Any, namespace: str | None, **_: Any) -> None:
        obj = event["object"]
        refs = [("Secret", secret) for secret in references.group_secrets(obj)]
        if (election := references.election(obj)) is not None:
            refs.append(("ConfigMap", election))
        wakes.refers(event, references.proxy_of(obj), refs)
        if wakes.is_news(event, [content(event), reports.digest(obj)]):
            wakes.wake("DBProxyTargetGroup", namespace, references.proxy_of(obj))
