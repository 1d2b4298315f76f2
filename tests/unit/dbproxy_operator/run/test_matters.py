"""Of pods and Deployments only that is news which a pass may act upon."""

import copy

import pytest
from tests.resources import Object

from dbproxy_operator.run.matters import of_deployment, of_pod

POD: Object = {
    "metadata": {"name": "a", "resourceVersion": "1"},
    "spec": {"nodeName": ""},
    "status": {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False", "lastProbeTime": "t"}],
        "containerStatuses": [{"name": "proxy", "state": {"waiting": {"reason": "Creating"}}}],
    },
}
DEPLOYMENT: Object = {
    "metadata": {"name": "a", "resourceVersion": "1", "generation": 2, "labels": {}},
    "status": {
        "observedGeneration": 2,
        "updatedReplicas": 1,
        "replicas": 2,
        "conditions": [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}],
    },
}


def changed(obj: Object, *path: str | int, to: object) -> Object:
    made = copy.deepcopy(obj)
    *steps, last = path
    where = made
    for step in steps:
        where = where[step]  # type: ignore[index]
    where[last] = to  # type: ignore[index]
    return made


@pytest.mark.parametrize(
    "path",
    [
        ("metadata", "deletionTimestamp"),
        ("status", "phase"),
        ("status", "conditions", 0, "status"),
        ("status", "containerStatuses", 0, "state", "waiting", "reason"),
    ],
)
def test_a_pod_that_comes_gets_ready_fails_or_goes_is_news(path: tuple[str | int, ...]) -> None:
    assert of_pod(changed(POD, *path, to="x")) != of_pod(POD)


@pytest.mark.parametrize(
    "path",
    [
        ("metadata", "resourceVersion"),
        ("spec", "nodeName"),
        ("status", "conditions", 0, "lastProbeTime"),
    ],
)
def test_anything_else_of_a_pod_is_none(path: tuple[str | int, ...]) -> None:
    assert of_pod(changed(POD, *path, to="x")) == of_pod(POD)


@pytest.mark.parametrize(
    "path",
    [
        ("metadata", "generation"),
        ("metadata", "labels"),
        ("status", "observedGeneration"),
        ("status", "updatedReplicas"),
        ("status", "replicas"),
        ("status", "conditions", 0, "type"),
        ("status", "conditions", 0, "reason"),
    ],
)
def test_an_edit_and_a_rollouts_progress_are_news(path: tuple[str | int, ...]) -> None:
    words = {"type": "ReplicaFailure", "reason": "ProgressDeadlineExceeded"}
    to = words.get(str(path[-1]), 7)
    assert of_deployment(changed(DEPLOYMENT, *path, to=to)) != of_deployment(DEPLOYMENT)


@pytest.mark.parametrize(
    "path",
    [
        ("metadata", "resourceVersion"),
        ("metadata", "managedFields"),
        ("status", "readyReplicas"),
        ("status", "conditions", 0, "reason"),
    ],
)
def test_anything_else_of_a_deployment_is_none(path: tuple[str | int, ...]) -> None:
    assert of_deployment(changed(DEPLOYMENT, *path, to="x")) == of_deployment(DEPLOYMENT)
