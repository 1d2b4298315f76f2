"""What the demo needs to know of a database, whichever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from .pause import Pause

HERE = Path(__file__).parent
CLIENTS = 8
SECONDS = 20
FLIP_AFTER = 5
# A client that is never answered would keep the load waiting for ever.
LIMIT = ("timeout", "--kill-after=5", str(SECONDS + 45))


@dataclass(frozen=True)
class Flip:
    """When the failover began, and when all was done for it; in seconds of the Unix clock."""

    began: float
    done: float

    @property
    def seconds(self) -> float:
        return self.done - self.began


def after(pause: Pause, flip: Flip) -> float:
    """How long after that the first transaction ended."""
    return max(0.0, pause.ended - flip.done)


@dataclass(frozen=True)
class Told:
    """What the load says of itself: as it printed it, and in the words of the summary."""

    report: str
    summary: str


class Database(ABC):
    """One kind of database behind the proxy."""

    title: str
    # The program that a person would use in the client's pod.
    shell: str
    # What the load is called, and how it was started.
    load: str
    arguments: str

    @property
    @abstractmethod
    def manifests(self) -> list[Path]:
        """Files or folders, for kubectl to apply in one go."""

    @abstractmethod
    def use(self) -> None:
        """Ask something through the proxy, and make the tables of the load."""

    @abstractmethod
    def start_load(self) -> list[str]:
        """The command of the load, in the client's pod."""

    @abstractmethod
    def flip(self) -> Flip:
        """Change who the writer is, and say so in the election."""

    @abstractmethod
    def told(self, flip: Flip, output: str) -> Told:
        """What the load did. ValueError: it finished nothing after the failover began."""
