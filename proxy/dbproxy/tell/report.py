"""What this pod sees, told to the API server as `status.proxies[pod]`: on change, 1 s apart at
least.

No timestamps: whether the pod lives, its Pod object tells. What can't be written now is tried
again; only the newest report counts. The answer to each write has the entries of all pods: from
them a pod learns which parts of the connections the others have (`claim`), and as long as it wishes
for more it writes again what it said, which stores nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from dbproxy.decide.plan import Plan
from dbproxy.decide.snapshot import Snapshot
from dbproxy.envelope import FORMAT_VERSION, Envelope
from dbproxy.errors import KubeError
from dbproxy.facts import Problem
from dbproxy.logs import Log
from dbproxy.settings import Config
from dbproxy.tasks import Tasks

if TYPE_CHECKING:
    from dbproxy.kube import Kube

APART = 1.0
# How often a pod that wishes for more connections looks for room.
LOOK_FOR_ROOM = 2.0
# How soon a pod looks who the others are, after it found them changed, and how rarely in the end.
LOOK_FIRST = 15.0
LOOK_LAST = 600.0
RETRY_FIRST = 1.0
RETRY_LAST = 10.0
# All pods write into one object: of log-ins that fail, each names so many and counts all.
MOST_LOGINS = 20
# A pod that must go doesn't wait for an API server that is away.
FAREWELL = 3.0
RESOURCE = "dbproxytargetgroups"
Entry = dict[str, Any]

log = Log(__name__)


@dataclass(frozen=True)
class Others:
    """The parts of the connections that all other pods have together, and which pods have one."""

    parts: Fraction = Fraction(0)
    pods: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Destination:
    """The object whose status takes this pod's report."""

    namespace: str
    group: str
    uid: str
    pod: str

    def body(self, entry: dict[str, Any]) -> dict[str, Any]:
        """With the UID, so that a later object of the same name never takes it."""
        return {
            "apiVersion": "dbproxy.dev/v1alpha1",
            "kind": "DBProxyTargetGroup",
            "metadata": {"name": self.group, "namespace": self.namespace, "uid": self.uid},
            "status": {"proxies": [entry]},
        }


class Reporter:
    """The task that writes; `offer` gives it what to say, at any pace."""

    def __init__(
        self,
        kube: Kube,
        tasks: Tasks,
        on_stored: Callable[[Entry, Others], None],
        on_failed: Callable[[], None],
    ) -> None:
        """`on_stored` gets what was stored, and what the other pods have by then."""
        self._kube = kube
        self._on_stored = on_stored
        self._on_failed = on_failed
        self._offered: tuple[Destination, Entry] | None = None
        self._written: tuple[Destination, Entry] | None = None
        self._wishes = False
        self._others = Others()
        self._look_in = LOOK_FIRST
        self._wake = asyncio.Event()
        # One write at a time: one that is broken off may be stored after the next all the same.
        self._writing = asyncio.Lock()
        self._task = tasks.spawn(self._run(), "report")

    def offer(self, destination: Destination, entry: Entry, *, wishes: bool = False) -> None:
        """Say this from now on; `wishes`: and look for room until told otherwise."""
        offered = (destination, entry)
        if offered != self._offered or (wishes and not self._wishes):
            self._wake.set()
        self._offered, self._wishes = offered, wishes

    async def farewell(self) -> None:
        """The last word: the pod is there, and has nothing any more. Stop."""
        try:
            async with asyncio.timeout(FAREWELL), self._writing:
                await self.close()
                if self._offered is not None:
                    destination, _ = self._offered
                    await self._apply(destination, {"pod": destination.pod})
        except (KubeError, TimeoutError) as error:
            # What it held counts until the operator sees that the pod is gone.
            log.warning("report_not_withdrawn", error=str(error))
            await self.close()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = RETRY_FIRST
        while True:
            looks = await self._woken()
            offered = self._offered
            if offered is None or (offered == self._written and not looks):
                continue
            destination, entry = offered
            try:
                async with self._writing:
                    answer = await self._apply(destination, entry)
                found = others(answer, destination.pod)
            except KubeError as error:
                log.warning("report_failed", error=str(error), status=error.status)
                self._on_failed()
                self._wake.set()
                # Pods whose writes collided would meet again.
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, RETRY_LAST)
                continue
            pause = RETRY_FIRST
            self._written = offered
            self._learn(found)
            self._on_stored(entry, self._others)
            await asyncio.sleep(APART)

    def _learn(self, found: Others) -> None:
        self._look_in = next_look(self._look_in, changed=found.pods != self._others.pods)
        self._others = found

    async def _woken(self) -> bool:
        """Whether to write although nothing is new."""
        pause = LOOK_FOR_ROOM if self._wishes else self._look_in * random.uniform(0.8, 1.2)
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return True
        self._wake.clear()
        return self._wishes

    async def _apply(self, destination: Destination, entry: Entry) -> dict[str, Any]:
        return await self._kube.apply_status(
            RESOURCE,
            destination.namespace,
            destination.group,
            destination.body(entry),
            f"dbproxy/{destination.pod}",
        )


def next_look(before: float, *, changed: bool) -> float:
    """In how many seconds to look for the other pods again."""
    return LOOK_FIRST if changed else min(2 * before, LOOK_LAST)


def others(group: dict[str, Any], pod: str) -> Others:
    """What the group's status says of all pods but this one, which has just written to it; raises a
    KubeError for an answer that isn't the group."""
    status = group.get("status")
    entries = status.get("proxies") if isinstance(status, dict) else None
    if not isinstance(entries, list):
        raise KubeError("the answer to the report is not the target group with its reports")
    divisors = {entry.get("pod"): entry.get("budgetDivisor") for entry in entries}
    having = {
        name: one for name, one in divisors.items() if name not in (pod, None) and one and one > 0
    }
    parts = sum((Fraction(1, one) for one in having.values()), Fraction(0))
    return Others(parts, frozenset(having))


def _cut(text: str, most: int = 256) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def destination(config: Config, pod: str) -> Destination | None:
    """The group whose status takes the report; None while there is none."""
    settings = config.settings
    # An operator that was rolled back names only the group that is served.
    group = settings.report_to or settings.target_group
    if group is None:
        return None
    return Destination(settings.proxy.namespace, group.name, group.uid, pod)


def destination_of(envelope: Envelope, pod: str) -> Destination | None:
    """The same, by settings of which no more is known."""
    group, namespace = envelope.report_to, envelope.proxy.namespace
    return Destination(namespace, group.name, group.uid, pod) if group is not None else None


def least_entry(pod: str, part: int, problems: Sequence[Problem]) -> Entry:
    """What every entry says, and all that a pod says that has applied nothing yet: the newest
    format of its configuration that it reads, which part of the connections it has or asks for, as
    a divisor, and what is wrong."""
    return {
        "pod": pod,
        "formatVersion": FORMAT_VERSION,
        "budgetDivisor": part,
        "problem": _cut("; ".join(problem.message for problem in problems), 1024),
        "problemReason": problems[0].reason if problems else "",
    }


def pod_entry(
    least: Entry,
    plan: Plan,
    config: Config | None,
    applied: Snapshot | None,
    pinned: Mapping[str, int],
) -> Entry:
    """This pod's entry: what it has applied, how it sees writer, targets and log-ins, and which
    sessions are pinned."""
    entry = dict(least)
    if config is not None:
        entry["revision"] = config.settings.revision
        entry["secretRevision"] = config.credentials.revision
        entry["generation"] = config.settings.proxy.generation
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
            "usableConnections": target.usable_connections,
        }
        for target in plan.targets
    ]
    bad = [login for login in plan.logins if not login.ok]
    entry["goodLogins"] = len(plan.logins) - len(bad)
    entry["badLogins"] = len(bad)
    entry["logins"] = [
        asdict(login) | {"message": _cut(login.message)} for login in bad[:MOST_LOGINS]
    ]
    entry["pinnedSessions"] = dict(pinned)
    return entry
