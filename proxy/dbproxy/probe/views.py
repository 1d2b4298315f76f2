"""What is known of each target from its probes, folded one by one; pure, called by the planner."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dbproxy.facts import HealthReason, Probe, ServerFacts

# A deadline missed may be a busy server: only so many in a row count as a target that is gone.
WEAK_FAILURES = 3
# "Higher in three probes running" (product.md).
TIMELINE_PROBES = 3
# A replica that does nothing else than wait for its next transaction may seem late for a moment.
LAG_PROBES = 3


@dataclass(frozen=True)
class View:
    """One target as its probes show it.

    `server` is what the target said last, also while it doesn't answer: its budget is still that.
    `asked_at` is when the last successful probe began; `timelines` are those of the last probes, as
    long as every one of them was answered by a writer; `lags` the same of a replica, None where it
    isn't known. `place` numbers the servers that the name
    has stood for: another host, port or DNS answer is another place, of which nothing is known yet.
    """

    target: str
    place: int = 1
    registered: bool = False
    alive: bool = False
    server: ServerFacts | None = None
    asked_at: float = 0.0
    failures: int = 0
    reason: HealthReason = ""
    message: str = ""
    timelines: tuple[int, ...] = ()
    lags: tuple[float | None, ...] = ()
    was_reader: bool = False
    addresses: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """The target answers, and as a writer."""
        return self.alive and self.server is not None and not self.server.in_recovery

    @property
    def reads(self) -> bool:
        """The target answers, and as a replica."""
        return self.alive and self.server is not None and self.server.in_recovery

    @property
    def denies(self) -> bool:
        """The target is known not to write: it answers as a replica, or not at all."""
        refused = self.reason == "AUTH_FAILURE"
        return self.reads or (self.registered and not self.alive and not refused)

    def fold(self, probe: Probe) -> View:
        """The view after one more probe."""
        if probe.state == "LOCAL":
            return self
        if probe.state == "FAILED" or probe.server is None:
            return self._failed(probe)
        timelines: tuple[int, ...] = ()
        if not probe.server.in_recovery and probe.server.timeline is not None:
            timelines = (*self.timelines, probe.server.timeline)[-TIMELINE_PROBES:]
        lags: tuple[float | None, ...] = ()
        if probe.server.in_recovery:
            lags = (*self.lags, probe.server.replay_lag)[-LAG_PROBES:]
        return replace(
            self,
            registered=True,
            alive=True,
            server=probe.server,
            asked_at=probe.asked_at,
            failures=0,
            reason="",
            message=probe.message,
            timelines=timelines,
            lags=lags,
            was_reader=self.was_reader or probe.server.in_recovery,
        )

    def _failed(self, probe: Probe) -> View:
        failures = self.failures + 1
        # A monitor that may not log in says nothing about what the target does for others.
        gone = probe.reason != "AUTH_FAILURE" and (probe.decisive or failures >= WEAK_FAILURES)
        return replace(
            self,
            registered=True,
            alive=self.alive and not gone,
            failures=failures,
            reason=probe.reason,
            message=probe.message,
            timelines=(),
        )

    def forget(self) -> View:
        """What is known once nobody asks the target any more: its size and its addresses."""
        return View(self.target, self.place, server=self.server, addresses=self.addresses)


def still_latest(chosen: View, writers: list[View]) -> bool:
    """Whether a choice stands: its timeline is higher than what any other writer said last."""

    def said(view: View) -> int | None:
        return view.server.timeline if view.server is not None else None

    own = said(chosen)
    others = [said(view) for view in writers if view.target != chosen.target]
    return own is not None and all(other is not None and own > other for other in others)


def latest_timeline(writers: list[View]) -> View | None:
    """Of several writers the one whose timeline was higher in all of the last probes, if any."""
    if any(len(view.timelines) < TIMELINE_PROBES for view in writers):
        return None
    highest = max(writers, key=lambda view: view.timelines[-1])
    others = [view for view in writers if view is not highest]
    if all(min(highest.timelines) > max(view.timelines) for view in others):
        return highest
    return None
