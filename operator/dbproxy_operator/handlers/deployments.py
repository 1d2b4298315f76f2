"""Deployments that the operator made: an edit by hand wakes, and so does a rollout's progress."""

from typing import Any

import kopf

from dbproxy_operator.handlers.wakes import Wakes, content
from dbproxy_operator.observe.world import PROXY_LABEL

_GAVE_UP = "ProgressDeadlineExceeded"
_ROLLOUT = ("observedGeneration", "updatedReplicas", "replicas")


def register(registry: kopf.OperatorRegistry, wakes: Wakes) -> None:
    @kopf.on.event("apps", "v1", "deployments", registry=registry)
    async def deployment_changed(event: Any, namespace: str | None, **_: Any) -> None:
        obj = event["object"]
        proxy = (obj["metadata"].get("labels") or {}).get(PROXY_LABEL)
        if wakes.is_news(event, [content(event), _progress(obj)]):
            wakes.wake("Deployment", namespace, proxy)


def _progress(deployment: Any) -> list[object]:
    status = deployment.get("status") or {}
    conditions = [
        (condition.get("type"), condition.get("status"), condition.get("reason"))
        for condition in status.get("conditions") or ()
        if condition.get("type") == "ReplicaFailure" or condition.get("reason") == _GAVE_UP
    ]
    return [*(status.get(field) for field in _ROLLOUT), conditions]
