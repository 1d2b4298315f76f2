"""What the operator made: an edit or a deletion by hand wakes, and so does a rollout's progress."""

from typing import Any

import kopf

from dbproxy_operator.handlers.wakes import Wakes, content
from dbproxy_operator.observe.world import PROXY_LABEL

_KINDS = (
    ("v1", "services"),
    ("v1", "serviceaccounts"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "v1", "roles"),
    ("rbac.authorization.k8s.io", "v1", "rolebindings"),
)
_GAVE_UP = "ProgressDeadlineExceeded"
_ROLLOUT = ("observedGeneration", "updatedReplicas", "replicas")


def register(registry: kopf.OperatorRegistry, wakes: Wakes) -> None:
    async def child_changed(event: Any, namespace: str | None, **_: Any) -> None:
        if wakes.is_news(event, content(event)):
            wakes.wake("child", namespace, _proxy(event))

    for kind in _KINDS:
        kopf.on.event(*kind, registry=registry)(child_changed)

    @kopf.on.event("apps", "v1", "deployments", registry=registry)
    async def deployment_changed(event: Any, namespace: str | None, **_: Any) -> None:
        if wakes.is_news(event, [content(event), _progress(event)]):
            wakes.wake("Deployment", namespace, _proxy(event))


def _proxy(event: Any) -> str | None:
    labels = event["object"]["metadata"].get("labels") or {}
    proxy = labels.get(PROXY_LABEL)
    return str(proxy) if proxy else None


def _progress(event: Any) -> list[object]:
    status = event["object"].get("status") or {}
    conditions = [
        (condition.get("type"), condition.get("status"), condition.get("reason"))
        for condition in status.get("conditions") or ()
        if condition.get("type") == "ReplicaFailure" or condition.get("reason") == _GAVE_UP
    ]
    return [*(status.get(field) for field in _ROLLOUT), conditions]
