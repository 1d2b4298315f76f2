"""Takes the word from pods that are gone or have ended: under their name, since they own it."""

from dbproxy_operator.kube import Kube, NotFoundError
from dbproxy_operator.observe import names, reports
from dbproxy_operator.observe.world import Object, Observed, is_alive, name

_LONGEST_MANAGER = 128


async def withdraw(kube: Kube, observed: Observed) -> None:
    """Of pods that `observed` has not; it lists them after it read what they said."""
    there = {name(pod) for pod in observed.pods if is_alive(pod)}
    for group in observed.groups:
        left = group
        for pod in reports.pods_named(group):
            if pod not in there:
                left = await _forget(kube, left, pod) or left


async def _forget(kube: Kube, group: Object, pod: str) -> Object | None:
    manager = names.pod_manager(pod)
    body = {
        "apiVersion": group["apiVersion"],
        "kind": group["kind"],
        "metadata": names.identity(group),
    }
    left = group
    try:
        if len(manager) <= _LONGEST_MANAGER:
            left = await kube.apply(body, manager, force=True, status=True)
        if pod in reports.pods_named(left):
            # Somebody else wrote in that pod's name.
            path = f"/status/proxies/{reports.pods_named(left).index(pod)}"
            operations = [
                {"op": "test", "path": f"{path}/pod", "value": pod},
                {"op": "remove", "path": path},
            ]
            left = await kube.json_patch(
                group["kind"],
                group["metadata"]["namespace"],
                name(group),
                operations,
                status=True,
            )
    except NotFoundError:
        return None
    return left
