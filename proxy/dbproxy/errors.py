"""What can go wrong in the agent, by whose fault: every room raises these, `__main__` and `agent`
answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with the configuration, and where: `settings.json: proxy.name`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ConfigError(Exception):
    """The user's or the operator's configuration can't be used; holds every fault found."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class SnapshotRefusedError(Exception):
    """The engine says that a snapshot is wrong: the configuration it came from is not usable."""


class ListenerUnavailableError(Exception):
    """The engine can't open a listener now (its port is taken); worth another try."""


class KubeError(Exception):
    """The API server can't be reached, or answered with an error."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
