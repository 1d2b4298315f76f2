"""What the agent writes to its log and shows in its metrics as things happen; called by `agent`."""

from __future__ import annotations

import math
import time
from typing import Any

from dbproxy.decide.plan import Plan, TargetHealth, WriterReport
from dbproxy.facts import Probe, ServerFacts
from dbproxy.logs import Log
from dbproxy.settings import Config
from dbproxy.tell.metrics import STATES, AgentMetrics

# What the engine tells that a person should see without asking for it.
WARNINGS = frozenset(("writer_doubted", "backend_failed", "events_lost"))

# Lines a second of each kind of the engine's events; a busy pod may have thousands.
LINES = 20

log = Log("dbproxy")


class Throttle:
    """Lets so many lines of a kind through in each second, and counts the others."""

    def __init__(self) -> None:
        self._second: dict[str, tuple[int, int]] = {}

    def admit(self, kind: str, now: float) -> tuple[bool, int]:
        """Whether this line may be written, and how many were not in the seconds before."""
        second, count = self._second.get(kind, (int(now), 0))
        if second == int(now):
            self._second[kind] = (second, count + 1)
            return count < LINES, 0
        self._second[kind] = (int(now), 1)
        return True, max(0, count - LINES)


class Observation:
    """Says each change once."""

    def __init__(self, metrics: AgentMetrics) -> None:
        self._metrics = metrics
        self._targets: dict[str, TargetHealth] = {}
        self._known: set[str] = set()
        self._writer: WriterReport | None = None
        self._problem = ""
        self._throttle = Throttle()

    def config(self, config: Config) -> None:
        group = config.settings.target_group
        names = [target.name for target in group.targets] if group else []
        self._metrics.follow_targets(names, self._known - set(names))
        self._known = set(names)

    def probe(self, probe: Probe) -> None:
        if probe.target not in self._known:
            return
        self._metrics.probes.labels(probe.target, probe.state).inc()
        self._metrics.probe_seconds.labels(probe.target).observe(probe.took)
        if probe.server is not None:
            self._metrics.replay_lag.labels(probe.target).set(_lag(probe.server))
        if probe.state == "LOCAL":
            log.error("local_resources_exhausted", message=probe.message)

    def event(self, event: dict[str, Any]) -> None:
        fields = {key: value for key, value in event.items() if key != "event"}
        kind = event["event"]
        admitted, suppressed = self._throttle.admit(kind, time.monotonic())
        if kind in ("events_lost", "events_skipped"):
            self._metrics.events_lost.inc(event["count"])
        if suppressed:
            fields["suppressed"] = suppressed
        if admitted:
            (log.warning if kind in WARNINGS else log.info)(kind, **fields)

    def apply(self, result: str, problem: str) -> None:
        self._metrics.applies.labels(result).inc()
        if problem:
            log.error("snapshot_not_applied", result=result, message=problem)

    def problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._metrics.config_problem.set(1 if problem else 0)
            log.warning("config_problem", message=problem)

    def plan(self, plan: Plan) -> None:
        for target in plan.targets:
            self._target(target)
        self._targets = {target.name: target for target in plan.targets}
        metrics = self._metrics
        metrics.revision.set(plan.config.settings.revision)
        if plan.acknowledged is not None:
            metrics.acknowledged_epoch.set(plan.acknowledged.epoch)
        if plan.writer is not None:
            metrics.writer_epoch.set(plan.writer.epoch)
        metrics.writer_open.set(1 if plan.writer is not None and plan.writer.is_open else 0)
        if plan.writer != self._writer and plan.writer is not None:
            self._writer = plan.writer
            log.info(
                "writer",
                target=plan.writer.target,
                epoch=plan.writer.epoch,
                state="OPEN" if plan.writer.is_open else "HOLDING",
                reason=plan.writer.reason,
                message=plan.writer.message,
            )

    def _target(self, target: TargetHealth) -> None:
        before = self._targets.get(target.name)
        if target == before:
            return
        for state in STATES:
            self._metrics.target_state.labels(target.name, state).set(state == target.state)
        log.info(
            "target",
            target=target.name,
            role=target.role,
            state=target.state,
            reason=target.reason,
            description=target.description,
        )


def _lag(server: ServerFacts) -> float:
    """As the gauge shows it: that nobody knows it is not that there is none."""
    if server.replay_lag is None:
        return math.nan if server.in_recovery else 0.0
    return server.replay_lag
