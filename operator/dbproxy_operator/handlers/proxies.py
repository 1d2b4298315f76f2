"""DBProxies: what the user says wakes; what the operator writes into status doesn't."""

from typing import Any

import kopf

from dbproxy_operator.handlers.wakes import Wakes, content
from dbproxy_operator.observe import references


def register(registry: kopf.OperatorRegistry, wakes: Wakes) -> None:
    @kopf.on.event("dbproxy.dev", "v1alpha1", "dbproxies", registry=registry)
    async def proxy_changed(event: Any, namespace: str | None, name: str, **_: Any) -> None:
        secrets = references.proxy_secrets(event["object"])
        wakes.refers(event, name, [("Secret", secret) for secret in secrets])
        if wakes.is_news(event, content(event)):
            wakes.wake("DBProxy", namespace, name)
