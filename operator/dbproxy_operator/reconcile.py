"""What is done whenever anything wakes a proxy: observe, decide, act, tell.

Every decision comes from one reading, live but for what the watch vouches for (`observe.recall`),
and whatever interrupts it, the next pass starts over and ends at the same place. Whatever fails,
everybody is told how things stand with him; only then the failure is raised, so that the pass comes
again.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from dbproxy_operator.act.apply import Performer
from dbproxy_operator.act.plan import plan
from dbproxy_operator.act.withdraw import withdraw
from dbproxy_operator.decide.configuration import Defaults, soonest
from dbproxy_operator.decide.intent import fleet, intend
from dbproxy_operator.decide.resolve import resolve
from dbproxy_operator.decide.served import unread
from dbproxy_operator.desired.config import served
from dbproxy_operator.errors import Problem
from dbproxy_operator.kube import ConflictError, Kube, KubeError
from dbproxy_operator.observe import names
from dbproxy_operator.observe.ownership import own_child
from dbproxy_operator.observe.reading import observe, with_election
from dbproxy_operator.observe.recall import Recall
from dbproxy_operator.observe.world import Key, Object, Observed, Ref, name, operator_class
from dbproxy_operator.tell import faults, stories
from dbproxy_operator.tell.posting import Teller
from dbproxy_operator.tell.status import Verdict
from dbproxy_operator.tell.stories import Story
from dbproxy_operator.tell.verdicts import Facts

log = logging.getLogger(__name__)
LONGEST_PASS = 120.0


@dataclass
class Pass:
    """What has to be told, when to look again, and what failed on the way."""

    stories: list[Story]
    wakes: list[float | None]
    failures: list[Exception]


@dataclass(frozen=True)
class Reconciler:
    kube: Kube
    defaults: Callable[[], Defaults]
    clock: Callable[[], float]
    perform: Performer
    teller: Teller
    operator_class: str = ""

    @property
    def recall(self) -> Recall:
        return self.perform.recall

    async def __call__(self, key: Key) -> float | None:
        """Brings the proxy where it should be; returns in how many seconds to look again."""
        observed: Observed | None = None
        try:
            async with asyncio.timeout(LONGEST_PASS):
                observed = await observe(self.kube, self.recall, key)
                if operator_class(observed.proxy) != self.operator_class:
                    return None
                done = await self._act(observed)
        except Exception as error:
            await self._confess(key, error)
            if observed is not None:
                await self._withdraw(observed)
            raise
        done.wakes += await asyncio.gather(*(self._tell(story, done) for story in done.stories))
        if (unheard := await self._withdraw(observed)) is not None:
            done.failures.append(unheard)
        if done.failures:
            raise min(done.failures, key=_mildness)
        wake_at = soonest(*done.wakes)
        return None if wake_at is None else max(0.0, wake_at - self.clock())

    async def _withdraw(self, observed: Observed) -> KubeError | None:
        """Whatever else failed: pods that are gone would keep their parts of the connections."""
        try:
            await withdraw(self.kube, observed)
        except KubeError as error:
            log.warning(
                "word not withdrawn", extra={"proxy": str(observed.key), "reason": error.message}
            )
            return error
        return None

    async def _act(self, observed: Observed) -> Pass:
        proxy, now = observed.proxy, self.clock()
        if proxy is None:
            self.perform.memory.forget(observed.key)
            return Pass(stories.orphans(observed), [], [])
        config = names.config_name(observed.key.name)
        before = served(
            own_child(observed, "ConfigMap", config), own_child(observed, "Secret", config)
        )
        resolved = resolve(observed, before, now)
        if resolved.spec is None:
            return Pass(stories.faulty(observed, proxy, resolved), [], [])
        followed = resolved.group.election if resolved.group else None
        observed = await with_election(self.kube, self.recall, observed, followed)
        pods = fleet(observed)
        intent = intend(observed, resolved, pods, before, self.defaults(), now)
        planned = plan(intent.desired, intent.needs, observed)
        outcome = await self.perform(observed.key, planned, intent.needs)
        # Some of what was presumed absent is there: nothing more is done before all was looked for.
        if any(
            isinstance(error, ConflictError) and ref in observed.presumed
            for ref, error in outcome.failed.items()
        ):
            whole = await observe(self.kube, self.recall, observed.key, presume=False)
            return await self._act(whole)
        refused: dict[Ref, Problem] = dict(planned.taken)
        delays: dict[Ref, Problem] = {}
        for ref, error in outcome.failed.items():
            answer = faults.answered(ref, error.status, error.message, lasting=error.lasting)
            (refused if error.lasting else delays)[ref] = answer
        made = {(str(obj["kind"]), name(obj)) for obj in intent.desired}
        for ref, found in observed.unread.items():
            log.warning("not read", extra=_named(observed.key, ref) | {"reason": found.message})
            problem = unread(observed, ref)
            if problem is not None and (ref in made or not ref[1]):
                delays[ref] = problem
        facts = Facts(observed.key, resolved, pods, intent, outcome.stored, refused, delays)
        failures: list[Exception] = [
            error for error in outcome.failed.values() if not error.lasting
        ]
        return Pass(stories.served(facts, proxy, resolved.spec), [intent.wake_at], failures)

    async def _tell(self, story: Story, done: Pass) -> float | None:
        try:
            verdict, body = story.judge()
        except Exception as error:
            log.exception("cannot be judged", extra=_called(story.obj))
            done.failures.append(error)
            verdict = Verdict(progress=faults.bug(error), serving=True, extras=None)
            body = stories.unchanged(story.obj)
        try:
            return await self.teller.tell(story.obj, verdict, body)
        except KubeError as error:
            done.failures.append(error)
        except Exception as error:
            log.exception("cannot be told", extra=_called(story.obj))
            done.failures.append(error)
        return None

    async def _confess(self, key: Key, error: Exception) -> None:
        """Nothing could be judged: the DBProxy says why, and stays as it was."""
        if isinstance(error, ConflictError):
            return
        if isinstance(error, KubeError):
            problem = faults.unanswered(error.status, error.message)
        elif isinstance(error, TimeoutError):
            problem = faults.slow(LONGEST_PASS)
        else:
            problem = faults.bug(error)
        verdict = Verdict(progress=problem, serving=True, extras=None)
        try:
            proxy = await self.kube.get("DBProxy", key.namespace, key.name)
            if proxy is not None and operator_class(proxy) == self.operator_class:
                await self.teller.tell(proxy, verdict, stories.unchanged(proxy))
        except KubeError as second:
            log.warning("failure not told", extra={"proxy": str(key), "reason": second.message})


def _mildness(error: Exception) -> int:
    """Our own faults first, since each hides behind a back-off; conflicts are none at all."""
    if isinstance(error, ConflictError):
        return 2
    return 1 if isinstance(error, KubeError) else 0


def _named(key: Key, ref: Ref) -> dict[str, object]:
    kind, child = ref
    return {"kind": kind, "namespace": key.namespace, "object": child, "proxy": key.name}


def _called(obj: Object) -> dict[str, object]:
    return {"kind": obj["kind"], "namespace": obj["metadata"]["namespace"], "object": name(obj)}
