"""Who the writer is: every rule of it, as one pure machine that the planner feeds.

A *term* is the time of one writer: a target's name (or "", there is no writer now), by the word of
an election ConfigMap (its UID and epoch) or, without one, of the targets themselves. The term is
also the floor: what names an older epoch of the same ConfigMap is not obeyed.

What the election ConfigMap says, against the term or, before there is one, `writerFloor`:

| it                              | then                                              |
|---------------------------------|---------------------------------------------------|
| has not been read yet           | hold                                              |
| can't be read, is missing       | the last writer stays while SQL confirms it       |
| malformed, unknown target       | the last writer stays while SQL confirms it       |
| epoch rose                      | a new term at once; it opens when SQL agrees      |
| same epoch, same writer         | nothing new                                       |
| same epoch, another writer      | malformed                                         |
| epoch fell                      | the last writer stays while SQL confirms it       |
| is another object (other UID)   | a new term once SQL agrees; until then as before  |

A term is open or holding. It opens when a probe that began after the term did finds a writer, and
holds again when a probe finds a reader, or nobody. A missed deadline alone changes nothing: that
takes several in a row (views.py).

Without an election: exactly one target answers as writer: a term of that one, open at once. None:
hold. Several: hold, unless one timeline is higher in three probes running.

A term that ends leaves its target *draining* until the engine has seen the last connection to it
go; then the present term is acknowledged. A draining target is not probed. The engine knows terms
by a serial that only rises: the epoch itself, unless another ConfigMap began to count anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dbproxy.facts import Drained, Election
from dbproxy.probe.views import View, latest_timeline
from dbproxy.settings import WriterFloor

# The engine confirms or gives up well before; this holds if its word got lost.
DRAIN_LIMIT = 30.0

HoldReason = Literal[
    "",
    "NoWriter",
    "MultipleWriters",
    "ElectionNotFound",
    "ElectionInvalid",
    "UnknownWriter",
    "EpochFell",
    "WriterDisagrees",
]


@dataclass(frozen=True)
class Term:
    target: str
    uid: str
    epoch: int
    serial: int
    since: float


@dataclass(frozen=True)
class Draining:
    """A former writer; `serial` is the least that the engine's word about it must carry."""

    serial: int
    since: float


@dataclass(frozen=True)
class Acknowledged:
    uid: str
    epoch: int
    unconfirmed: bool


@dataclass(frozen=True)
class Verdict:
    """Why the writer is not plainly known and open, if so."""

    reason: HoldReason = ""
    message: str = ""


class Writer:
    """The machine; `observe` moves it, the attributes tell where it is."""

    def __init__(self) -> None:
        self.term: Term | None = None
        self.is_open = False
        self.verdict = Verdict()
        self.acknowledged: Acknowledged | None = None
        self.draining: dict[str, Draining] = {}
        self._unconfirmed = False
        self._candidate: tuple[Election, float] | None = None

    @property
    def unsettled(self) -> bool:
        """The next probe may change who the writer is: ask often."""
        return not self.is_open or self._candidate is not None or bool(self.draining)

    def observe(
        self,
        election: Election | None,
        floor: WriterFloor | None,
        views: Mapping[str, View],
        now: float,
        *,
        elected: bool,
    ) -> None:
        """Decide anew from all facts; `elected` says whether there is a ConfigMap to obey."""
        self._give_up_draining(now)
        if not elected:
            self._candidate = None
            self.verdict = self._ask_targets(views, now)
            return
        trouble = self._obey(election, floor, views, now)
        self._confirm(views, trouble)

    def drained(self, event: Drained) -> None:
        """The engine's word that no connection to a former writer is left."""
        draining = self.draining.get(event.target)
        if draining is not None and event.epoch >= draining.serial:
            self._end_draining(event.target, unconfirmed=event.unconfirmed)

    def next_deadline(self) -> float | None:
        """When `observe` must be called again even if nothing happens."""
        return min((d.since + DRAIN_LIMIT for d in self.draining.values()), default=None)

    # --- with an election -------------------------------------------------------------------

    def _obey(
        self,
        election: Election | None,
        floor: WriterFloor | None,
        views: Mapping[str, View],
        now: float,
    ) -> Verdict:
        if floor is not None and floor.target in views:
            self._raise_to(floor, now)
        if election is None:
            return Verdict(message="the election ConfigMap has not been read yet")
        trouble = self._claim(election, floor, views, now)
        if self.term is None and floor is not None and floor.target in views:
            self._begin(floor.target, floor.uid, floor.epoch, now)
        return trouble

    def _raise_to(self, floor: WriterFloor, now: float) -> None:
        """Another pod has obeyed a newer epoch of the same ConfigMap: proof enough that it rose."""
        term = self.term
        if term is not None and floor.uid == term.uid and floor.epoch > term.epoch:
            self._begin(floor.target, floor.uid, floor.epoch, now)

    def _claim(
        self,
        election: Election,
        floor: WriterFloor | None,
        views: Mapping[str, View],
        now: float,
    ) -> Verdict:
        if election.state == "UNREACHABLE":
            return Verdict(message=election.message if self.term is None else "")
        if election.state == "NOT_FOUND":
            return Verdict("ElectionNotFound", election.message)
        if election.state == "INVALID":
            return Verdict("ElectionInvalid", election.message)
        if election.writer and election.writer not in views:
            return Verdict("UnknownWriter", f"{election.writer!r} is not a target")
        uid, epoch, target = self._known(floor)
        if uid in ("", election.uid):
            self._candidate = None
        if uid == election.uid and election.epoch < epoch:
            return Verdict("EpochFell", f"epoch {election.epoch}, after {epoch} was obeyed")
        if uid == election.uid and election.epoch == epoch and election.writer != target:
            told = f"epoch {epoch} named {target!r} before, now {election.writer!r}: raise it"
            return Verdict("ElectionInvalid", told)
        if uid not in ("", election.uid):
            return self._consider(election, target, views, now)
        if self.term is None or (self.term.uid, self.term.epoch) != (election.uid, election.epoch):
            self._begin(election.writer, election.uid, election.epoch, now)
        return Verdict()

    def _known(self, floor: WriterFloor | None) -> tuple[str, int, str]:
        if self.term is not None and self.term.uid:
            return self.term.uid, self.term.epoch, self.term.target
        if floor is not None:
            return floor.uid, floor.epoch, floor.target
        return "", 0, ""

    def _consider(
        self, election: Election, last: str, views: Mapping[str, View], now: float
    ) -> Verdict:
        """Another ConfigMap than the one obeyed so far counts once SQL agrees with it."""
        if self._candidate is None or self._candidate[0] != election:
            self._candidate = (election, now)
        since = self._candidate[1]
        named, old = views.get(election.writer), views.get(last)
        if named is not None:
            agrees = named.writes and named.asked_at >= since
        else:
            agrees = old is None or not old.writes
        if not agrees:
            told = election.writer or "no writer"
            return Verdict("WriterDisagrees", f"a new ConfigMap names {told}; SQL does not agree")
        self._candidate = None
        self._begin(election.writer, election.uid, election.epoch, now)
        return Verdict()

    def _confirm(self, views: Mapping[str, View], trouble: Verdict) -> None:
        """Open or hold the term by what SQL says of its target."""
        term = self.term
        self.verdict = trouble
        if term is None or not term.target:
            self.is_open = False
            if not trouble.reason and term is not None:
                self.verdict = Verdict("NoWriter", "the ConfigMap says there is no writer now")
            return
        view = views.get(term.target)
        disagreement = ""
        if view is None:
            self.is_open = False
            self.verdict = Verdict("UnknownWriter", f"{term.target!r} is no longer a target")
        elif view.writes and view.asked_at >= term.since:
            self.is_open = True
        elif view.reads:
            disagreement = "answers as a replica"
        elif view.registered and not view.alive:
            disagreement = f"does not answer: {view.message}"
        if disagreement:
            self.is_open = False
            if not trouble.reason:
                told = f"{term.target} is named writer with epoch {term.epoch}, but {disagreement}"
                self.verdict = Verdict("WriterDisagrees", told)

    # --- without an election ----------------------------------------------------------------

    def _ask_targets(self, views: Mapping[str, View], now: float) -> Verdict:
        asked = [view for view in views.values() if view.target not in self.draining]
        if not self.is_open and not all(view.registered for view in asked):
            return Verdict(message="not every target has been asked yet")
        writers = [view for view in asked if view.writes]
        chosen = writers[0] if len(writers) == 1 else None
        if len(writers) > 1:
            chosen = latest_timeline(writers)
        if chosen is not None:
            if self.term is None or self.term.target != chosen.target or self.term.uid:
                self._begin(chosen.target, "", 0, now)
            self.is_open = True
            return Verdict()
        self.is_open = False
        if writers:
            names = ", ".join(view.target for view in writers)
            return Verdict("MultipleWriters", f"{names} all answer as writer")
        return Verdict("NoWriter", "no target answers as writer")

    # --- terms ------------------------------------------------------------------------------

    def _begin(self, target: str, uid: str, epoch: int, now: float) -> None:
        old = self.term
        if old is not None and old.target == target:
            # The same writer goes on under a new number: nothing to cut, nothing to confirm.
            self.term = Term(target, uid, epoch, old.serial, old.since)
            self._acknowledge()
            return
        serial = max(1, epoch) if old is None else max(old.serial + 1, epoch)
        self.term = Term(target, uid, epoch, serial, now)
        self.is_open = False
        if not self.draining:
            self._unconfirmed = False
        if old is not None and old.target:
            # "No writer" reaches the engine without a number: its word carries the old one.
            self.draining[old.target] = Draining(serial if target else old.serial, now)
        self.draining.pop(target, None)
        self._acknowledge()

    def _give_up_draining(self, now: float) -> None:
        for target, draining in list(self.draining.items()):
            if now >= draining.since + DRAIN_LIMIT:
                self._end_draining(target, unconfirmed=True)

    def _end_draining(self, target: str, *, unconfirmed: bool) -> None:
        del self.draining[target]
        self._unconfirmed = self._unconfirmed or unconfirmed
        self._acknowledge()

    def _acknowledge(self) -> None:
        if self.term is not None and not self.draining:
            self.acknowledged = Acknowledged(self.term.uid, self.term.epoch, self._unconfirmed)
