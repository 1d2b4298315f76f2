"""What the pods say of themselves in status.proxies[]: untrusted, so checked and cut to size.

A pod may write whatever it likes there, also in another pod's name. Nothing that is read here can
do more than misinform, or keep the configuration as it is or in an older format: entries of pods
that do not live are dropped, numbers are bounded, and the writer's floor comes from the election
itself (`decide.writer`).
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dbproxy_operator.observe.world import Object, status

_LARGEST = 2**53
_TEXT = 512
_NAME = 253
_ENTRIES = 512
_LISTENERS = 128
_TARGETS = 16
_LOGINS = 201
_REASONS = 32

_REASON = re.compile(r"[a-z_]{1,64}")


@dataclass(frozen=True)
class WriterReport:
    target: str
    uid: str
    epoch: int
    open: bool
    reason: str
    message: str


@dataclass(frozen=True)
class AcknowledgedReport:
    """The newest epoch of which the pod has no connection to an earlier writer left."""

    uid: str
    epoch: int
    unconfirmed: bool


@dataclass(frozen=True)
class TargetReport:
    name: str
    role: str
    state: str
    reason: str
    description: str
    usable_connections: int | None


@dataclass(frozen=True)
class LoginReport:
    user: str
    target: str
    ok: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Report:
    pod: str
    # The newest format of its configuration that the pod reads; 0 if it doesn't say.
    format_version: int = 0
    revision: int = 0
    secret_revision: int = 0
    generation: int = 0
    group_generation: int = 0
    # The pod makes use of no more than one such part of the connections; 0: of none.
    divisor: int = 0
    listeners: frozenset[int] = frozenset()
    writer: WriterReport | None = None
    acknowledged: AcknowledgedReport | None = None
    targets: tuple[TargetReport, ...] = ()
    good_logins: int = 0
    logins: tuple[LoginReport, ...] = ()
    # By reason; None: the pod is of an image that doesn't say.
    pinned_sessions: dict[str, int] | None = None
    problem: str = ""
    problem_reason: str = ""


def read(group: Object, pods: Iterable[str]) -> dict[str, Report]:
    """The reports of those pods; of several in one pod's name the first counts."""
    wanted = set(pods)
    found: dict[str, Report] = {}
    for entry in _entries(group):
        pod = entry.get("pod")
        if isinstance(pod, str) and pod in wanted and pod not in found:
            found[pod] = _report(pod, entry)
    return found


def pods_named(group: Object) -> list[str]:
    """The pods in whose names there are entries, there or gone."""
    return [entry["pod"] for entry in _entries(group) if isinstance(entry.get("pod"), str)]


def digest(group: Object) -> str:
    """Equal while no pod has said anything new."""
    text = json.dumps(status(group).get("proxies") or [], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _entries(group: Object) -> list[Object]:
    entries = status(group).get("proxies")
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries[:_ENTRIES] if isinstance(entry, dict)]


def _report(pod: str, entry: Object) -> Report:
    # A pod that leaves says its name and nothing else; one of an older image knows one format.
    unsaid = 0 if entry.keys() <= {"pod"} else 1
    return Report(
        pod=pod,
        format_version=_number(entry.get("formatVersion")) or unsaid,
        revision=_number(entry.get("revision")),
        secret_revision=_number(entry.get("secretRevision")),
        generation=_number(entry.get("generation")),
        group_generation=_number(entry.get("groupGeneration")),
        divisor=_number(entry.get("budgetDivisor")),
        listeners=frozenset(
            port for port in _list(entry.get("listeners"), _LISTENERS) if isinstance(port, int)
        ),
        writer=_writer(entry.get("writer")),
        acknowledged=_acknowledged(entry.get("acknowledged")),
        targets=tuple(
            _target(target)
            for target in _list(entry.get("targets"), _TARGETS)
            if isinstance(target, dict)
        ),
        good_logins=_number(entry.get("goodLogins")),
        logins=tuple(
            _login(login)
            for login in _list(entry.get("logins"), _LOGINS)
            if isinstance(login, dict)
        ),
        pinned_sessions=_by_reason(entry.get("pinnedSessions")),
        problem=text(entry.get("problem")),
        problem_reason=text(entry.get("problemReason"), 64),
    )


def _writer(value: Any) -> WriterReport | None:
    if not isinstance(value, dict):
        return None
    return WriterReport(
        target=text(value.get("target"), 63),
        uid=text(value.get("uid"), 64),
        epoch=_number(value.get("epoch")),
        open=value.get("state") == "OPEN",
        reason=text(value.get("reason"), 64),
        message=text(value.get("message")),
    )


def _acknowledged(value: Any) -> AcknowledgedReport | None:
    if not isinstance(value, dict):
        return None
    return AcknowledgedReport(
        uid=text(value.get("uid"), 64),
        epoch=_number(value.get("epoch")),
        # Whoever doesn't say that it is sure is not.
        unconfirmed=value.get("unconfirmed") is not False,
    )


def _target(value: Object) -> TargetReport:
    return TargetReport(
        name=text(value.get("name"), 63),
        role=text(value.get("role"), 16),
        state=text(value.get("state"), 16),
        reason=text(value.get("reason"), 64),
        description=text(value.get("description")),
        usable_connections=_number(value.get("usableConnections")) or None,
    )


def _login(value: Object) -> LoginReport:
    return LoginReport(
        user=text(value.get("user"), _NAME),
        target=text(value.get("target"), 63),
        ok=value.get("ok") is True,
        reason=text(value.get("reason"), 64),
        message=text(value.get("message")),
    )


def _by_reason(value: Any) -> dict[str, int] | None:
    if not isinstance(value, dict):
        return None
    named = [reason for reason in value if isinstance(reason, str) and _REASON.fullmatch(reason)]
    return {reason: _number(value[reason]) for reason in sorted(named)[:_REASONS]}


def text(value: Any, limit: int = _TEXT) -> str:
    """One printable line, cut to size."""
    if not isinstance(value, str):
        return ""
    line = "".join(char if char.isprintable() else " " for char in value[: limit * 2])
    return line[:limit]


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 <= value < _LARGEST else 0


def _list(value: Any, limit: int) -> list[Any]:
    return value[:limit] if isinstance(value, list) else []
