"""What this pod sees, told to the API server as `status.proxies[pod]`: on change, 1 s apart at
least.

No timestamps: whether the pod lives, its Pod object tells. What can't be written now is tried
again; only the newest report counts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dbproxy.decide.planner import Plan
from dbproxy.decide.snapshot import Snapshot
from dbproxy.errors import KubeError
from dbproxy.facts import Problem
from dbproxy.logs import Log
from dbproxy.settings import Config
from dbproxy.tasks import Tasks

if TYPE_CHECKING:
    from dbproxy.kube import Kube

APART = 1.0
RETRY_FIRST = 1.0
RETRY_LAST = 10.0
# All pods write into one object: of log-ins that fail, each names so many and counts all.
MOST_LOGINS = 20
# A pod that must go doesn't wait for an API server that is away.
WITHDRAW = 3.0
RESOURCE = "dbproxytargetgroups"

log = Log(__name__)


@dataclass(frozen=True)
class Destination:
    """The object whose status takes this pod's report."""

    namespace: str
    group: str
    uid: str
    pod: str

    def body(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """With the UID, so that a later object of the same name never takes it."""
        return {
            "apiVersion": "dbproxy.dev/v1alpha1",
            "kind": "DBProxyTargetGroup",
            "metadata": {"name": self.group, "namespace": self.namespace, "uid": self.uid},
            "status": {"proxies": entries} if entries else {},
        }


class Reporter:
    """The task that writes; `offer` gives it what to say, at any pace."""

    def __init__(self, kube: Kube, tasks: Tasks) -> None:
        self._kube = kube
        self._offered: tuple[Destination, dict[str, Any]] | None = None
        self._written: tuple[Destination, dict[str, Any]] | None = None
        self._wake = asyncio.Event()
        self._task = tasks.spawn(self._run(), "report")

    def offer(self, destination: Destination, entry: dict[str, Any]) -> None:
        offered = (destination, entry)
        if offered != self._offered:
            self._offered = offered
            self._wake.set()

    async def withdraw(self) -> None:
        """Leave nothing of this pod behind in the status, and stop."""
        await self.close()
        if self._written is None:
            return
        destination, _ = self._written
        try:
            async with asyncio.timeout(WITHDRAW):
                await self._apply(destination, [])
        except (KubeError, TimeoutError) as error:
            # The operator takes back the reports of pods that are gone.
            log.warning("report_not_withdrawn", error=str(error))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = RETRY_FIRST
        while True:
            await self._wake.wait()
            self._wake.clear()
            offered = self._offered
            if offered is None or offered == self._written:
                continue
            destination, entry = offered
            try:
                await self._apply(destination, [entry])
            except KubeError as error:
                log.warning("report_failed", error=str(error), status=error.status)
                self._wake.set()
                # Pods whose writes collided would meet again.
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, RETRY_LAST)
                continue
            pause = RETRY_FIRST
            self._written = offered
            await asyncio.sleep(APART)

    async def _apply(self, destination: Destination, entries: list[dict[str, Any]]) -> None:
        await self._kube.apply_status(
            RESOURCE,
            destination.namespace,
            destination.group,
            destination.body(entries),
            f"dbproxy/{destination.pod}",
        )


def _cut(text: str, most: int = 256) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def pod_entry(
    pod: str,
    plan: Plan,
    config: Config | None,
    applied: Snapshot | None,
    problems: Sequence[Problem],
) -> dict[str, Any]:
    """This pod's entry: what it has applied, and how it sees writer, targets and log-ins."""
    entry: dict[str, Any] = {
        "pod": pod,
        "problem": _cut("; ".join(problem.message for problem in problems), 1024),
        "problemReason": problems[0].reason if problems else "",
    }
    if config is not None:
        entry["revision"] = config.settings.revision
        entry["secretRevision"] = config.credentials.revision
        entry["generation"] = config.settings.proxy.generation
        entry["budgetDivisor"] = config.settings.budget_divisor
        if config.settings.target_group is not None:
            entry["groupGeneration"] = config.settings.target_group.generation
    entry["listeners"] = [listener.port for listener in applied.listeners] if applied else []
    if plan.writer is not None:
        entry["writer"] = {
            "target": plan.writer.target,
            "uid": plan.writer.uid,
            "epoch": plan.writer.epoch,
            "state": "OPEN" if plan.writer.is_open else "HOLDING",
            "reason": plan.writer.reason,
            "message": _cut(plan.writer.message),
        }
    if plan.acknowledged is not None:
        entry["acknowledged"] = asdict(plan.acknowledged)
    entry["targets"] = [
        {
            "name": target.name,
            "role": target.role,
            "state": target.state,
            "reason": target.reason,
            "description": _cut(target.description),
            "maxConnections": target.max_connections,
        }
        for target in plan.targets
    ]
    bad = [login for login in plan.logins if not login.ok]
    entry["goodLogins"] = len(plan.logins) - len(bad)
    entry["badLogins"] = len(bad)
    entry["logins"] = [
        asdict(login) | {"message": _cut(login.message)} for login in bad[:MOST_LOGINS]
    ]
    return entry
