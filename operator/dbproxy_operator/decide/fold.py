"""What all pods report, folded into what the target group's status says.

- A target is AVAILABLE only if more than half of the pods that report on it say so; the description
  then names how many do not. Otherwise it has the state and reason that most of the others give,
  the worst of equals. With no report at all it is REGISTERING.
- A user's log-in is good if it is for every pod that tried; else the first failure is shown. The
  pods divide the users among them, and some may be tried by several.
- Pinned sessions are those of all pods that say how many they have.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from dbproxy_operator.observe.reports import LoginReport, Report, TargetReport
from dbproxy_operator.observe.world import Object
from dbproxy_operator.spec import DBProxyTargetGroupSpec, Target

AVAILABLE = "AVAILABLE"
_MOST_LOGINS = 50
_MOST_REASONS = 32
_LARGEST = 2**31 - 1
_ROLES = ("READ_WRITE", "READ_ONLY", "UNKNOWN")
_BAD_STATES = ("UNAVAILABLE", "REGISTERING")
_REASONS = (
    "UNREACHABLE",
    "CONNECTION_FAILED",
    "AUTH_FAILURE",
    "INVALID_REPLICATION_STATE",
    "PENDING_PROXY_CAPACITY",
    "PROMOTED",
)


def targets(spec: DBProxyTargetGroupSpec, reports: Sequence[Report], ready: int) -> list[Object]:
    return [_target(target, reports, ready) for target in spec.targets]


def available(folded: Iterable[Object]) -> int:
    return sum(1 for target in folded if target["targetHealth"]["state"] == AVAILABLE)


def usable_connections(targets: Iterable[str], reports: Sequence[Report]) -> dict[str, int]:
    """What there is to divide of each target, if known: as most pods say, of equals the least."""
    found: dict[str, int] = {}
    for target in targets:
        said = Counter(
            seen.usable_connections
            for seen in _seen(target, reports)
            if seen.usable_connections is not None
        )
        if said:
            found[target] = min(said, key=lambda value: (-said[value], value))
    return found


def bad_logins(reports: Sequence[Report]) -> list[Object]:
    """Users as whom some pod could not log in, each with the first failure."""
    found: dict[str, LoginReport] = {}
    for report in reports:
        for login in report.logins:
            if not login.ok:
                found.setdefault(login.user, login)
    return [asdict(found[user]) for user in sorted(found)][:_MOST_LOGINS]


def good_logins(reports: Sequence[Report], users: int, bad: int) -> int:
    """As how many of the users every pod that tried could log in, if `bad` are those that failed;
    pods of an older image name them."""
    good = sum(report.good_logins + sum(login.ok for login in report.logins) for report in reports)
    return max(0, min(good, users - bad))


def pinned_sessions(reports: Sequence[Report]) -> Object | None:
    """How many there are, and how many for each reason; None if no pod says."""
    said = [report.pinned_sessions for report in reports if report.pinned_sessions is not None]
    if not said:
        return None
    found: Counter[str] = Counter()
    for by_reason in said:
        found.update({reason: count for reason, count in by_reason.items() if count})
    named = {reason: min(found[reason], _LARGEST) for reason in sorted(found)[:_MOST_REASONS]}
    return {"total": min(sum(named.values()), _LARGEST), "byReason": named}


def _target(target: Target, reports: Sequence[Report], ready: int) -> Object:
    seen = _seen(target.name, reports)
    entry: Object = {"name": target.name, "host": target.host, "port": target.port}
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
        said = next((target.description for target in good if target.description), "")
        return {"state": AVAILABLE, "reason": _reason(good[0].reason), "description": said}
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
