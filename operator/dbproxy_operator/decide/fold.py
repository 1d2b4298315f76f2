"""What all pods report, folded into what the target group's status says.

- A target is AVAILABLE only if more than half of the pods that report on it say so; the description
  then names how many do not. Otherwise it has the state and reason that most of the others give,
  the worst of equals. With no report at all it is REGISTERING.
- The writer is what the pods that have it OPEN say: with an election the highest epoch, without one
  what most of them say. Reports can't push the epoch beyond what the operator itself read in the
  election ConfigMap, since that epoch is the floor that all pods obey.
- A user's log-in is good if it is for every pod that tried; else the first failure is shown.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from dbproxy_operator.observe.reports import LoginReport, Report, TargetReport, WriterReport
from dbproxy_operator.observe.world import Object, status, uid
from dbproxy_operator.spec import DBProxyTargetGroupSpec, Target

AVAILABLE = "AVAILABLE"
_MOST_LOGINS = 50
_ROLES = ("READ_WRITE", "READ_ONLY", "UNKNOWN")
_BAD_STATES = ("UNAVAILABLE", "REGISTERING", "UNUSED")
_REASONS = (
    "UNREACHABLE",
    "CONNECTION_FAILED",
    "AUTH_FAILURE",
    "INVALID_REPLICATION_STATE",
    "PENDING_PROXY_CAPACITY",
    "PROMOTED",
)
# Why no writer is known: what is so, and what to do about it.
_UNKNOWN_WRITER = {
    "NoWriter": (
        "no target answers as writer",
        "check that a primary runs and can be reached",
    ),
    "MultipleWriters": (
        "several targets answer as writer",
        "stop the one that must not be, or let writerElection decide",
    ),
    "ElectionNotFound": (
        "the election ConfigMap is missing",
        "create the ConfigMap that writerElection names",
    ),
    "ElectionInvalid": (
        "the election ConfigMap is malformed",
        "give it `writer`, a target's name, and `epoch`, an integer",
    ),
    "UnknownWriter": (
        "the election names a writer that is not among the targets",
        "add it to spec.targets, or elect another",
    ),
    "EpochFell": (
        "the election's epoch is lower than before",
        "raise it above status.writer.epoch",
    ),
    "WriterDisagrees": (
        "the elected writer denies in SQL that it is one",
        "promote it, or elect another",
    ),
}


@dataclass(frozen=True)
class WriterState:
    """The writer to record (the last one while none is known), and whether it is known now."""

    record: Object | None
    known: bool
    reason: str
    message: str


def targets(spec: DBProxyTargetGroupSpec, reports: Sequence[Report], ready: int) -> list[Object]:
    return [_target(target, reports, ready) for target in spec.targets]


def available(folded: Iterable[Object]) -> int:
    return sum(1 for target in folded if target["targetHealth"]["state"] == AVAILABLE)


def max_connections(spec: DBProxyTargetGroupSpec, reports: Sequence[Report]) -> dict[str, int]:
    """Each target's max_connections, where known: what most pods say, of equals the lowest."""
    found: dict[str, int] = {}
    for target in spec.targets:
        said = Counter(
            seen.max_connections
            for seen in _seen(target.name, reports)
            if seen.max_connections is not None
        )
        if said:
            found[target.name] = min(said, key=lambda value: (-said[value], value))
    return found


def bad_logins(reports: Sequence[Report]) -> list[Object]:
    """Users as whom some pod could not log in, each with the first failure."""
    found: dict[str, LoginReport] = {}
    for report in reports:
        for login in report.logins:
            if not login.ok:
                found.setdefault(login.user, login)
    return [asdict(found[user]) for user in sorted(found)][:_MOST_LOGINS]


def good_logins(reports: Sequence[Report]) -> int:
    """As how many users every pod that tried could log in; pods of an older image name them."""
    counted = [
        report.good_logins + sum(login.ok for login in report.logins)
        for report in reports
        if report.good_logins or report.logins
    ]
    return min(counted, default=0)


def writer(
    group: Object,
    spec: DBProxyTargetGroupSpec,
    reports: Sequence[Report],
    election: Object | None,
    now: str,
) -> WriterState:
    known = {target.name for target in spec.targets}
    before = status(group).get("writer") or None
    said = [report.writer for report in reports if report.writer is not None]
    opened = [
        writer
        for writer in said
        if writer.open
        and writer.target in known
        and (spec.writer_election is None or _credible(writer, election))
    ]
    if not opened:
        reason, message = _why_unknown(spec, said, election)
        return WriterState(before, False, reason, message)
    chosen = _chosen(opened, elected=spec.writer_election is not None)
    if chosen is None:
        message = "the pods disagree on the writer, half of them each way"
        return WriterState(before, False, "WriterDisagrees", message)
    record: Object = {"target": chosen.target, "uid": chosen.uid, "epoch": chosen.epoch}
    if before and before.get("uid") == chosen.uid and before.get("epoch", 0) > chosen.epoch:
        # Pods that lag, or were just started: the floor never falls within one election.
        return WriterState(before, False, "EpochFell", ": ".join(_UNKNOWN_WRITER["EpochFell"]))
    same = before and all(before.get(field) == value for field, value in record.items())
    record["since"] = before["since"] if before and same and before.get("since") else now
    if all(writer.reason in _UNKNOWN_WRITER for writer in opened):
        # The last writer stays, since SQL confirms it; the election itself is at fault.
        reason, message = _why_unknown(spec, opened, election)
        return WriterState(record, False, reason, message)
    return WriterState(record, True, "WriterKnown", f"the writer is {chosen.target}")


def floor(spec: DBProxyTargetGroupSpec, record: Object | None) -> Object | None:
    """What the pods must not fall below."""
    if spec.writer_election is None or not record or not record.get("uid"):
        return None
    return {
        "target": record.get("target", ""),
        "uid": record["uid"],
        "epoch": record.get("epoch", 0),
    }


def _target(target: Target, reports: Sequence[Report], ready: int) -> Object:
    seen = _seen(target.name, reports)
    entry: Object = {"name": target.name, "host": target.host, "port": target.server_port}
    if not seen:
        waiting = "no pod has probed it yet" if ready else "no proxy pod is ready to probe it"
        reason = "" if ready else "PENDING_PROXY_CAPACITY"
        health = {"state": "REGISTERING", "reason": reason, "description": waiting}
        return {**entry, "role": "UNKNOWN", "targetHealth": health}
    return {**entry, "role": _role(seen), "targetHealth": _health(seen)}


def _seen(name: str, reports: Sequence[Report]) -> list[TargetReport]:
    found: list[TargetReport] = []
    for report in reports:
        found += [target for target in report.targets if target.name == name][:1]
    return found


def _role(seen: Sequence[TargetReport]) -> str:
    roles = Counter(target.role for target in seen if target.role in _ROLES)
    if not roles:
        return "UNKNOWN"
    (best, count), *others = roles.most_common()
    return "UNKNOWN" if others and others[0][1] == count else best


def _health(seen: Sequence[TargetReport]) -> Object:
    good = [target for target in seen if target.state == AVAILABLE]
    bad = [target for target in seen if target.state != AVAILABLE]
    if not bad:
        first = good[0]
        return {"state": AVAILABLE, "reason": _reason(first.reason), "description": ""}
    worst = _worst(bad)
    description = worst.description
    if good:
        description = f"{len(bad)} of {len(seen)} pods: {description}"
    if len(good) * 2 > len(seen):
        return {"state": AVAILABLE, "reason": "", "description": description}
    state = worst.state if worst.state in _BAD_STATES else "UNAVAILABLE"
    return {"state": state, "reason": _reason(worst.reason), "description": description}


def _worst(bad: Sequence[TargetReport]) -> TargetReport:
    kinds = Counter((target.state, target.reason) for target in bad)

    def badness(target: TargetReport) -> tuple[int, int, int]:
        state = _BAD_STATES.index(target.state) if target.state in _BAD_STATES else 0
        reason = _REASONS.index(target.reason) if target.reason in _REASONS else len(_REASONS)
        return -kinds[target.state, target.reason], state, reason

    return min(bad, key=badness)


def _reason(reason: str) -> str:
    return reason if reason in _REASONS else ""


def _credible(writer: WriterReport, election: Object | None) -> bool:
    if election is None or writer.uid != uid(election):
        return False
    try:
        return writer.epoch <= int((election.get("data") or {}).get("epoch", ""))
    except ValueError:
        return False


def _chosen(opened: Sequence[WriterReport], *, elected: bool) -> WriterReport | None:
    if elected:
        return max(opened, key=lambda writer: (writer.epoch, writer.target))
    votes = Counter(writer.target for writer in opened)
    (target, count), *others = votes.most_common()
    if others and others[0][1] == count:
        return None
    return max(
        (writer for writer in opened if writer.target == target), key=lambda writer: writer.epoch
    )


def _why_unknown(
    spec: DBProxyTargetGroupSpec, said: Sequence[WriterReport], election: Object | None
) -> tuple[str, str]:
    if spec.writer_election is not None and election is None:
        map_name = spec.writer_election.config_map_ref.name
        return (
            "ElectionNotFound",
            f"the ConfigMap {map_name}, which writerElection names, is missing: create it",
        )
    reasons = Counter(writer.reason for writer in said if writer.reason in _UNKNOWN_WRITER)
    if not reasons and said:
        return "NotConfirmed", "the pods wait until SQL confirms the writer"
    if not reasons:
        return "NoReport", "no proxy pod has reported a writer yet"
    reason = max(reasons, key=lambda value: (reasons[value], value))
    details = next((writer.message for writer in said if writer.reason == reason), "")
    what, advice = _UNKNOWN_WRITER[reason]
    return reason, f"{details or what}: {advice}"
