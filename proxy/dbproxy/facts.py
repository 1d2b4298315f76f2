"""What the agent learns from outside, as frozen values: the only words between watchers and
planner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ElectionState = Literal["FOUND", "NOT_FOUND", "INVALID", "UNREACHABLE"]
ProbeState = Literal["OK", "FAILED", "LOCAL"]
HealthReason = Literal[
    "",
    "UNREACHABLE",
    "CONNECTION_FAILED",
    "AUTH_FAILURE",
    "PENDING_PROXY_CAPACITY",
    "INVALID_REPLICATION_STATE",
    "PROMOTED",
]
Source = Literal["api", "file"]
ProblemReason = Literal[
    "InvalidSettings",
    "WaitingForCredentials",
    "SettingsRefused",
    "ListenerUnavailable",
    "Budget",
]


@dataclass(frozen=True)
class Problem:
    """Why the newest configuration is not what is served, or not wholly."""

    reason: ProblemReason
    message: str


@dataclass(frozen=True)
class Election:
    """The election ConfigMap as it was last read; `writer` "" means that there is none now."""

    state: ElectionState
    uid: str = ""
    writer: str = ""
    epoch: int = 0
    message: str = ""


@dataclass(frozen=True)
class ServerFacts:
    """What a target said of itself."""

    in_recovery: bool
    max_connections: int
    reserved_connections: int
    timeline: int | None = None
    replay_lag: float | None = None
    # Another value: sessions that begin now differ from those that began before.
    defaults: str = ""
    # MySQL's and MariaDB's only: the version that its greeting tells, to the letter (drivers go by
    # it), which one it is, what it has run, and what is wrong with how it follows others.
    version: str = ""
    server_id: str = ""
    gtid: str = ""
    replication_fault: str = ""

    @property
    def usable_connections(self) -> int:
        """What there is to divide: all but those that the server reserves for superusers."""
        return max(0, self.max_connections - self.reserved_connections)


@dataclass(frozen=True)
class Probe:
    """One probe of a target. `asked_at` is the monotonic time at which it began.

    `decisive` failures count at once (refused, unknown host); of the others (a deadline missed) it
    takes several. `LOCAL` says that the fault was ours and tells nothing about the target.
    """

    target: str
    state: ProbeState
    asked_at: float
    took: float
    server: ServerFacts | None = None
    reason: HealthReason = ""
    decisive: bool = False
    message: str = ""


@dataclass(frozen=True)
class Addresses:
    """What a target's host name resolves to now."""

    target: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Drained:
    """The engine holds no connection to a former writer any more, as of its epoch."""

    target: str
    epoch: int
    unconfirmed: bool


@dataclass(frozen=True)
class Login:
    """Whether a user of the configuration can log in to the database."""

    user: str
    target: str
    ok: bool
    reason: str = ""
    message: str = ""
