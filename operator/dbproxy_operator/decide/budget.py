"""How the database's connections are divided over the pods, so that they never exceed it together.

Every pod is to have one `divisor`-th: one for each replica, one for the surge of a rollout, and
one for each pod that should be gone and is not. What a pod does have, it says itself; a new pod
begins only with what the others leave, and a pod takes more only once all of it fits (the agent's
`claim`). So the sum holds whatever is published here and whoever hears of it when. What is decided
here is that nobody goes short:

- No divisor is published whose share is less than one connection: the wish for more replicas is
  granted only as far as it fits, and the rest is refused and told.
- The Deployment grows only by as many pods as find their part given back: lent connections and
  pinned sessions count until they end, those of a pod that leaves too. A pod that runs and has said
  nothing counts with a whole share.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.reports import Report
from dbproxy_operator.observe.world import Object, has_begun, is_leaving, leaving_until, name

SURGE = 1
# What each pod itself holds open on a target: the standing probe, and one log-in being tried.
PROBES_PER_POD = 2


def share(usable: int, percent: int, divisor: int) -> int:
    """The connections of a pod that has one `divisor`-th, after the probes of so many pods.

    The agent has the same arithmetic in its own `decide/budget.py`; the contract tests hold the two
    together. `usable` is what the server doesn't reserve for superusers.
    """
    return max(0, usable - PROBES_PER_POD * divisor) * percent // 100 // divisor


def largest_divisor(usable: int, percent: int, connections: int = 1) -> int:
    """The largest divisor whose share is at least so many connections; 0 if there is none."""
    return max(0, usable) * percent // (100 * connections + PROBES_PER_POD * percent)


@dataclass(frozen=True)
class Sizes:
    """What there is to divide: the usable connections of each target, as far as pods know them."""

    usable: Mapping[str, int] = field(default_factory=dict)
    percent: int = 100

    @property
    def tightest(self) -> str | None:
        """The target that can be divided least, of those that can be divided at all."""
        known = {target: self.most_of(target) for target in sorted(self.usable)}
        return min(known, key=lambda target: (not known[target], known[target]), default=None)

    @property
    def most(self) -> int | None:
        """The largest divisor that leaves each pod a connection; None while no size is known."""
        return self.most_of(self.tightest) if self.tightest is not None else None

    def most_of(self, target: str) -> int:
        return largest_divisor(self.usable[target], self.percent)

    def told(self, part: Fraction) -> str:
        """How many connections that part is, for people."""
        counts = [
            f"{share(usable, self.percent, math.ceil(1 / part))} of {target}"
            for target, usable in sorted(self.usable.items())
        ]
        return ", ".join(counts) or f"{float(part):.0%}"


@dataclass(frozen=True)
class Holder:
    """A live pod, and the part of the connections that it makes use of.

    `stuck`: it should be gone, or nobody knows how far it is: others must make room for it.
    """

    pod: str
    part: Fraction
    heard: bool = True
    leaving: bool = False
    stuck: bool = False


@dataclass(frozen=True)
class Growth:
    """How many replicas to ask for now, what each pod may have, and what stands in the way."""

    wanted: int
    replicas: int
    divisor: int
    sizes: Sizes = Sizes()
    waiting_for: tuple[Holder, ...] = ()
    held_back: bool = False

    @property
    def refused(self) -> Problem | None:
        """More pods are wanted than there are connections to share."""
        most, target = self.sizes.most, self.sizes.tightest
        if most is None or target is None or most >= self.wanted + SURGE:
            return None
        fit = max(0, most - SURGE)
        return Problem(
            "Budget",
            f"{self.sizes.percent} % of the {self.sizes.usable[target]} connections that the "
            f"target {target} has for users are one for each of {fit} pods and one more for "
            f"rollouts, and {self.wanted} pods are wanted: raise maxConnectionsPercent or the "
            "server's max_connections, or lower the proxy's replicas",
            contradiction=True,
        )

    @property
    def share(self) -> str:
        """What each pod is to have, for people."""
        return self.sizes.told(Fraction(1, self.divisor))

    @property
    def holding(self) -> tuple[str, ...]:
        """The pods that are waited for, each with what it holds at most."""
        return tuple(
            f"{holder.pod} (up to {self.sizes.told(holder.part)})" for holder in self.waiting_for
        )


def holders(
    pods: Iterable[Object], reports: Mapping[str, Report], former: int, now: float
) -> tuple[Holder, ...]:
    """`former`: the divisor that was published last, for pods that say nothing; 0 if none was."""
    return tuple(_holder(pod, reports.get(name(pod)), former, now) for pod in pods)


def next_overdue(pods: Iterable[Object], now: float) -> float | None:
    """When the first of the leaving pods should be gone."""
    moments = [
        moment for pod in pods if (moment := leaving_until(pod)) is not None and moment > now
    ]
    return min(moments, default=None)


def growth(
    wanted: int, current: int | None, sizes: Sizes, pods: Sequence[Holder], former: int
) -> Growth:
    """`current`: what the Deployment asks for; None if there is none yet."""
    granted, most = wanted, sizes.most
    if current is not None and wanted > current and most is not None:
        granted = max(current, min(wanted, most - SURGE))
    divisor = granted + SURGE + sum(1 for pod in pods if pod.stuck)
    if most:
        divisor = min(divisor, most)
    elif most is None and 0 < former < granted + SURGE and wanted == current:
        # It was lowered for what is not known any more: what was served stays.
        divisor = former
    if current is None or granted <= current:
        return Growth(wanted, granted, divisor, sizes)
    replicas = min(granted, current + _room(pods, current, divisor))
    own = Fraction(1, divisor)
    late = tuple(pod for pod in pods if pod.part > (0 if pod.leaving else own))
    return Growth(
        wanted,
        replicas,
        divisor,
        sizes,
        waiting_for=late if replicas < granted else (),
        held_back=replicas < granted,
    )


def _room(pods: Sequence[Holder], current: int, divisor: int) -> int:
    """For how many more pods there is a part, beside those that the Deployment may have by now."""
    own = Fraction(1, divisor)
    taken = sum((pod.part if pod.leaving else max(pod.part, own) for pod in pods), Fraction(0))
    staying = sum(1 for pod in pods if not pod.leaving)
    expected = max(0, current + SURGE - staying)
    return max(0, math.floor((1 - taken) * divisor) - expected)


def _holder(pod: Object, report: Report | None, former: int, now: float) -> Holder:
    if report is not None:
        part = Fraction(1, report.divisor) if report.divisor else Fraction(0)
    else:
        part = Fraction(1, former) if former and has_begun(pod) else Fraction(0)
    until = leaving_until(pod)
    overdue = until is not None and now >= until
    leaving = is_leaving(pod)
    stuck = leaving and part > 0 and (report is None or overdue)
    return Holder(name(pod), part, report is not None, leaving, stuck)
