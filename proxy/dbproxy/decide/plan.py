"""What `planner` says is to be so now; the agent applies it, `tell` reports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dbproxy.decide.snapshot import Snapshot, TargetRole
from dbproxy.decide.terms import Acknowledged, Term
from dbproxy.decide.writer import HoldReason
from dbproxy.facts import HealthReason, Login
from dbproxy.settings import Config

HealthState = Literal["REGISTERING", "AVAILABLE", "UNAVAILABLE"]


@dataclass(frozen=True)
class TargetHealth:
    """What the status says of a target."""

    name: str
    role: TargetRole
    state: HealthState
    reason: HealthReason
    description: str
    max_connections: int | None
    usable_connections: int | None


@dataclass(frozen=True)
class WriterReport:
    target: str
    uid: str
    epoch: int
    is_open: bool
    reason: HoldReason
    message: str


@dataclass(frozen=True)
class Plan:
    """What is to be so now. `fast` asks for frequent probes, `suspended` targets for none."""

    config: Config
    snapshot: Snapshot
    targets: tuple[TargetHealth, ...]
    writer: WriterReport | None
    acknowledged: Acknowledged | None
    logins: tuple[Login, ...]
    term: Term | None
    fast: bool
    suspended: frozenset[str]
    wake_in: float | None
