"""The machine of `decide.writer` with its facts, for tests of its rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.agent_made import answered, elected, failed

from dbproxy.decide.writer import Ballot, Fencing, Writer
from dbproxy.facts import Drained, Election, Probe
from dbproxy.probe.views import View
from dbproxy.settings import WriterFloor


@dataclass
class World:
    """A machine with its facts; time passes by one second with each of them."""

    elected: bool = True
    floor: WriterFloor | None = None
    election: Election | None = None
    fencing: Fencing = field(default_factory=lambda: Fencing(30.0))
    read_at: float = float("inf")
    now: float = 100.0
    writer: Writer = field(default_factory=Writer)
    views: dict[str, View] = field(
        default_factory=lambda: {name: View(name) for name in ("db-0", "db-1")}
    )

    def says(self, election: Election) -> World:
        self.election = election
        return self.pass_by(1)

    def sees(self, *probes: Probe) -> World:
        for probe in probes:
            self.views[probe.target] = self.views[probe.target].fold(probe)
        return self.pass_by(1)

    def reads(self, target: str) -> World:
        return self.sees(answered(target, self.now, writes=False))

    def writes(self, target: str, timeline: int = 1) -> World:
        return self.sees(answered(target, self.now, writes=True, timeline=timeline))

    def loses(self, target: str, *, decisive: bool = True) -> World:
        return self.sees(failed(target, self.now, decisive=decisive))

    def drains(self, target: str, epoch: int, *, unconfirmed: bool = False) -> World:
        self.writer.terms.drained(Drained(target, epoch, unconfirmed))
        return self.pass_by(1)

    def pass_by(self, seconds: float) -> World:
        self.now += seconds
        ballot = Ballot(self.election, self.floor, self.read_at) if self.elected else None
        self.writer.observe(ballot, self.fencing, self.views, self.now)
        return self

    def moves(self, target: str) -> World:
        """The target's name stands for another server from now on."""
        self.views[target] = View(target, place=self.views[target].place + 10)
        return self.pass_by(1)

    @property
    def state(self) -> tuple[str, int, bool]:
        term = self.writer.term
        assert term is not None
        return term.target, term.epoch, self.writer.is_open

    @property
    def reason(self) -> str:
        return self.writer.verdict.reason

    @property
    def acknowledged(self) -> tuple[int, bool] | None:
        known = self.writer.terms.acknowledged
        return None if known is None else (known.epoch, known.unconfirmed)


def settled(target: str = "db-0", epoch: int = 7) -> World:
    """A world in which the writer is known and open."""
    other = "db-1" if target == "db-0" else "db-0"
    return World().says(elected(target, epoch)).writes(target).reads(other)


def refused(world: World, target: str) -> World:
    """The monitor is refused by that target."""
    return world.sees(failed(target, world.now, reason="AUTH_FAILURE"))
