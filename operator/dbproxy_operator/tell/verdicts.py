"""How things stand with each of the three resources: facts in, Verdict and status body out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dbproxy_operator.decide import fold
from dbproxy_operator.decide.intent import Fleet, Intent
from dbproxy_operator.decide.resolve import Endpoint, Group, Resolved
from dbproxy_operator.decide.served import UNREAD
from dbproxy_operator.decide.writer import WAITING
from dbproxy_operator.desired.deployment import drain_seconds
from dbproxy_operator.errors import Problem
from dbproxy_operator.observe import names
from dbproxy_operator.observe.reports import Report
from dbproxy_operator.observe.world import Key, Object, Ref, generation, is_leaving, name, status
from dbproxy_operator.spec import DBProxySpec
from dbproxy_operator.tell import faults, pods
from dbproxy_operator.tell.status import Extra, Verdict

# What may keep a pod from the newest settings, in its own words (the proxy's `facts`).
POD_PROBLEMS = (
    "InvalidSettings",
    "WaitingForCredentials",
    "SettingsRefused",
    "ListenerUnavailable",
    "Budget",
)


@dataclass(frozen=True)
class Facts:
    """What a reconcile knows once it has applied its plan.

    `faults`: what keeps an object from being written; `delays`: what the API server may yet take.
    """

    key: Key
    resolved: Resolved
    fleet: Fleet
    intent: Intent
    stored: Mapping[Ref, Object]
    faults: Mapping[Ref, Problem]
    delays: Mapping[Ref, Problem]

    def serves(self, obj: Object) -> bool:
        """Whether the Service named as the object is there, as far as anybody knows."""
        ref = ("Service", name(obj))
        return ref in self.stored or (ref in self.delays and "endpoint" in status(obj))


def proxy_verdict(facts: Facts, proxy: Object, spec: DBProxySpec) -> Verdict:
    deployment = facts.stored.get(("Deployment", facts.key.name))
    problems = [*facts.resolved.problems, *_of_proxy(facts.faults, facts)]
    stuck = _replica_failure(deployment)
    if stuck is not None:
        problems.append(stuck)
    growth, unwritten = facts.intent.growth, facts.intent.configuration.problem
    problems += [problem for problem in (growth.refused, unwritten) if problem is not None]
    behind = pods.behind(facts.fleet, facts.intent) if facts.intent.reporting else None
    steps = [
        *_of_proxy(facts.delays, facts),
        pods.unacknowledged(facts.fleet, growth) if growth.held_back else None,
        pods.missing(facts.fleet, spec.replicas),
        pods.rolling_out(deployment, spec.replicas),
        behind,
    ]
    problems, unread = _divided(problems)
    return Verdict(
        problem=_worst(problems),
        progress=_first([*unread, *steps]),
        serving=bool(facts.fleet.ready),
        current=len(facts.fleet.ready) >= spec.replicas and behind is None,
        ready_message="all pods are ready and have the current settings",
        extras=(_upgrade(facts), *_expiry(facts)),
    )


def proxy_status(facts: Facts, proxy: Object, spec: DBProxySpec) -> Object:
    body: Object = {
        "observedGeneration": generation(proxy),
        "replicas": len([pod for pod in facts.fleet.alive if not is_leaving(pod)]),
        "readyReplicas": len(facts.fleet.ready),
        "selector": ",".join(f"{k}={v}" for k, v in names.selector(facts.key.name).items()),
        # More than are wanted, for the moment of a rollout, would look like a mistake.
        "ready": f"{min(len(facts.fleet.ready), spec.replicas)}/{spec.replicas}",
        "image": facts.intent.template.image,
    }
    if facts.serves(proxy):
        host = names.service_host(facts.key.namespace, facts.key.name)
        body["endpoint"] = f"{host}:{spec.service_port}"
    group = facts.resolved.group
    if group is not None and group.spec is not None:
        folded = fold.targets(group.spec, facts.fleet.heard, len(facts.fleet.ready))
        body["healthyTargets"] = f"{fold.available(folded)}/{len(folded)}"
    writer = facts.intent.writer
    if writer is not None and (writer.known or writer.undecided) and writer.record:
        body["writer"] = writer.record["target"]
    return body


def group_verdict(facts: Facts, group: Group) -> Verdict:
    heard, ready = facts.fleet.heard, facts.fleet.ready
    spec, writer = group.spec, facts.intent.writer
    told = (_targets_available(facts, group), _writer_known(facts))
    if spec is None or writer is None:
        return Verdict(problem=_worst(group.problems), extras=told)
    problems = list(group.problems)
    growth = facts.intent.growth
    if growth.sizes.most == 0 and growth.refused is not None:
        problems.append(growth.refused)
    behind = pods.behind(facts.fleet, facts.intent, group.obj)
    progress: Problem | None = None
    if not ready:
        progress = pods.none_ready()
    elif behind is not None:
        progress = behind
    elif not writer.known and (writer.undecided or writer.reason in WAITING):
        progress = Problem(writer.reason, writer.message, unwatched=writer.undecided)
    elif not writer.known:
        problems.append(Problem(writer.reason, writer.message))
    problems += [_of_pod(report) for report in heard if report.problem][:1]
    problems, unread = _divided(problems)
    return Verdict(
        problem=_worst(problems),
        progress=_first([*unread, progress]),
        serving=bool(ready) and (writer.known or writer.undecided),
        current=bool(ready) and behind is None,
        ready_message="the writer is known, and all pods have the current settings",
        extras=told,
    )


def group_status(facts: Facts, group: Group) -> Object:
    body: Object = {"observedGeneration": generation(group.obj)}
    if group.spec is None:
        # The floor of the writer outlasts a spec that can't be read.
        return body | {key: value for key, value in status(group.obj).items() if key == "writer"}
    body["targets"] = fold.targets(group.spec, facts.fleet.heard, len(facts.fleet.ready))
    body["logins"] = fold.bad_logins(facts.fleet.heard)
    users, bad = len(facts.resolved.logins), len(body["logins"])
    body["goodLogins"] = fold.good_logins(facts.fleet.heard, users, bad)
    pinned = fold.pinned_sessions(facts.fleet.heard)
    if pinned is not None:
        body["pinnedSessions"] = pinned
    if facts.intent.writer is not None and facts.intent.writer.record:
        body["writer"] = dict(facts.intent.writer.record)
    return body


def endpoint_verdict(facts: Facts, endpoint: Endpoint) -> Verdict:
    ref = ("Service", name(endpoint.obj))
    port = facts.intent.listeners.ports.get(name(endpoint.obj))
    problem = endpoint.problem or facts.faults.get(ref)
    if problem is None and port is None:
        problem = Problem("NoFreePort", "no listener port is free yet; former ones are retiring")
    late = facts.fleet.unheard(port) if port is not None else list(facts.fleet.ready)
    progress = facts.delays.get(ref)
    if not facts.fleet.ready:
        progress = pods.none_ready()
    elif facts.resolved.group is None:
        progress = Problem(
            "NoTargetGroup",
            "the proxy has no target group to lead to: create a DBProxyTargetGroup for it",
        )
    elif late:
        progress = pods.deaf(facts.fleet, late)
    return Verdict(
        problem=problem or _no_reader(facts, endpoint),
        progress=progress,
        serving=bool(facts.fleet.ready) and facts.serves(endpoint.obj),
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
    if facts.serves(endpoint.obj):
        host = names.service_host(facts.key.namespace, name(endpoint.obj))
        body["endpoint"] = f"{host}:{spec.service_port}"
    return body


def _of_pod(report: Report) -> Problem:
    reason = report.problem_reason
    told = f"a proxy pod says: {report.problem}"
    return Problem(reason if reason in POD_PROBLEMS else "SettingsRefused", told)


def _worst(problems: Sequence[Problem]) -> Problem | None:
    """Contradictions first, else in the order in which they were found."""
    return min(problems, key=lambda problem: not problem.contradiction, default=None)


def _divided(problems: Iterable[Problem]) -> tuple[list[Problem], list[Problem]]:
    """What is wrong, and what can't be read now and may well be right."""
    found: tuple[list[Problem], list[Problem]] = ([], [])
    for problem in problems:
        found[problem.reason == UNREAD].append(problem)
    return found


def _first(steps: Iterable[Problem | None]) -> Problem | None:
    return next((step for step in steps if step is not None), None)


def _of_proxy(told: Mapping[Ref, Problem], facts: Facts) -> list[Problem]:
    """But for what concerns an endpoint's Service, which is told there."""
    own = (facts.key.name, names.peers_name(facts.key.name), "")
    return [problem for (kind, child), problem in told.items() if kind != "Service" or child in own]


def _no_reader(facts: Facts, endpoint: Endpoint) -> Problem | None:
    """Clients of a READ_ONLY endpoint are refused at once where every target is a writer."""
    group = facts.resolved.group
    if group is None or group.spec is None or endpoint.spec is None:
        return None
    if endpoint.spec.target_role != "READ_ONLY":
        return None
    folded = fold.targets(group.spec, facts.fleet.heard, len(facts.fleet.ready))
    if any(target["role"] != "READ_WRITE" for target in folded):
        return None
    return Problem(
        "NoReader",
        f"no target of {name(group.obj)} is a reader, so every client is refused: add a replica to "
        "its spec.targets",
    )


def _replica_failure(deployment: Object | None) -> Problem | None:
    for condition in status(deployment or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return faults.pods_refused(str(condition.get("message", "")))
    return None


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


def _expiry(facts: Facts) -> Iterable[Extra]:
    """Only of a certificate that the user has to renew."""
    spec, user = facts.resolved.spec, facts.resolved.certificate
    if spec is None or spec.tls is None or user is None:
        return
    if user.expiry is None:
        yield Extra("CertificateExpiring", False, "Valid", "")
        return
    message = f"the certificate from the Secret {spec.tls.secret_name} {user.expiry}: renew it"
    yield Extra("CertificateExpiring", True, "ExpiresSoon", message)


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
    if writer.undecided or (not writer.known and writer.reason == "NoReport"):
        return Extra("WriterKnown", None, writer.reason, writer.message)
    return Extra("WriterKnown", writer.known, writer.reason, writer.message)
