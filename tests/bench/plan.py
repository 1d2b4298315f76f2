"""What is measured on what: groups of rows that share the contenders' settings, round by round."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain

from tests.bench import flips, load
from tests.bench.contenders import DBPROXY, DBProxy, Direct, OfPostgres, PgBouncer
from tests.bench.load import Work
from tests.bench.results import Measure, Results, percentile
from tests.certificates import Authority
from tests.cluster.node import peers
from tests.fix_postgres import PostgresFactory
from tests.servers import Postgres

Say = Callable[[str], None]
IDLE_CLIENTS = 5_000
# Memory doesn't vary from round to round as time does, and takes the longest.
MEMORY_ROUNDS = 2

LOG_IN = Measure("proxy CPU per SCRAM log-in with one query", "log-in", "µs", goal=1.0)
LATENCY = "latency, 200 clients, pool 20"
P50 = Measure(LATENCY, "p50", "ms", goal=1.0)
P99 = Measure(LATENCY, "p99", "ms", goal=1.0)
PER_CLIENT = Measure("memory per idle client", "resident", "kB", limit=4.0)
WITH_STATE = Measure("memory per idle client", "five settings, three statements", "kB", limit=3.0)
AT_REST = Measure("memory at rest", "resident", "MB", limit=110.0)
FLIP = Measure("change of writer", "from the epoch to the first write", "ms", limit=500.0)


Figures = Iterator[tuple[Measure, float | None]]


@dataclass(frozen=True)
class Row:
    """One kind of load; its name is what `--only` takes.

    `goal`: the highest ratio to PgBouncer's CPU time; `most`: so many times what our own row
    `simple` takes. `bouncer`: the first version of PgBouncer that can do it, None where none can.
    """

    name: str
    work: Work
    goal: float | None = None
    most: float | None = None
    bouncer: tuple[int, ...] | None = ()

    def suits(self, contender: OfPostgres) -> bool:
        """Whether it can do this."""
        if not isinstance(contender, PgBouncer):
            return True
        return self.bouncer is not None and contender.version >= self.bouncer

    def run(self, contender: OfPostgres, seconds: int) -> load.Run:
        return load.pgbench_for(contender, self.work, seconds)

    def figures(self, run: load.Run) -> Figures:
        """What one run of this row tells."""
        label = self.name.replace("-tls", ", TLS")
        yield Measure("throughput, 16 clients, pool 8", label, "queries/s"), run.rate
        yield Measure("proxy CPU per query", label, "µs", goal=self.goal, most=self.most), run.cpu


class LogInRow(Row):
    """Each query on a connection of its own."""

    def run(self, contender: OfPostgres, seconds: int) -> load.Run:
        return load.log_ins(contender, seconds)

    def figures(self, run: load.Run) -> Figures:
        yield LOG_IN, run.cpu


class LatencyRow(Row):
    """Many more clients than connections."""

    def run(self, contender: OfPostgres, seconds: int) -> load.Run:
        # By count: pgbench's time runs while it opens its connections, which can take seconds, and
        # a client that is starved must not weigh less.
        return load.pgbench(contender, self.work, f"--transactions={100 * seconds}", "--log")

    def figures(self, run: load.Run) -> Figures:
        yield P50, percentile(run.latencies, 50) / 1_000
        yield P99, percentile(run.latencies, 99) / 1_000


@dataclass(frozen=True)
class Group:
    """Rows that run on the same contenders."""

    pool: int
    rows: tuple[Row, ...]


MEMORY = "memory"
FLIPS = "flips"
PREPARED = Row("prepared", Work(16, "prepared"), goal=1.0, most=1.1, bouncer=peers.KNOWS_STATEMENTS)
GROUPS = (
    Group(
        8,
        (
            Row("simple", Work(16), goal=1.0),
            Row("simple-tls", Work(16, tls=True)),
            Row("extended", Work(16, "extended")),
            Row("extended-tls", Work(16, "extended", tls=True)),
            PREPARED,
            Row("settings", Work(16, script=load.SETTINGS), most=1.5, bouncer=None),
            LogInRow("log-in", Work(1)),
        ),
    ),
    Group(20, (LatencyRow("latency", Work(200)),)),
)
NAMES = (*(row.name for group in GROUPS for row in group.rows), FLIPS, MEMORY)


@dataclass(frozen=True)
class Bench:
    """One run of some rows over one server."""

    server: Postgres
    make_postgres: PostgresFactory
    authority: Authority
    rounds: int
    seconds: int
    say: Say

    def measure(self, only: frozenset[str]) -> Results:
        """Run these rows, all of them where none is named."""
        results = Results()
        for group in GROUPS:
            rows = [row for row in group.rows if not only or row.name in only]
            if rows:
                self._run_group(group.pool, rows, results)
        if not only or FLIPS in only:
            self._run_flips(results)
        if not only or MEMORY in only:
            self._run_memory(results)
        return results

    def _run_group(self, pool: int, rows: list[Row], results: Results) -> None:
        self.say(f"PostgreSQL, PgBouncer and DBProxy with a pool of {pool}")
        with ExitStack() as stack:
            contenders = self._start(stack, pool)
            for contender in contenders:
                load.warm_up(contender)
            for number in range(self.rounds):
                for row in rows:
                    self._run_round(number, row, contenders, results)

    def _run_round(
        self, number: int, row: Row, contenders: list[OfPostgres], results: Results
    ) -> None:
        told = {}
        first = number % len(contenders)
        for contender in chain(contenders[first:], contenders[:first]):
            if not row.suits(contender):
                continue
            run = row.run(contender, self.seconds)
            for measure, figure in row.figures(run):
                if figure is not None:
                    results.add(measure, contender.name, figure)
            cpu = "" if run.cpu is None else f" ({run.cpu:.1f} µs)"
            told[contender.name] = f"{run.rate:,.0f}/s{cpu}"
        line = ", ".join(f"{c.name} {told[c.name]}" for c in contenders if c.name in told)
        self.say(f"  {row.name} {number + 1}/{self.rounds}: {line}")

    def _run_flips(self, results: Results) -> None:
        self.say("a client that writes on, between two servers that both take writes")
        for seconds in flips.changes(self.make_postgres, self.authority):
            results.add(FLIP, DBPROXY, seconds * 1_000)
            self.say(f"  flips: {seconds * 1_000:,.0f} ms")

    def _run_memory(self, results: Results) -> None:
        count = affordable_clients()
        self.say(f"{count:,} idle clients, a fresh process each time")
        for number in range(min(self.rounds, MEMORY_ROUNDS)):
            with ExitStack() as stack:
                for contender in self._start(stack, 8):
                    if contender.pid is None:
                        continue
                    memory = load.idle_clients(contender, count, sets=False)
                    results.add(PER_CLIENT, contender.name, memory.per_client / 1_000)
                    results.add(AT_REST, contender.name, memory.at_rest / 1_000_000)
                    told = f"{memory.per_client / 1_000:.2f} kB each"
                    self.say(f"  memory {number + 1}: {contender.name} {told}")
            with ExitStack() as stack:
                proxy = self._start(stack, 8)[-1]
                memory = load.idle_clients(proxy, count, sets=True)
                results.add(WITH_STATE, proxy.name, memory.per_client / 1_000)
                told = f"{memory.per_client / 1_000:.2f} kB each with settings and statements"
                self.say(f"  memory {number + 1}: {proxy.name} {told}")

    def _start(self, stack: ExitStack, pool: int) -> list[OfPostgres]:
        bouncer = PgBouncer(self.server, self.authority, pool)
        stack.callback(bouncer.close)
        proxy = DBProxy(self.server, self.authority, pool)
        stack.callback(proxy.close)
        return [Direct(self.server), bouncer.start(), proxy.start()]


def affordable_clients() -> int:
    """As many as descriptors allow: each client is one here, and one in the contender."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The proxy itself keeps a quarter for other things.
    return IDLE_CLIENTS if hard == resource.RLIM_INFINITY else min(IDLE_CLIENTS, hard * 5 // 8)
