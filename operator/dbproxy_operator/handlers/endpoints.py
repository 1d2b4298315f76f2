"""Endpoints: what the user says wakes."""

from typing import Any

import kopf

from dbproxy_operator.handlers.wakes import Wakes, content
from dbproxy_operator.observe import references


def register(registry: kopf.OperatorRegistry, wakes: Wakes) -> None:
    @kopf.on.event("dbproxy.dev", "v1alpha1", "dbproxyendpoints", registry=registry)
    async def endpoint_changed(event: Any, namespace: str | None, **_: Any) -> None:
        if wakes.is_news(event, content(event)):
            wakes.wake("DBProxyEndpoint", namespace, references.proxy_of(event["object"]))
