"""Several pods and one election: whatever each of them saw of it, they never settle on two writers.

Both databases can be written to, so that nothing but the rules of `writer.py` keeps the pods
together. A pod sees the first state, any of the later ones, and the last.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from tests.agent_made import answered, elected

from dbproxy.decide.writer import Ballot, Fencing, Writer
from dbproxy.probe.views import View
from dbproxy.settings import WriterFloor

State = tuple[str, int]
TARGETS = ("db-0", "db-1")


class Pod:
    """One pod's machine; `floor` is what the operator tells it, `knows` the targets of its
    settings."""

    def __init__(self, knows: tuple[str, ...] = TARGETS) -> None:
        self.writer = Writer()
        self.floor: WriterFloor | None = None
        self.views = {name: View(name) for name in knows}
        self.now = 1.0

    def see(self, state: State) -> None:
        election = elected(*state)
        for _ in range(2):
            self.now += 1
            ballot = Ballot(election, self.floor, self.now)
            self.writer.observe(ballot, Fencing(30.0), self.views, self.now)
            for name, view in self.views.items():
                self.views[name] = view.fold(answered(name, self.now, writes=True))
        self.writer.observe(
            Ballot(election, self.floor, self.now), Fencing(30.0), self.views, self.now
        )

    @property
    def serves(self) -> set[str]:
        term = self.writer.term
        return {term.target} if term is not None and self.writer.is_open else set()


def histories() -> Iterator[tuple[State, ...]]:
    """Three changes after the first state, each of the writer, of the epoch, or of both."""
    changes = tuple(itertools.product((*TARGETS, "", "db-9"), (0, 1)))
    for steps in itertools.product(changes, repeat=3):
        states: list[State] = [("db-0", 7)]
        for writer, rise in steps:
            states.append((writer, states[-1][1] + rise))
        yield tuple(states)


def seen(history: tuple[State, ...], mask: int) -> list[State]:
    """The states between first and last that the mask lets through, and the last."""
    between = [state for bit, state in enumerate(history[:-1]) if mask >> bit & 1]
    return [*between, history[-1]]


def test_two_pods_that_saw_different_states_never_serve_two_writers() -> None:
    for history in histories():
        served = set()
        for mask in range(2 ** (len(history) - 1)):
            pod = Pod()
            for state in seen(history, mask):
                pod.see(state)
            served |= pod.serves
        assert len(served) <= 1, history


@pytest.mark.parametrize("recorded", range(4))
def test_nor_do_they_with_a_floor_from_any_moment(recorded: int) -> None:
    for history in histories():
        writer, epoch = history[recorded]
        served = set()
        for mask in (0, 2, 7):
            pod = Pod()
            pod.floor = WriterFloor(target=writer, uid="cm", epoch=epoch)
            for state in seen(history, mask):
                pod.see(state)
            served |= pod.serves
        assert len(served) <= 1, history


def test_a_pod_that_does_not_know_the_new_target_yet_serves_nobody_else() -> None:
    informed, late = Pod((*TARGETS, "db-9")), Pod()
    for state in (("db-0", 7), ("db-9", 8)):
        informed.see(state)
        late.see(state)
    assert (informed.serves, late.serves) == ({"db-9"}, set())
