"""What of an object whose status counts wakes its proxy: the informer asks for no more.

Of a pod its coming, getting ready, failing and going; of a Deployment an edit by hand and the
progress of a rollout.
"""

from dbproxy_operator.kube.watch import version_of
from dbproxy_operator.observe.world import Object, status

_GAVE_UP = "ProgressDeadlineExceeded"
_ROLLOUT = ("observedGeneration", "updatedReplicas", "replicas")


def of_deployment(deployment: Object) -> object:
    found = status(deployment)
    conditions = [
        (condition.get("type"), condition.get("status"), condition.get("reason"))
        for condition in found.get("conditions") or ()
        if condition.get("type") == "ReplicaFailure" or condition.get("reason") == _GAVE_UP
    ]
    return [
        version_of(deployment["metadata"]),
        *(found.get(field) for field in _ROLLOUT),
        conditions,
    ]


def of_pod(pod: Object) -> object:
    found = status(pod)
    return [
        pod["metadata"].get("deletionTimestamp"),
        found.get("phase"),
        [
            (condition.get("type"), condition.get("status"))
            for condition in found.get("conditions") or ()
        ],
        [
            ((container.get("state") or {}).get("waiting") or {}).get("reason")
            for container in found.get("containerStatuses") or ()
        ],
    ]
