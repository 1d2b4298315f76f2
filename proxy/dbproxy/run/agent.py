"""The agent's loop: facts come in, the planner says what follows, engine, probes and report obey.

Started by `__main__`. It turns on events only: a raised epoch goes through it in milliseconds, and
nothing on that way waits for a clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from dbproxy.dataplane import Dataplane, EngineOptions, backend_login
from dbproxy.decide.pairing import Pairing
from dbproxy.decide.plan import Plan
from dbproxy.decide.planner import Planner
from dbproxy.decide.rota import Rota
from dbproxy.envelope import Envelope
from dbproxy.errors import ListenerUnavailableError, SnapshotRefusedError
from dbproxy.facts import Addresses, Drained, Election, Login, Probe, Problem, Source
from dbproxy.families import EngineFamily
from dbproxy.logs import Log
from dbproxy.probe.engines.base import Attempt, ProbeSpec, TargetProbe
from dbproxy.probe.engines.mysql import MySQLProbe
from dbproxy.probe.engines.postgres import PostgresProbe
from dbproxy.probe.logins import Assignment, Logins
from dbproxy.probe.prober import Prober
from dbproxy.run.beginning import Beginning
from dbproxy.run.following import Following, Heard
from dbproxy.run.options import Options
from dbproxy.run.peers import Peers
from dbproxy.settings import Config, Credentials, Settings
from dbproxy.tasks import Tasks
from dbproxy.tell.health import Health
from dbproxy.tell.metrics import AgentMetrics
from dbproxy.tell.observation import Observation
from dbproxy.tell.pinned import Pinned
from dbproxy.tell.report import (
    Entry,
    Others,
    Reporter,
    destination,
    destination_of,
    least_entry,
    pod_entry,
)

# Faults of a failed log-in that say something of the user's credentials.
NOT_ADMITTED = ("wrong_password", "not_let_in")
RETRY_APPLY = 1.0
# How often a pod that gives back connections looks how many it still has.
LOOK = 0.5

log = Log(__name__)


class Agent:
    """One agent with its engine."""

    def __init__(self, options: Options, health: Health, tasks: Tasks) -> None:
        self.dataplane: Dataplane | None = None
        self.config: Config | None = None
        self._options = options
        self._health = health
        self._tasks = tasks
        self._wake = asyncio.Event()
        self._pairing = Pairing(accept_equal=options.kube is None)
        self._planner = Planner(options.max_clients, alone=options.kube is None)
        # Of settings in a format that is not known, while there are no others.
        self._envelope: Envelope | None = None
        self._refused: Config | None = None
        self._problem: Problem | None = None
        self._last: Plan | None = None
        self._beginning = Beginning(options)
        self.metrics = AgentMetrics(lambda: self.dataplane, self._known_family)
        self._observation = Observation(self.metrics)
        self._prober = Prober(
            self._probe,
            self._on_probe,
            self._on_addresses,
            tasks,
            f"dbproxy {options.pod}",
        )
        self._logins = Logins(self._on_logins, tasks)
        self._rota = Rota(options.pod)
        self._reporter: Reporter | None = None
        if options.kube is not None:
            self._reporter = Reporter(options.kube, tasks, self._on_stored, self._on_unstored)
        self._part = 0
        self._pinned = Pinned()
        heard = Heard(
            settings=self._on_settings,
            envelope=self._on_envelope,
            settings_problem=self._on_settings_problem,
            credentials=self._on_credentials,
            credentials_problem=self._on_credentials_problem,
            election=self._on_election,
            election_read=self._wake.set,
        )
        self._following = Following(options, heard, tasks)
        self._peers = Peers(options.pod_address, tasks)
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Turn for good."""
        self._running = asyncio.current_task()
        self._following.begin()
        while True:
            self._wake.clear()
            with self._health.turning():
                wake_in = await self._turn()
            try:
                async with asyncio.timeout(wake_in):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def drain(self) -> None:
        """Take no new clients; what of its part of the connections the pod needs no longer is
        given back as those that are here leave."""
        if self.dataplane is not None:
            await self.dataplane.drain()
            self._wake.set()

    async def leave(self) -> None:
        """Turn no more; end the probes and the engine, and only then say that nothing is held."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._logins.close()
        await self._prober.close()
        if self.dataplane is not None:
            await self.dataplane.close()
        if self._reporter is not None:
            await self._reporter.farewell()

    # --- facts ------------------------------------------------------------------------------

    def _on_settings(self, settings: Settings) -> None:
        if self._pairing.learn_settings(settings, _now()):
            self._envelope = None
            self._following.follow_objects(settings.proxy.namespace, settings.proxy.name)
        self._wake.set()

    def _on_envelope(self, envelope: Envelope) -> None:
        self._following.follow_objects(envelope.proxy.namespace, envelope.proxy.name)
        self._envelope = envelope
        self._wake.set()

    def _on_credentials(self, credentials: Credentials) -> None:
        self._pairing.learn_credentials(credentials, _now())
        self._wake.set()

    def _on_settings_problem(self, source: Source, problem: str) -> None:
        self._pairing.settings_problem(source, problem)
        self._wake.set()

    def _on_credentials_problem(self, source: Source, problem: str) -> None:
        self._pairing.credentials_problem(source, problem)
        self._wake.set()

    def _on_election(self, election: Election) -> None:
        self._planner.learn_election(election)
        self._wake.set()

    def _on_probe(self, probe: Probe) -> None:
        self._observation.probe(probe)
        self._planner.learn_probe(probe)
        self._wake.set()

    def _on_addresses(self, addresses: Addresses) -> None:
        self._planner.learn_addresses(addresses)
        self._wake.set()

    def _on_logins(self, logins: Iterable[Login]) -> None:
        logins = tuple(logins)
        self._rota.learn_logins(logins)
        self._planner.learn_logins(logins)
        self._wake.set()

    def _on_stored(self, entry: Entry, others: Others) -> None:
        self._planner.claim.answered(entry["budgetDivisor"], others.parts)
        self._rota.learn_others(others.pods)
        self._wake.set()

    def _on_unstored(self) -> None:
        self._planner.claim.unanswered(_now())
        self._wake.set()

    def _on_event(self, event: dict[str, Any]) -> None:
        """An event of the engine."""
        self._observation.event(event)
        kind = event["event"]
        if kind == "writer_doubted":
            self._prober.poke(event["target"])
            self._following.doubt_election()
        elif kind == "writer_drained":
            drained = Drained(event["target"], event["epoch"], event["unconfirmed"])
            self._planner.learn_drained(drained)
            self._wake.set()
        elif kind == "backend_failed":
            self._prober.poke(event["target"])
            if event["fault"] in NOT_ADMITTED:
                self._rota.doubt(event["user"])
                self._logins.doubt(event["user"])
                self._wake.set()
        elif kind == "events_lost":
            self._planner.learn_words_lost()
            for target in self._prober.watches:
                self._prober.poke(target)
            self._following.doubt_election()

    # --- one turn ---------------------------------------------------------------------------

    async def _turn(self) -> float | None:
        """Bring everything in line with the facts; says after how long to turn again."""
        self._adopt_config()
        dataplane = self.dataplane
        if dataplane is not None and dataplane.draining:
            self._planner.learn_leaving(dataplane.held())
        now = _now()
        self._planner.learn_election_read(self._following.election_read_at)
        plan = self._planner.plan(now, time.time())
        late_at = self._pairing.next_deadline(now)
        if plan is None:
            problem = self._pairing.problem(now)
            self._observation.problem(problem.message if problem else "")
            self._say_what_is_read(problem)
            return None if late_at is None else late_at - now
        # First of all: not another byte to a former writer, and ask the new one at once.
        self._prober.follow(plan.suspended, fast=plan.fast)
        if plan.term is not None and (self._last is None or plan.term != self._last.term):
            self._prober.poke(plan.term.target)
        if self.dataplane is None:
            if wait := self._beginning.engine_waits(plan, now):
                return wait
            self._start_engine()
        starting = self._beginning.clients_wait(plan, now)
        self._health.starting = starting > 0
        applied = await self._apply(plan)
        self._last = plan
        self._assign_logins(plan)
        giving_back = self._take_part(applied=applied)
        looks_again = self._look(now)
        self._tell(plan, now)
        waits = [
            plan.wake_in if applied else RETRY_APPLY,
            None if late_at is None else late_at - now,
            LOOK if giving_back else None,
            starting or None,
            looks_again,
        ]
        return min((wait for wait in waits if wait is not None), default=None)

    def _adopt_config(self) -> None:
        config = self._pairing.newest()
        if config is None or config in (self._planner.config, self._refused):
            return
        if self._planner.admits(config):
            self._learn_config(config)
        elif self._reporter is not None:
            # Before it opens or asks anything, the pod makes sure of a part of the connections.
            claim, where = self._planner.claim, destination(config, self._options.pod)
            self._health.waiting, self._part = claim.waiting, claim.said(None)
            waiting = Problem("Budget", claim.waiting)
            if where is not None:
                least = least_entry(self._options.pod, self._part, [waiting])
                self._reporter.offer(where, least, wishes=True)

    def _say_what_is_read(self, problem: Problem | None) -> None:
        """There is nothing but settings in another format: the operator may write an older one."""
        if self._envelope is None or self._reporter is None or self._pairing.newest() is not None:
            return
        if (where := destination_of(self._envelope, self._options.pod)) is not None:
            problems = [problem] if problem is not None else []
            self._reporter.offer(where, least_entry(self._options.pod, 0, problems))

    def _learn_config(self, config: Config) -> None:
        self._planner.learn_config(config)
        self._prober.configure(config)
        for target, watch in self._prober.watches.items():
            self._planner.learn_addresses(Addresses(target, watch.addresses))
        self._observation.config(config)
        self._following.follow_election(config)

    # --- obeying the plan -------------------------------------------------------------------

    def _probe(self, spec: ProbeSpec) -> TargetProbe:
        if self._family() == "MYSQL":
            return MySQLProbe(spec)
        return PostgresProbe(spec, backend_login)

    def _family(self) -> EngineFamily:
        # It never changes: the first settings say it, which everything waits for.
        return self._known_family() or "POSTGRESQL"

    def _known_family(self) -> EngineFamily | None:
        config = self._planner.config
        return None if config is None else config.settings.engine_family

    def _start_engine(self) -> None:
        workers = self._beginning.workers(self._planner.smallest_budget())
        options = EngineOptions(
            self._family(), workers, self._options.listen_address, self._options.pod_address
        )
        self.dataplane = Dataplane(self._options.start_engine(options))
        self.dataplane.listen(self._on_event)
        self._health.dataplane = self.dataplane
        log.info("engine_started", workers=workers, max_clients=self._options.max_clients)

    async def _apply(self, plan: Plan) -> bool:
        """Hand the snapshot to the engine if it is a new one; says whether it is in force."""
        dataplane = self.dataplane
        if dataplane is None:
            return False
        if plan.snapshot != dataplane.applied:
            try:
                await dataplane.apply(plan.snapshot)
            except ListenerUnavailableError as error:
                self._problem = Problem("ListenerUnavailable", str(error))
                self._observation.apply("listener_unavailable", self._problem.message)
                return False
            except SnapshotRefusedError as error:
                return self._take_back(plan, error)
            self._observation.apply("applied", "")
            if self._refused is None:
                self._problem = None
        if plan.config != self.config:
            self._peers.follow(plan.config, dataplane)
            self.config, self._refused, self._problem = plan.config, None, None
            log.info("config_applied", revision=plan.config.settings.revision,
                     secretRevision=plan.config.credentials.revision)  # fmt: skip
        return True

    def _take_back(self, plan: Plan, error: SnapshotRefusedError) -> bool:
        """The engine refused a snapshot: its configuration is not tried again, the last goes on."""
        told = f"revision {plan.config.settings.revision}: {error}"
        self._problem = Problem("SettingsRefused", told)
        self._observation.apply("refused", told)
        if self.config is None or self.config == plan.config:
            return False
        self._refused = plan.config
        self._learn_config(self.config)
        self._wake.set()
        return True

    def _assign_logins(self, plan: Plan) -> None:
        """Its share of the users is tried on the writer, or the first target that is available."""
        usable = [target.name for target in plan.snapshot.targets if target.available]
        writer = plan.snapshot.writer
        if writer is not None and writer.open and writer.target in usable:
            usable.insert(0, writer.target)
        watch = self._prober.watches.get(usable[0]) if usable else None
        if watch is None:
            self._logins.assign(None, None)
            return
        attempts = tuple(
            Attempt(user.name, user.passwords, scram_only=user.method == "SCRAM_SHA_256")
            for user in plan.snapshot.users
            if self._rota.tries(user.name)
        )
        self._logins.assign(Assignment(watch.spec.name, watch.addresses, attempts), watch.probe)

    def _take_part(self, *, applied: bool) -> bool:
        """Look what is held by now, for the report; says whether to look again soon."""
        claim, dataplane = self._planner.claim, self.dataplane
        if dataplane is None:
            return False
        if applied:
            self._part = self._planner.part(dataplane.held())
        group = self.config.settings.target_group if self.config else None
        self._health.waiting = claim.waiting if group else ""
        return dataplane.draining or 0 < self._part < (claim.in_force or 0)

    def _look(self, now: float) -> float | None:
        """What the report says is pinned; says after how long that is out of date."""
        if self._reporter is None or self.dataplane is None:
            return None
        return self._pinned.look(self.dataplane, now)

    def _tell(self, plan: Plan, now: float) -> None:
        """Log, metrics and the report."""
        waiting = self._health.waiting
        small = Problem("Budget", waiting) if waiting else None
        found = (self._pairing.problem(now), self._problem, small)
        problems = [problem for problem in found if problem is not None]
        self._observation.plan(plan)
        self._observation.problem("; ".join(problem.message for problem in problems))
        where = destination(plan.config, self._options.pod)
        if self._reporter is None or where is None:
            return
        applied = None if self.dataplane is None else self.dataplane.applied
        least = least_entry(self._options.pod, self._part, problems)
        entry = pod_entry(least, plan, self.config, applied, self._pinned.sessions)
        self._reporter.offer(where, entry, wishes=self._planner.claim.wishes)


def _now() -> float:
    return asyncio.get_running_loop().time()
