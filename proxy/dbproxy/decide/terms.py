"""Terms: whose time it is, which former writers are still being left, what may be acknowledged.

`writer.py` begins terms by its rules; everything that follows from a beginning is here.

A term that ends leaves its target *draining* until the engine has seen the last connection to it
go; then the present term is acknowledged. A draining target is not probed, unless it is the present
writer, at another place. The engine knows terms by a serial that only rises: the epoch itself,
unless another ConfigMap began to count anew. It reports the changes of writer in their order, so
its word about one is its word about all before.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbproxy.facts import Drained

# The engine confirms or gives up well before; this holds if its word got lost.
DRAIN_LIMIT = 30.0


@dataclass(frozen=True)
class Term:
    """The time of one writer: a target's name, or "" (there is none), at one place.

    `place` is the view's (`views.View.place`); 0 while the target is none that is known.
    """

    target: str
    uid: str
    epoch: int
    serial: int
    since: float
    place: int


@dataclass(frozen=True)
class Draining:
    """A former writer; `serial` is that of the change by which it became one.

    A change to "no writer" reaches the engine without a number of its own, under that of the change
    before: then only a word about this very target is meant (`named`).
    """

    serial: int
    since: float
    named: bool

    def ended_by(self, target: str, event: Drained) -> bool:
        if event.epoch == self.serial:
            return event.target == target or not self.named
        return event.epoch > self.serial


@dataclass(frozen=True)
class Acknowledged:
    uid: str
    epoch: int
    unconfirmed: bool


class Terms:
    """The present term and what is left of those before."""

    def __init__(self) -> None:
        self.term: Term | None = None
        self.acknowledged: Acknowledged | None = None
        self.draining: dict[str, Draining] = {}
        self._unconfirmed = False
        # The engine left the writer before its term ended, and could not make sure of that.
        self._left_unconfirmed = False

    @property
    def suspended(self) -> frozenset[str]:
        """The targets that must not hear from us."""
        present = self.term.target if self.term is not None else ""
        return frozenset(target for target in self.draining if target != present)

    def begin(self, target: str, uid: str, epoch: int, place: int, now: float) -> bool:
        """Begin a term; False if the writer goes on, under a new number at most.

        `place` is 0 if the target is "" or none that is known: the engine gets no writer then.
        """
        old = self.term
        if old is not None and (old.target, old.place) == (target, place):
            # Nothing to cut, nothing to confirm.
            self.term = Term(target, uid, epoch, old.serial, old.since, place)
            self._acknowledge()
            return False
        serial = max(1, epoch) if old is None else max(old.serial + 1, epoch)
        self.term = Term(target, uid, epoch, serial, now, place)
        self._unconfirmed = self._left_unconfirmed or (self._unconfirmed and bool(self.draining))
        self._left_unconfirmed = False
        if old is not None and old.place:
            named = not place
            self.draining[old.target] = Draining(old.serial if named else serial, now, named)
            known = self.acknowledged
            if known is not None and (known.uid, known.epoch) == (uid, epoch):
                # The same epoch, and yet there is something to leave again.
                self.acknowledged = None
        self._acknowledge()
        return True

    def drained(self, event: Drained) -> None:
        """The engine's word that no connection to a former writer is left."""
        if event.unconfirmed and self.draining:
            self._unconfirmed = True
        elif event.unconfirmed:
            self._left_unconfirmed = True
        for target, draining in list(self.draining.items()):
            if draining.ended_by(target, event):
                self._end(target, unconfirmed=event.unconfirmed)

    def words_lost(self) -> None:
        """Some of the engine's words were lost: what it could not confirm may be among them."""
        self._unconfirmed = self._unconfirmed or bool(self.draining)

    def give_up(self, now: float) -> None:
        """Wait no longer for what has been draining for DRAIN_LIMIT."""
        for target, draining in list(self.draining.items()):
            if now >= draining.since + DRAIN_LIMIT:
                self._end(target, unconfirmed=True)

    def next_deadline(self) -> float | None:
        return min((d.since + DRAIN_LIMIT for d in self.draining.values()), default=None)

    def _end(self, target: str, *, unconfirmed: bool) -> None:
        del self.draining[target]
        self._unconfirmed = self._unconfirmed or unconfirmed
        self._acknowledge()

    def _acknowledge(self) -> None:
        if self.term is not None and not self.draining:
            self.acknowledged = Acknowledged(self.term.uid, self.term.epoch, self._unconfirmed)
