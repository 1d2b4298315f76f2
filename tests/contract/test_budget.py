"""Operator and pods divide the same connections: one arithmetic, and no way to exceed it.

The second half plays a fleet: the operator's decisions and the pods' claims are the real ones, what
is between them (the API server, the Deployment, clients) is as late and as unkind as it may be.
"""

from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbproxy.decide import budget as of_pod
from dbproxy.decide.claim import Claim
from dbproxy_operator.decide import budget as of_operator
from dbproxy_operator.decide.budget import Growth, Holder, Sizes

USABLE, PERCENT = st.integers(0, 10_000), st.integers(1, 100)
DIVISOR = st.integers(1, 10_000)


@given(usable=USABLE, percent=PERCENT, divisor=DIVISOR)
def test_both_programs_divide_alike(usable: int, percent: int, divisor: int) -> None:
    assert of_pod.PROBES_PER_POD == of_operator.PROBES_PER_POD
    share = of_pod.share(usable, percent, divisor)
    assert of_operator.share(usable, percent, divisor) == share


@given(usable=USABLE, percent=PERCENT, connections=st.integers(1, 1_000))
def test_the_largest_divisor_is_the_last_whose_share_is_enough(
    usable: int, percent: int, connections: int
) -> None:
    most = of_pod.largest_divisor(usable, percent, connections)
    assert of_operator.largest_divisor(usable, percent, connections) == most
    assert most == 0 or of_pod.share(usable, percent, most) >= connections
    assert of_pod.share(usable, percent, most + 1) < connections


@given(
    usable=USABLE,
    percent=PERCENT,
    divisors=st.lists(st.integers(1, 60), min_size=1, max_size=40),
)
def test_parts_that_make_a_whole_are_connections_within_the_budget(
    usable: int, percent: int, divisors: list[int]
) -> None:
    """The probes of all of them taken off, also where pods have parts of different sizes."""
    divisors = [one for one in divisors if of_pod.share(usable, percent, one)]
    while sum(Fraction(1, divisor) for divisor in divisors) > 1:
        divisors.pop()
    total = sum(of_pod.share(usable, percent, divisor) for divisor in divisors)
    probes = of_pod.PROBES_PER_POD * len(divisors)
    assert 100 * total <= max(0, usable - probes) * percent


@dataclass
class Pod:
    """A pod as far as its connections go: `said` and `others` are a write under way."""

    name: str
    claim: Claim = field(default_factory=lambda: Claim(alone=False))
    held: int = 0
    leaving: bool = False
    written: int | None = None
    answer: tuple[int, Fraction] | None = None


@dataclass
class Fleet:
    """Pods, the API server's view of them, and the operator."""

    usable: int
    percent: int
    wanted: int
    asked: int
    published: int = 0
    pods: dict[str, Pod] = field(default_factory=dict)
    made: int = 0

    @property
    def sizes(self) -> Sizes:
        return Sizes({"db-0": self.usable}, self.percent)

    # -- the operator ---------------------------------------------------------------------------

    def reconcile(self) -> Growth:
        found = [
            Holder(
                pod.name,
                Fraction(1, pod.written) if pod.written else Fraction(0),
                heard=pod.written is not None,
                leaving=pod.leaving,
            )
            for pod in self.pods.values()
        ]
        growth = of_operator.growth(self.wanted, self.asked, self.sizes, found, self.published)
        self.asked, self.published = growth.replicas, growth.divisor
        assert of_pod.share(self.usable, self.percent, self.published) >= 1
        return growth

    # -- the Deployment -------------------------------------------------------------------------

    def staying(self) -> list[Pod]:
        return [pod for pod in self.pods.values() if not pod.leaving]

    def start(self) -> None:
        """One pod more, as long as no more than one is too many."""
        if len(self.staying()) <= self.asked:
            self.made += 1
            self.pods[f"pod-{self.made}"] = Pod(f"pod-{self.made}")

    # -- a pod ----------------------------------------------------------------------------------

    def share(self, pod: Pod) -> int:
        divisor = pod.claim.in_force
        return of_pod.share(self.usable, self.percent, divisor) if divisor else 0

    def hear(self, pod: Pod) -> None:
        pod.claim.most = of_pod.largest_divisor(self.usable, self.percent)
        pod.claim.wants(self.published)

    def write(self, pod: Pod) -> None:
        """Its report reaches the API server; the answer is still under way."""
        respected = (
            of_pod.largest_divisor(self.usable, self.percent, pod.held) if pod.held else None
        )
        others = [one for one in self.pods.values() if one is not pod and one.written]
        pod.written = pod.claim.said(respected)
        total = sum((Fraction(1, one.written or 1) for one in others), Fraction(0))
        pod.answer = (pod.written, total)

    def read(self, pod: Pod) -> None:
        if pod.answer is not None:
            (said, others), pod.answer = pod.answer, None
            pod.claim.answered(said, others)

    def need_less(self, pod: Pod) -> None:
        need = of_pod.largest_divisor(self.usable, self.percent, max(1, pod.held // 2))
        pod.claim.leaves(need)

    def go(self, pod: Pod) -> None:
        """Its last connection is closed, then its entry is taken back, then the pod is gone."""
        pod.held, pod.written = 0, 0
        del self.pods[pod.name]

    # -- what must hold -------------------------------------------------------------------------

    def check(self) -> None:
        may = [max(pod.held, self.share(pod)) for pod in self.pods.values()]
        holders = [pod for pod in self.pods.values() if pod.held or pod.claim.in_force]
        probes = of_pod.PROBES_PER_POD * len(holders)
        assert 100 * sum(may) <= max(0, self.usable - probes) * self.percent
        for pod in self.staying():
            assert pod.claim.in_force is None or self.share(pod) >= 1, "no serving pod has nothing"


STEPS = [
    *("operator", "scale", "begin", "start", "turn", "write", "answer"),
    *("lend", "return", "evict", "need less", "go"),
]


def step(fleet: Fleet, name: str, which: int, amount: int) -> None:
    if name == "operator":
        fleet.reconcile()
    elif name == "scale":
        fleet.wanted = 1 + amount
    elif name in ("begin", "start"):
        fleet.start()
        if name == "begin":
            turn(fleet, list(fleet.pods.values())[-1])
    elif fleet.pods:
        step_of_pod(fleet, list(fleet.pods.values())[which % len(fleet.pods)], name, amount)


def step_of_pod(fleet: Fleet, pod: Pod, name: str, amount: int) -> None:
    if name == "turn":
        turn(fleet, pod)
    elif name == "write" and pod.answer is None:
        fleet.write(pod)
    elif name == "answer":
        fleet.read(pod)
    elif name == "lend":
        pod.held = max(pod.held, fleet.share(pod))
    elif name == "return":
        pod.held = max(0, pod.held - amount)
    elif name == "evict":
        pod.leaving = True
    elif name == "need less" and pod.leaving and pod.claim.in_force:
        fleet.need_less(pod)
    elif name == "go" and pod.leaving:
        fleet.go(pod)


def turn(fleet: Fleet, pod: Pod) -> None:
    """It hears the operator, and asks until it knows what it can have."""
    fleet.read(pod)
    for _ in range(2):
        fleet.hear(pod)
        fleet.write(pod)
        fleet.read(pod)


def rest(fleet: Fleet) -> None:
    """Everybody does what there is to do, and no client holds anything for good."""
    for _ in range(12 + 4 * len(fleet.pods)):
        fleet.reconcile()
        for pod in list(fleet.pods.values()):
            pod.held = min(pod.held, fleet.share(pod))
            if pod.leaving or (len(fleet.staying()) > fleet.asked and pod.written is not None):
                pod.leaving = True
                fleet.go(pod)
                continue
            turn(fleet, pod)
            fleet.check()
        while len(fleet.staying()) < fleet.asked:
            fleet.start()


@settings(max_examples=100, deadline=None)
@given(
    usable=st.integers(6, 200),
    percent=st.sampled_from([100, 50, 20]),
    replicas=st.integers(1, 5),
    steps=st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 7), st.integers(0, 9)),
        min_size=10,
        max_size=100,
    ),
)
def test_in_whatever_order_things_happen_the_budget_holds_and_nobody_is_left_with_nothing(
    usable: int, percent: int, replicas: int, steps: list[tuple[str, int, int]]
) -> None:
    most = of_pod.largest_divisor(usable, percent)
    if most < 2:
        return
    replicas = min(replicas, most - 1)
    fleet = Fleet(usable, percent, replicas, replicas)
    fleet.reconcile()
    rest(fleet)
    for name, which, amount in steps:
        step(fleet, name, which, amount)
        fleet.check()
    rest(fleet)
    served = [pod for pod in fleet.staying() if pod.claim.in_force == fleet.published]
    assert len(served) == fleet.asked, "and in the end everybody has a part"
    assert fleet.asked == min(fleet.wanted, max(most - 1, fleet.asked))


@pytest.mark.parametrize("operator", [True, False])
def test_a_rollout_never_has_more_pods_with_a_part_than_there_are_parts(operator: bool) -> None:
    """With clients that hold on to what a leaving pod has, and also while the operator is away."""
    fleet = Fleet(usable=97, percent=20, wanted=2, asked=2)
    fleet.reconcile()
    rest(fleet)
    first, second = fleet.staying()
    first.held = fleet.share(first)
    fleet.start()
    surge = fleet.staying()[-1]
    fleet.hear(surge)
    fleet.write(surge)
    fleet.read(surge)
    assert surge.claim.in_force == 3, "there is a part for the surge"
    first.leaving = True
    fleet.start()
    late = fleet.staying()[-1]
    for _ in range(3):
        if operator:
            fleet.reconcile()
        fleet.hear(late)
        fleet.write(late)
        fleet.read(late)
        fleet.check()
    assert late.claim.in_force is None, "it waits before it has opened anything"
    assert second.claim.in_force == 3, "and takes nothing from those that serve"
    fleet.go(first)
    fleet.write(late)
    fleet.read(late)
    fleet.write(late)
    fleet.read(late)
    assert late.claim.in_force == 3
