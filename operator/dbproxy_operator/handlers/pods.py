"""Proxy pods: coming, getting ready, failing and going."""

from typing import Any

import kopf

from dbproxy_operator.handlers.wakes import Wakes
from dbproxy_operator.observe.world import PROXY_LABEL


def register(registry: kopf.OperatorRegistry, wakes: Wakes) -> None:
    @kopf.on.event("v1", "pods", labels={PROXY_LABEL: kopf.PRESENT}, registry=registry)
    async def pod_changed(event: Any, namespace: str | None, **_: Any) -> None:
        obj = event["object"]
        if wakes.is_news(event, _matters(obj)):
            wakes.wake("Pod", namespace, (obj["metadata"].get("labels") or {}).get(PROXY_LABEL))


def _matters(pod: Any) -> list[object]:
    status = pod.get("status") or {}
    return [
        pod["metadata"].get("deletionTimestamp"),
        status.get("phase"),
        [
            (condition.get("type"), condition.get("status"))
            for condition in status.get("conditions") or ()
        ],
        [
            ((container.get("state") or {}).get("waiting") or {}).get("reason")
            for container in status.get("containerStatuses") or ()
        ],
    ]
