"""How a pod begins: what its engine's start waits for, and what its first clients do.

A new pod is Ready only once it has reached the database, or GATE seconds have passed: so a rollout
whose pods can't reach it is slow enough to be seen and stopped while the former ones serve. Once
that gate is open it stays open: a database that is down must not empty the Service.
"""

from __future__ import annotations

from dbproxy.decide.plan import Plan
from dbproxy.run.cpus import available_cpus
from dbproxy.run.options import Options

# How long the first probes may keep the engine from starting: they say how many workers make sense.
FIRST_PROBES = 1.0
GATE = 30.0


class Beginning:
    """Asked in each turn of the agent; `since` is the first one that had a plan."""

    def __init__(self, options: Options) -> None:
        self._workers = options.workers
        self._since: float | None = None
        # Outside of Kubernetes there are no other pods whose clients could wait for this one.
        self._opened = options.kube is None

    def engine_waits(self, plan: Plan, now: float) -> float:
        """Seconds for which the engine's start still waits."""
        asked = all(target.state != "REGISTERING" for target in plan.targets)
        return 0.0 if asked else max(0.0, self._begun(now) + FIRST_PROBES - now)

    def clients_wait(self, plan: Plan, now: float) -> float:
        """Seconds after which the gate opens whatever happens; 0 once it is open."""
        left = self._begun(now) + GATE - now
        self._opened = self._opened or left <= 0 or _reached(plan)
        return 0.0 if self._opened else left

    def workers(self, smallest_budget: int | None) -> int:
        """How many threads are to serve clients."""
        if self._workers is not None:
            return self._workers
        # The front thread and this program share one CPU. More workers than CPUs to run them would
        # only wake each other's processors: each gets less done per turn.
        workers = max(1, available_cpus() - 1)
        return workers if smallest_budget is None else max(1, min(workers, smallest_budget // 4))

    def _begun(self, now: float) -> float:
        if self._since is None:
            self._since = now
        return self._since


def _reached(plan: Plan) -> bool:
    """The writer is open to this pod, or every target has answered it."""
    if plan.writer is not None and plan.writer.is_open:
        return True
    return all(target.max_connections is not None for target in plan.targets)
