"""How things stand with each of the three resources: facts in, Verdict and status body out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbproxy_operator.decide import budget, fold
from dbproxy_operator.decide.intent import Fleet, Intent
from dbproxy_operator.decide.resolve import Endpoint, Group, Resolved
from dbproxy_operator.desired.deployment import drain_seconds
from dbproxy_operator.errors import Problem
from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import Key, Object, Ref, generation, is_leaving, name, status
from dbproxy_operator.spec import DBProxySpec
from dbproxy_operator.tell.status import Extra, Verdict

_BROKEN_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


@dataclass(frozen=True)
class Facts:
    """What a reconcile knows once it has applied its plan."""

    key: Key
    resolved: Resolved
    fleet: Fleet
    intent: Intent
    stored: Mapping[Ref, Object]
    faults: Mapping[Ref, Problem]


def refusals(refused: Mapping[Ref, str]) -> dict[Ref, Problem]:
    """What the API server would not have, told in the terms of the resource."""
    reasons = {"Deployment": "InvalidTemplate", "Service": "InvalidService"}
    where = {"Deployment": "spec.template or spec.image", "Service": "spec.service"}
    return {
        ref: Problem(
            reasons.get(ref[0], "Refused"),
            f"the API server refuses the {ref[0]} {ref[1]}"
            + (f" (correct {where[ref[0]]})" if ref[0] in where else "")
            + f": {words[:1000]}",
            contradiction=True,
        )
        for ref, words in refused.items()
    }


def proxy_verdict(facts: Facts, proxy: Object, spec: DBProxySpec) -> Verdict:
    own = {ref: fault for ref, fault in facts.faults.items() if not _of_endpoint(ref, facts)}
    problems = [*facts.resolved.problems, *own.values()]
    deployment = facts.stored.get(("Deployment", facts.key.name))
    stuck = _replica_failure(deployment)
    if stuck is not None:
        problems.append(stuck)
    late = _late(facts.fleet, generation(proxy)) if facts.resolved.group else []
    serving = len(facts.fleet.ready) >= spec.replicas
    progress = None
    if facts.intent.growth.waiting_for:
        progress = Problem(
            "WaitingForAcknowledgement",
            "pods must give up connections before more are added; "
            "waiting until all Ready pods have done so",
        )
    elif not serving:
        progress = Problem("PodsNotReady", _why_not_ready(facts.fleet))
    elif not _rolled_out(deployment):
        progress = Problem("RollingOut", "the Deployment is replacing pods")
    elif late:
        progress = Problem("WaitingForPods", "waiting until all Ready pods apply the new settings")
    return Verdict(
        problem=_worst(problems),
        progress=progress,
        serving=serving,
        current=serving and not late,
        ready_message="all pods are ready and have the current settings",
        extras=(_upgrade(facts),),
    )


def proxy_status(facts: Facts, proxy: Object, spec: DBProxySpec) -> Object:
    body: Object = {
        "observedGeneration": generation(proxy),
        "replicas": len([pod for pod in facts.fleet.alive if not is_leaving(pod)]),
        "readyReplicas": len(facts.fleet.ready),
        "selector": ",".join(f"{k}={v}" for k, v in names.selector(facts.key.name).items()),
        "ready": f"{len(facts.fleet.ready)}/{spec.replicas}",
        "image": facts.intent.template.image,
    }
    if ("Service", facts.key.name) in facts.stored:
        host = names.service_host(facts.key.namespace, facts.key.name)
        body["endpoint"] = f"{host}:{spec.service_port}"
    group = facts.resolved.group
    if group is not None and group.spec is not None:
        folded = fold.targets(group.spec, facts.fleet.heard, len(facts.fleet.ready))
        body["healthyTargets"] = f"{fold.available(folded)}/{len(folded)}"
    writer = facts.intent.writer
    if writer is not None and writer.known and writer.record:
        body["writer"] = writer.record["target"]
    return body


def group_verdict(facts: Facts, group: Group) -> Verdict:
    heard, ready = facts.fleet.heard, facts.fleet.ready
    spec, writer = group.spec, facts.intent.writer
    told = (_targets_available(facts, group), _writer_known(facts))
    if spec is None or writer is None:
        return Verdict(problem=_worst(group.problems), extras=told)
    problems = list(group.problems)
    share = budget.share_problem(spec, fold.max_connections(spec, heard), facts.intent.divisor)
    if share is not None:
        problems.append(share)
    late = [
        pod
        for pod in ready
        if pod not in facts.fleet.reports
        or facts.fleet.reports[pod].group_generation < generation(group.obj)
    ]
    progress = None
    if not ready:
        progress = Problem("PodsNotReady", "waiting for a proxy pod that is ready")
    elif late:
        progress = Problem("WaitingForPods", "waiting until all Ready pods apply the new settings")
    elif not writer.known and writer.reason in ("NoReport", "NotConfirmed"):
        progress = Problem(writer.reason, writer.message)
    elif not writer.known:
        problems.append(Problem(writer.reason, writer.message))
    rejected = next((report.problem for report in heard if report.problem), "")
    if rejected:
        problems.append(Problem("SettingsRefused", f"a proxy pod says: {rejected}"))
    return Verdict(
        problem=_worst(problems),
        progress=progress,
        serving=bool(ready) and writer.known,
        current=bool(ready) and not late,
        ready_message="the writer is known, and all pods have the current settings",
        extras=told,
    )


def group_status(facts: Facts, group: Group) -> Object:
    body: Object = {"observedGeneration": generation(group.obj)}
    if group.spec is None:
        # The floor of the writer outlasts a spec that can't be read.
        return body | {key: value for key, value in status(group.obj).items() if key == "writer"}
    body["targets"] = fold.targets(group.spec, facts.fleet.heard, len(facts.fleet.ready))
    body["logins"] = fold.logins(facts.fleet.heard)
    if facts.intent.writer is not None and facts.intent.writer.record:
        body["writer"] = dict(facts.intent.writer.record)
    return body


def endpoint_verdict(facts: Facts, endpoint: Endpoint) -> Verdict:
    ref = ("Service", name(endpoint.obj))
    problem = endpoint.problem or facts.faults.get(ref)
    port = facts.intent.listeners.ports.get(name(endpoint.obj))
    if problem is None and port is None:
        problem = Problem("NoFreePort", "no listener port is free yet; former ones are retiring")
    late = facts.fleet.unheard(port) if port is not None else list(facts.fleet.ready)
    progress = None
    if not facts.fleet.ready:
        progress = Problem("PodsNotReady", "waiting for a proxy pod that is ready")
    elif facts.resolved.group is None:
        progress = Problem(
            "NoTargetGroup",
            "the proxy has no target group to lead to: create a DBProxyTargetGroup for it",
        )
    elif late:
        progress = Problem("WaitingForPods", "waiting until all Ready pods listen for it")
    return Verdict(
        problem=problem,
        progress=progress,
        serving=bool(facts.fleet.ready) and ref in facts.stored,
        current=bool(facts.fleet.ready) and not late,
        ready_message="all pods listen for it",
    )


def endpoint_status(facts: Facts, endpoint: Endpoint, spec: DBProxySpec) -> Object:
    body: Object = {"observedGeneration": generation(endpoint.obj)}
    port = facts.intent.listeners.ports.get(name(endpoint.obj))
    if endpoint.spec is not None:
        body["targetRole"] = endpoint.spec.target_role
    if port is not None:
        body["port"] = port
    if ("Service", name(endpoint.obj)) in facts.stored:
        host = names.service_host(facts.key.namespace, name(endpoint.obj))
        body["endpoint"] = f"{host}:{spec.service_port}"
    return body


def _worst(problems: Sequence[Problem]) -> Problem | None:
    """Contradictions first, else in the order in which they were found."""
    return min(problems, key=lambda problem: not problem.contradiction, default=None)


def _of_endpoint(ref: Ref, facts: Facts) -> bool:
    kind, child = ref
    return kind == "Service" and child != facts.key.name


def _late(fleet: Fleet, wanted: int) -> list[str]:
    return [
        pod
        for pod in fleet.ready
        if pod not in fleet.reports or fleet.reports[pod].generation < wanted
    ]


def _rolled_out(deployment: Object | None) -> bool:
    if deployment is None:
        return False
    state = status(deployment)
    wanted = deployment["spec"].get("replicas", 1)
    return bool(
        state.get("observedGeneration", 0) >= generation(deployment)
        and state.get("updatedReplicas", 0) >= wanted
        and state.get("replicas", 0) <= wanted
    )


def _replica_failure(deployment: Object | None) -> Problem | None:
    for condition in status(deployment or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            words = str(condition.get("message", ""))[:1000]
            return Problem("PodsRefused", f"pods cannot be created; correct spec.template: {words}")
    return None


def _why_not_ready(fleet: Fleet) -> str:
    """Worded without counts and names of pods, or every pod would be an Event of its own."""
    for pod in fleet.alive:
        for container in status(pod).get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            reason = waiting.get("reason", "")
            if reason in _BROKEN_IMAGE:
                image = container.get("image", "")
                return f"the image {image} cannot be pulled: check spec.image"
            if reason == "CrashLoopBackOff":
                return f"the container {container.get('name')} keeps ending: see its log"
            if reason in ("CreateContainerConfigError", "CreateContainerError"):
                return f"the container {container.get('name')} cannot be created: describe the pod"
        for condition in status(pod).get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return "a pod cannot be scheduled: describe it to see why"
    return "waiting for pods to become ready"


def _upgrade(facts: Facts) -> Extra:
    template, spec = facts.intent.template, facts.resolved.spec
    if template.newer is None or spec is None:
        return Extra("UpgradeAvailable", False, "UpToDate", "")
    message = (
        "this operator would run the pods in another way; to replace them, annotate the DBProxy "
        f"with dbproxy.dev/upgrade={template.newer}"
    )
    limit = drain_seconds(template.grace_seconds)
    if spec.drain_timeout > limit:
        message += (
            f"; until then pods drain for {limit} s at most, "
            f"not for the {spec.drain_timeout} s of drainTimeout"
        )
    return Extra("UpgradeAvailable", True, "NewerTemplate", message)


def _targets_available(facts: Facts, group: Group) -> Extra:
    if group.spec is None:
        return Extra("TargetsAvailable", None, "InvalidSpec", "the spec cannot be read")
    folded = fold.targets(group.spec, facts.fleet.heard, len(facts.fleet.ready))
    bad = [target for target in folded if target["targetHealth"]["state"] != fold.AVAILABLE]
    if not bad:
        return Extra("TargetsAvailable", True, "AllAvailable", "all targets are available")
    states = [
        f"{target['name']} is {target['targetHealth']['state']}"
        + (f" ({target['targetHealth']['reason']})" if target["targetHealth"]["reason"] else "")
        for target in bad
    ]
    probing = all(target["targetHealth"]["state"] == "REGISTERING" for target in bad)
    if probing:
        return Extra("TargetsAvailable", None, "Probing", "waiting for the first probes")
    return Extra("TargetsAvailable", False, "TargetUnavailable", ", ".join(states))


def _writer_known(facts: Facts) -> Extra:
    writer = facts.intent.writer
    if writer is None:
        return Extra("WriterKnown", None, "InvalidSpec", "the spec cannot be read")
    if not writer.known and writer.reason == "NoReport":
        return Extra("WriterKnown", None, writer.reason, writer.message)
    return Extra("WriterKnown", writer.known, writer.reason, writer.message)
