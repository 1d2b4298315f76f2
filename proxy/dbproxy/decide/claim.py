"""Which part of the connections this pod may have; pure, owned by the planner.

The operator wishes for one `goal`-th for every pod, but what the pods do, they agree upon in
`status.proxies[]`: each says there of which part it makes use, one `budgetDivisor`-th, and the
parts of all never exceed the whole. Three rules keep that true, however late anybody hears of
anything, whether the operator runs or not, and however many pods there are:

- A larger part, also the first one, is written before it is used, and used only if the answer to
  that write, which has everybody's entries, shows that all fit. The API server puts the writes in
  an order, so that of two pods that want the last room only one gets it.
- A smaller part is obeyed at once, and written only once no more connections than it allows are
  held: lent ones and pinned sessions count until they end.
- A pod that leaves obeys less and less, as its clients leave, and takes its entry back at the end.

So a pod that finds no room waits, before it has opened anything, for one that leaves. A pod whose
API server never answers takes its part unasked after PATIENCE: a proxy serves without it.
"""

from __future__ import annotations

from fractions import Fraction

# How long a pod that can't ask waits for an answer before it takes its part unasked.
PATIENCE = 30.0
# A pod begins with no less than this part of what it is to have: clients come to it as to others.
LEAST_BEGINNING = Fraction(1, 2)
# A part is raised in steps of no less than this, unless it is the last one.
LEAST_STEP = Fraction(4, 3)
_WHOLE = Fraction(1)


class Claim:
    """`in_force` is the divisor that the pool obeys; None while the pod has no part."""

    def __init__(self, *, alone: bool) -> None:
        """`alone`: there are no other pods to agree with."""
        self.in_force: int | None = None
        # The largest divisor that is worth a connection; None while no target's size is known.
        self.most: int | None = None
        self._alone = alone
        self._goal: int | None = None
        self._leaving = False
        self._others: Fraction | None = None
        self._unanswered_since: float | None = None

    def wants(self, goal: int) -> None:
        """The operator's wish: one `goal`-th for each pod. What is to be given up goes at once."""
        if self._leaving:
            return
        self._goal = goal
        if self._alone or (self.in_force is not None and goal > self.in_force):
            self.in_force = goal

    def leaves(self, divisor: int) -> None:
        """The pod goes: this part is all that it needs still, and it never takes more again."""
        self._leaving = True
        if self.in_force is not None:
            self.in_force = self._goal = max(self.in_force, divisor)

    def gives_up(self) -> None:
        """What the pod has is worth no connection: others may make something of it."""
        if not self._alone:
            self.in_force = None

    def answered(self, said: int, others: Fraction) -> None:
        """The report that says so is stored, beside the parts that all other pods have."""
        self._others = others
        self._unanswered_since = None
        more = said > 0 and (self.in_force is None or said < self.in_force)
        allowed = self._goal is not None and said >= self._goal and not self._leaving
        if more and allowed and others + Fraction(1, said) <= _WHOLE:
            self.in_force = said

    def unanswered(self, now: float) -> None:
        """The report could not be stored."""
        if self._unanswered_since is None:
            self._unanswered_since = now
        waited = now - self._unanswered_since
        if self.in_force is None and self._others is None and waited >= PATIENCE:
            self.in_force = self._goal

    def said(self, respected: int | None) -> int:
        """What the report is to say now, 0 for no part at all.

        `respected` is the largest divisor that what is held respects; None while nothing is held.
        """
        held = [divisor for divisor in (self.in_force, respected) if divisor is not None]
        covered = max(1, min(held)) if held else 0
        wish = self._wish()
        return wish if wish and (not covered or wish < covered) else covered

    @property
    def waiting(self) -> str:
        """Why the pod has no part, or ""."""
        if self.in_force is not None or self._goal is None:
            return ""
        if self.most is not None and self.most < self._goal:
            return "one part of the connections for each pod is less than one connection"
        if self._others is None:
            return "no answer yet to the request for a part of the connections"
        return "waits for a part of the connections: other pods still have them"

    @property
    def wishes(self) -> bool:
        """Whether the pod has less than it is to have: it asks until there is room."""
        return not self._leaving and not self._alone and self.in_force != self._goal

    def _wish(self) -> int:
        """The divisor to ask for, as far as is known; 0 for none."""
        goal, present = self._goal, self.in_force
        if goal is None or self._leaving or (present is not None and present <= goal):
            return 0
        room = _WHOLE if self._others is None else _WHOLE - self._others
        if room <= 0:
            return 0
        best = max(goal, -(-room.denominator // room.numerator))
        if self.most is not None and best > self.most:
            return 0
        if present is None:
            return best if best * LEAST_BEGINNING <= goal else 0
        return best if best == goal or best * LEAST_STEP <= present else 0
