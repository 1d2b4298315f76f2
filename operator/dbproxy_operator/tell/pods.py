"""What the pods keep an object waiting for: which of them, for how long, and what to look at."""

from collections.abc import Sequence

from dbproxy_operator.decide.budget import Growth
from dbproxy_operator.decide.intent import Fleet, Intent
from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.world import Object, generation, is_leaving, name, status

STARTING = 300.0
GIVING_BACK = 300.0
# The Deployment's controller has its own deadline for each step; this one is for its absence.
ROLLOUT_OF_ONE = 600.0
OFTEN = 3
_BROKEN_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_BROKEN_CONTAINER = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def none_ready() -> Problem:
    return Problem("PodsNotReady", "waiting for a proxy pod that is ready", patience=STARTING)


def missing(fleet: Fleet, wanted: int) -> Problem | None:
    """Pods that should be Ready and are not; a broken one counts whatever the others do."""
    unready = [pod for pod in fleet.alive if not is_leaving(pod) and name(pod) not in fleet.ready]
    broken: dict[str, list[str]] = {}
    for pod in unready:
        if why := _broken(pod):
            broken.setdefault(why, []).append(name(pod))
    if broken:
        why, pods = next(iter(broken.items()))
        return Problem("PodsNotReady", why, waits_for=tuple(sorted(pods)))
    if len(fleet.ready) >= wanted:
        return None
    homeless = [name(pod) for pod in unready if _is_unscheduled(pod)]
    if homeless:
        why = "no node takes these pods: describe one to see why"
        return Problem("PodsNotReady", why, patience=STARTING, waits_for=tuple(sorted(homeless)))
    if without := tuple(sorted(name(pod) for pod in unready if _has_no_part(fleet, pod))):
        why = "these pods wait for a part of the connections that others still have"
        return Problem("PodsNotReady", why, patience=GIVING_BACK, waits_for=without)
    waits_for = tuple(sorted(name(pod) for pod in unready))
    why = "waiting for pods to become ready" if waits_for else "waiting for pods to be created"
    return Problem("PodsNotReady", why, patience=STARTING, waits_for=waits_for)


def rolling_out(deployment: Object | None, wanted: int) -> Problem | None:
    """What the Deployment's controller has still to do, or has given up."""
    if deployment is None:
        return Problem("RollingOut", "the Deployment is not there yet")
    for condition in status(deployment).get("conditions") or ():
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return Problem(
                "ProgressDeadlineExceeded",
                "the Deployment gave up replacing pods: describe its newest pods to see what "
                f"they lack, and correct spec.template or spec.image; {condition.get('message')}",
                contradiction=True,
            )
    if _rolled_out(deployment):
        return None
    return Problem(
        "RollingOut",
        "the Deployment is replacing pods",
        patience=ROLLOUT_OF_ONE * max(1, wanted),
    )


def unacknowledged(fleet: Fleet, growth: Growth) -> Problem:
    """Pods hold what others are to have; those that say nothing, a whole share."""
    return _silent(fleet, [holder.pod for holder in growth.waiting_for]) or Problem(
        "WaitingForAcknowledgement",
        f"each pod is to have {growth.share}, and more pods are added as those give up what they "
        "have beyond it whose clients hold it in long transactions or pinned sessions",
        patience=GIVING_BACK,
        waits_for=growth.holding,
    )


def behind(fleet: Fleet, intent: Intent, group: Object | None = None) -> Problem | None:
    """Ready pods that have not reported the settings that are composed now; of the group's newest
    generation, if one is given."""
    if silent := _silent(fleet, fleet.ready):
        return silent
    late = tuple(pod for pod in fleet.ready if _is_late(fleet, pod, intent, group))
    if late:
        return Problem(
            "WaitingForPods",
            "waiting until these pods apply the new settings; if it stays so, see their logs",
            waits_for=late,
        )
    return None


def deaf(fleet: Fleet, pods: Sequence[str]) -> Problem:
    """`pods`: those that do not listen for an endpoint yet."""
    return _silent(fleet, pods) or Problem(
        "WaitingForPods", "waiting until these pods listen for it", waits_for=tuple(pods)
    )


def _silent(fleet: Fleet, pods: Sequence[str]) -> Problem | None:
    silent = tuple(pod for pod in pods if pod not in fleet.reports)
    if not silent:
        return None
    return Problem(
        "WaitingForReports",
        "these pods are Ready and report nothing; if it stays so, see that NetworkPolicies and "
        "webhooks let them reach the API server, and look for report_failed in their logs",
        waits_for=silent,
    )


def _is_late(fleet: Fleet, pod: str, intent: Intent, group: Object | None) -> bool:
    report = fleet.reports[pod]
    # A pod of an older image doesn't say which Secret it has.
    wanted = intent.configuration
    old_secret = 0 < report.secret_revision < wanted.secret_revision
    if report.revision < wanted.revision or old_secret:
        return True
    return group is not None and report.group_generation < generation(group)


def _has_no_part(fleet: Fleet, pod: Object) -> bool:
    report = fleet.reports.get(name(pod))
    return report is not None and report.divisor == 0


def _broken(pod: Object) -> str:
    """What will not heal by waiting, or ""."""
    found = status(pod)
    for container in (
        *(found.get("initContainerStatuses") or ()),
        *(found.get("containerStatuses") or ()),
    ):
        reason = ((container.get("state") or {}).get("waiting") or {}).get("reason", "")
        if reason in _BROKEN_IMAGE:
            return f"the image {container.get('image', '')} cannot be pulled: check spec.image"
        # Between two ends it runs for a moment, which is no way out.
        again = not container.get("ready") and container.get("restartCount", 0) >= OFTEN
        if reason == "CrashLoopBackOff" or again:
            return f"the container {container.get('name')} keeps ending: see its log"
        if reason in _BROKEN_CONTAINER:
            return f"the container {container.get('name')} cannot be created: describe the pod"
    return ""


def _is_unscheduled(pod: Object) -> bool:
    return any(
        condition.get("type") == "PodScheduled" and condition.get("status") == "False"
        for condition in status(pod).get("conditions") or ()
    )


def _rolled_out(deployment: Object) -> bool:
    state = status(deployment)
    wanted = deployment["spec"].get("replicas", 1)
    return bool(
        state.get("observedGeneration", 0) >= generation(deployment)
        and state.get("updatedReplicas", 0) >= wanted
        and state.get("replicas", 0) <= wanted
    )
