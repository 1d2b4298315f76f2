"""Who the writer is: every rule of it, as one pure machine that the planner feeds.

A *term* (terms.py) is the time of one writer, by the word of an election ConfigMap (its UID and
epoch) or, without one, of the targets themselves. The term is also the floor: what names an older
epoch of the same ConfigMap is not obeyed. docs/failover.md has this table, too.

| the election ConfigMap, against the term (at first: the floor) | then                            |
|----------------------------------------------------------------|---------------------------------|
| has not been read yet                                          | hold                            |
| its epoch rose, the target is known                            | a new term at once              |
| its epoch rose, the target is unknown or empty                 | the last one is deposed: hold   |
| same epoch, same writer                                        | nothing new                     |
| same epoch, another writer: it contradicts itself              | deposed: hold until it rises    |
| epoch fell; missing; unreadable; malformed                     | the last writer stays while SQL |
|                                                                | confirms it                     |
| is another object (other UID)                                  | a new term once SQL says that   |
|                                                                | the one it names writes, and    |
|                                                                | that the last one doesn't       |

The floor counts as the ConfigMap does: other pods may have obeyed it.

A term is open or holding. It opens when a probe that began after the term did finds a writer, and
holds again when a probe finds a reader, or nobody. A missed deadline alone changes nothing: that
takes several in a row (views.py). A target that moved to another place begins a new term of its
own. A writer that SQL has not confirmed for the confirmation timeout is told, and with strict
fencing cut and held until it is; so it is while the election could not be read for so long.

Without an election: exactly one target answers as writer: a term of that one, open at once. None:
hold. Several: hold, unless one timeline is higher in three probes running; that choice stands while
its timeline stays the higher one. An answer that has outlived the confirmation timeout counts for
nothing beside a fresh one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dbproxy.decide.terms import Term, Terms
from dbproxy.facts import Election
from dbproxy.probe.views import View, latest_timeline, still_latest
from dbproxy.settings import WriterFloor

HoldReason = Literal[
    "",
    "NoWriter",
    "MultipleWriters",
    "ElectionNotFound",
    "ElectionInvalid",
    "UnknownWriter",
    "EpochFell",
    "WriterDisagrees",
    "MonitorRefused",
    "Unconfirmed",
]


@dataclass(frozen=True)
class Ballot:
    """The election: as it was read last, the floor below which it is not obeyed, and since when
    nothing has been read of it (`read_at`, monotonic)."""

    election: Election | None
    floor: WriterFloor | None
    read_at: float


@dataclass(frozen=True)
class Fencing:
    """After how many seconds SQL's word is too old, and whether that holds the writer."""

    timeout: float
    strict: bool = False


@dataclass(frozen=True)
class Verdict:
    """Why the writer is not plainly known and open, if so."""

    reason: HoldReason = ""
    message: str = ""


class Writer:
    """The machine; `observe` moves it, the attributes tell where it is."""

    def __init__(self) -> None:
        self.terms = Terms()
        self.is_open = False
        # Strict fencing holds the writer: whatever is connected to it must go, too.
        self.fenced = False
        self.verdict = Verdict()
        self._candidate: tuple[Election, float] | None = None
        # The epoch for which two writers were named, and the words for it.
        self._contradiction: tuple[str, int, Verdict] | None = None
        self._ages_at: float | None = None

    @property
    def term(self) -> Term | None:
        return self.terms.term

    @property
    def unsettled(self) -> bool:
        """The next probe may change who the writer is: ask often."""
        return not self.is_open or self._candidate is not None or bool(self.terms.draining)

    def observe(
        self,
        ballot: Ballot | None,
        fencing: Fencing,
        views: Mapping[str, View],
        now: float,
    ) -> None:
        """Decide anew from all facts; no `ballot`: there is no ConfigMap to obey."""
        self.terms.give_up(now)
        self._ages_at, self.fenced = None, False
        self._follow_move(views, now)
        if ballot is None:
            self._candidate = None
            self.verdict = self._ask_targets(fencing, views, now)
            return
        trouble = self._obey(ballot, views, now)
        self._confirm(trouble, fencing, views, now)
        if fencing.strict and self.is_open:
            self._fence(ballot, fencing, now)

    def next_deadline(self) -> float | None:
        """When `observe` must be called again even if nothing happens."""
        moments = (self.terms.next_deadline(), self._ages_at)
        return min((moment for moment in moments if moment is not None), default=None)

    # --- with an election -------------------------------------------------------------------

    def _obey(self, ballot: Ballot, views: Mapping[str, View], now: float) -> Verdict:
        floor = ballot.floor
        trouble = Verdict(message="the election ConfigMap has not been read yet")
        if floor is not None and self.term is not None and floor.uid == self.term.uid:
            # What was read of the same ConfigMap elsewhere is proof enough.
            read = Election("FOUND", floor.uid, floor.target, floor.epoch)
            told = self._compare(read, self.term, views, now)
            trouble = told if told.reason == "ElectionInvalid" else trouble
        if ballot.election is not None:
            claimed = self._claim(ballot.election, floor, views, now)
            trouble = trouble if trouble.reason else claimed
            if self.term is None and floor is not None:
                self._begin(floor.target, floor.uid, floor.epoch, views, now)
        return trouble

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
        last = self.term or floor
        if last is not None and last.uid not in ("", election.uid):
            return self._consider(election, last.target, views, now)
        self._candidate = None
        return self._compare(election, last, views, now)

    def _compare(
        self,
        claim: Election,
        last: Term | WriterFloor | None,
        views: Mapping[str, View],
        now: float,
    ) -> Verdict:
        """What a ConfigMap says against what was obeyed last, of the same one if of any."""
        writer, uid, epoch = claim.writer, claim.uid, claim.epoch
        if last is not None and last.uid == uid and epoch < last.epoch:
            return Verdict("EpochFell", f"epoch {epoch}, after {last.epoch} was obeyed")
        if last is not None and (last.uid, last.epoch) == (uid, epoch):
            if self._contradiction is not None and self._contradiction[:2] == (uid, epoch):
                return self._contradiction[2]
            if writer != last.target:
                # Other pods may obey either: neither may be written to until the epoch rises.
                told = f"epoch {epoch} named {last.target!r} before, now {writer!r}: raise it"
                verdict = Verdict("ElectionInvalid", told)
                self._contradiction = (uid, epoch, verdict)
                self._begin("", uid, epoch, views, now)
                return verdict
        if self.term is None or (self.term.uid, self.term.epoch) != (uid, epoch):
            self._begin(writer, uid, epoch, views, now)
        if writer and writer not in views:
            return Verdict("UnknownWriter", f"{writer!r}, named with epoch {epoch}, is no target")
        return Verdict()

    def _consider(
        self, election: Election, last: str, views: Mapping[str, View], now: float
    ) -> Verdict:
        """Another ConfigMap than the one obeyed so far counts once SQL agrees with it."""
        if self._candidate is None or self._candidate[0] != election:
            self._candidate = (election, now)
        since = self._candidate[1]
        named, old = views.get(election.writer), views.get(last)
        if election.writer and named is None:
            return Verdict("UnknownWriter", f"{election.writer!r} is not a target")
        agrees = named is None or (named.writes and named.asked_at >= since)
        # Not only of the last one: other pods may have obeyed what this one did not hear of, or
        # have left already what this one is still leaving, and so doesn't ask.
        agrees = agrees and all(
            view.registered and not view.writes
            for name, view in views.items()
            if name != election.writer
        )
        if agrees and (last == election.writer or old is None or old.denies):
            self._candidate = None
            self._begin(election.writer, election.uid, election.epoch, views, now)
            return Verdict()
        told = election.writer or "no writer"
        return Verdict(
            "WriterDisagrees",
            f"a new ConfigMap names {told}; it counts once SQL says that {told} writes and "
            f"{last or 'any other target'} does not",
        )

    def _confirm(
        self, trouble: Verdict, fencing: Fencing, views: Mapping[str, View], now: float
    ) -> None:
        """Open or hold the term by what SQL says of its target."""
        term = self.term
        self.verdict = trouble
        if term is None or not term.target:
            self.is_open = False
            if not trouble.reason and term is not None:
                self.verdict = Verdict("NoWriter", "the ConfigMap says there is no writer now")
            return
        view = views.get(term.target)
        found = Verdict()
        if view is None:
            self.is_open = False
            self.verdict = Verdict("UnknownWriter", f"{term.target!r} is not a target")
        elif view.writes and view.asked_at >= term.since:
            self.is_open = True
            found = self._age(view, fencing, now)
            self.fenced = bool(found.reason) and fencing.strict
            self.is_open = not self.fenced
        else:
            found = self._objection(term, view)
            self.is_open = self.is_open and not found.reason
        if found.reason and not trouble.reason:
            self.verdict = found

    def _age(self, view: View, fencing: Fencing, now: float) -> Verdict:
        """Whether what SQL said last is too old."""
        ages_at = view.asked_at + fencing.timeout
        if now < ages_at:
            self._ages_at = ages_at
            return Verdict()
        why = f": {view.message}" if view.message else ""
        told = f"SQL has not confirmed {view.target} for {fencing.timeout:g} s{why}"
        return Verdict("Unconfirmed", told)

    def _objection(self, term: Term, view: View) -> Verdict:
        """What SQL has against the writer, as far as it has said anything since it is one."""
        named = f"{term.target} is named writer with epoch {term.epoch}"
        if view.reason == "AUTH_FAILURE":
            told = f"{named}, but the monitor is refused there: {view.message}"
            return Verdict("MonitorRefused", told)
        if view.reads:
            return Verdict("WriterDisagrees", f"{named}, but answers as a replica")
        if view.registered and not view.alive:
            return Verdict("WriterDisagrees", f"{named}, but does not answer: {view.message}")
        return Verdict()

    def _fence(self, ballot: Ballot, fencing: Fencing, now: float) -> None:
        """Who can't read the election can't know that it is still the writer's time."""
        ages_at = ballot.read_at + fencing.timeout
        if now < ages_at:
            self._ages_at = min(ages_at, self._ages_at or ages_at)
            return
        self.is_open, self.fenced = False, True
        told = f"the election could not be read for {fencing.timeout:g} s"
        self.verdict = Verdict("Unconfirmed", told)

    # --- without an election ----------------------------------------------------------------

    def _ask_targets(self, fencing: Fencing, views: Mapping[str, View], now: float) -> Verdict:
        asked = [view for view in views.values() if view.target not in self.terms.suspended]
        if not self.is_open and not all(view.registered for view in asked):
            return Verdict(message="not every target has been asked yet")
        writers = [view for view in asked if view.writes]
        fresh = [view for view in writers if now < view.asked_at + fencing.timeout]
        chosen = self._choose(fresh or writers)
        if chosen is not None:
            if self.term is None or self.term.target != chosen.target or self.term.uid:
                self._begin(chosen.target, "", 0, views, now)
            self.is_open = True
            return self._age(chosen, fencing, now)
        self.is_open = False
        if writers:
            names = ", ".join(view.target for view in fresh or writers)
            return Verdict("MultipleWriters", f"{names} all answer as writer")
        refused = next((view for view in asked if view.reason == "AUTH_FAILURE"), None)
        if refused is not None:
            told = f"no target answers as writer; the monitor is refused by {refused.target}"
            return Verdict("MonitorRefused", f"{told}: {refused.message}")
        return Verdict("NoWriter", "no target answers as writer")

    def _choose(self, writers: list[View]) -> View | None:
        if len(writers) == 1:
            return writers[0]
        present = self.term.target if self.term is not None and self.is_open else ""
        for view in writers:
            if view.target == present and still_latest(view, writers):
                return view
        return latest_timeline(writers) if writers else None

    # --- terms ------------------------------------------------------------------------------

    def _begin(
        self, target: str, uid: str, epoch: int, views: Mapping[str, View], now: float
    ) -> None:
        place = views[target].place if target in views else 0
        if self.terms.begin(target, uid, epoch, place, now):
            self.is_open = False

    def _follow_move(self, views: Mapping[str, View], now: float) -> None:
        """A writer at another place is another server: left there, confirmed anew here."""
        term = self.term
        view = views.get(term.target) if term is not None else None
        if term is not None and view is not None and view.place != term.place:
            self._begin(term.target, term.uid, term.epoch, views, now)
