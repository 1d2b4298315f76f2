"""What is measured before MySQL or MariaDB, beside what this proxy takes before PostgreSQL for the
same in the same run: no peer's program can be had, so that is what it is held against."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain

from tests.bench import load, mysql_run
from tests.bench.contenders import DBPROXY, Contender, DBProxy, OfPostgres
from tests.bench.load import Run, Work
from tests.bench.mysql_contenders import MySQLDBProxy, MySQLDirect
from tests.bench.plan import MEMORY_ROUNDS, Say, affordable_clients
from tests.bench.results import Field, Measure, Results, percentile
from tests.certificates import Authority
from tests.mysql_servers import MySQL
from tests.servers import Postgres

# The same proxy before the other family.
OTHER = "DBProxy/PG"
CPU = "proxy CPU per query"
LOG_IN = Measure("proxy CPU per log-in with one query", "caching_sha2, or SCRAM", "µs")
LATENCY = "latency, 200 clients, pool 20"
P50 = Measure(LATENCY, "p50", "ms")
P99 = Measure(LATENCY, "p99", "ms")
PER_CLIENT = Measure("memory per idle client", "resident", "kB", limit=3.0)
WITH_STATE = Measure("memory per idle client", "five settings, three statements", "kB")
AT_REST = Measure("memory at rest", "resident", "MB", limit=110.0)

LOG_INS, LATENCIES, MEMORY = "log-in", "latency", "memory"


@dataclass(frozen=True)
class Row:
    """Questions of 16 clients; the goals as in `Measure`."""

    name: str
    work: Work
    goal: float | None = None
    most: float | None = None


ROWS = (
    # The same text for both, so that what differs is the protocol.
    Row("simple", Work(16), goal=1.15),
    Row("simple-tls", Work(16, tls=True)),
    Row("prepared", Work(16, "prepared"), most=1.1),
)
NAMES = (*(row.name for row in ROWS), LOG_INS, LATENCIES, MEMORY)


@dataclass(frozen=True)
class MySQLBench:
    """One run of some rows over one server of each family."""

    server: MySQL
    name: str
    postgres: Postgres
    authority: Authority
    rounds: int
    seconds: int
    say: Say

    def measure(self, only: frozenset[str]) -> Results:
        """Run these rows, all of them where none is named."""
        notes = (f"{OTHER}: this proxy before PostgreSQL, asked by pgbench, in the same rounds.",)
        results = Results(Field((self.name, DBPROXY, OTHER), DBPROXY, OTHER, notes))
        rows = [row for row in ROWS if not only or row.name in only]
        log_ins = not only or LOG_INS in only
        if rows or log_ins:
            self._run_rows(rows, log_ins, results)
        if not only or LATENCIES in only:
            self._run_latencies(results)
        if not only or MEMORY in only:
            self._run_memory(results)
        return results

    def _run_rows(self, rows: list[Row], log_ins: bool, results: Results) -> None:
        self.say("a pool of 8")
        with ExitStack() as stack:
            contenders = self._start(stack, 8)
            for number in range(self.rounds):
                for row in rows:
                    self._run_row(number, row, contenders, results)
                if not log_ins:
                    continue
                logged = partial(logged_in, seconds=self.seconds)
                for name, run in self._turns(LOG_INS, number, contenders, logged):
                    if run.cpu is not None:
                        results.add(LOG_IN, name, run.cpu)

    def _run_row(
        self, number: int, row: Row, contenders: list[Contender], results: Results
    ) -> None:
        label = row.name.replace("-tls", ", TLS")
        rate = Measure("throughput, 16 clients, pool 8", label, "queries/s")
        cost = Measure(CPU, label, "µs", goal=row.goal, most=row.most)
        asked = partial(timed, work=row.work, seconds=self.seconds)
        for name, run in self._turns(row.name, number, contenders, asked):
            results.add(rate, name, run.rate)
            if run.cpu is not None:
                results.add(cost, name, run.cpu)

    def _run_latencies(self, results: Results) -> None:
        self.say("a pool of 20")
        with ExitStack() as stack:
            contenders = self._start(stack, 20)
            for number in range(self.rounds):
                asked = partial(counted, work=Work(200), questions=100 * self.seconds)
                for name, run in self._turns(LATENCIES, number, contenders, asked):
                    results.add(P50, name, percentile(run.latencies, 50) / 1_000)
                    results.add(P99, name, percentile(run.latencies, 99) / 1_000)

    def _turns(
        self,
        row: str,
        number: int,
        contenders: list[Contender],
        run: Callable[[Contender], Run],
    ) -> list[tuple[str, Run]]:
        """One run of each contender, another one first in each round."""
        first = number % len(contenders)
        found = [(one.name, run(one)) for one in chain(contenders[first:], contenders[:first])]
        told = {
            name: f"{run.rate:,.0f}/s" + ("" if run.cpu is None else f" ({run.cpu:.1f} µs)")
            for name, run in found
        }
        line = ", ".join(f"{one.name} {told[one.name]}" for one in contenders)
        self.say(f"  {row} {number + 1}/{self.rounds}: {line}")
        return found

    def _run_memory(self, results: Results) -> None:
        count = affordable_clients()
        self.say(f"{count:,} idle clients, a fresh process each time")
        for number in range(min(self.rounds, MEMORY_ROUNDS)):
            for sets in (False, True):
                with ExitStack() as stack:
                    for contender in self._start(stack, 8)[1:]:
                        memory = idle_clients(contender, count, sets)
                        measure = WITH_STATE if sets else PER_CLIENT
                        results.add(measure, contender.name, memory.per_client / 1_000)
                        if not sets:
                            results.add(AT_REST, contender.name, memory.at_rest / 1_000_000)
                        told = f"{memory.per_client / 1_000:.2f} kB each"
                        told += " with settings and statements" if sets else ""
                        self.say(f"  memory {number + 1}: {contender.name} {told}")

    def _start(self, stack: ExitStack, pool: int) -> list[Contender]:
        """Direct, ours, and ours before PostgreSQL, all warm."""
        direct = MySQLDirect(self.server, self.name)
        proxy = MySQLDBProxy(self.server, self.authority, pool)
        stack.callback(proxy.close)
        other = DBProxy(self.postgres, self.authority, pool)
        stack.callback(other.close)
        other.name = OTHER
        # The server checks a password at length once; all later log-ins are the quick ones.
        direct.wait_answers()
        mysql_run.warm_up(direct)
        mysql_run.warm_up(proxy.start())
        load.warm_up(other.start())
        return [direct, proxy, other]


def timed(contender: Contender, work: Work, seconds: int) -> Run:
    """Clients that ask for so long."""
    if isinstance(contender, OfPostgres):
        return load.pgbench_for(contender, work, seconds)
    return mysql_run.timed(contender, work, seconds)


def counted(contender: Contender, work: Work, questions: int) -> Run:
    """Clients that each ask so many times."""
    if isinstance(contender, OfPostgres):
        return load.pgbench(contender, work, f"--transactions={questions}", "--log")
    return mysql_run.counted(contender, work, questions)


def logged_in(contender: Contender, seconds: int) -> Run:
    """A connection for each question."""
    if isinstance(contender, OfPostgres):
        return load.log_ins(contender, seconds)
    return mysql_run.log_ins(contender, seconds)


def idle_clients(contender: Contender, count: int, sets: bool) -> load.Memory:
    """Clients that wait."""
    if isinstance(contender, OfPostgres):
        return load.idle_clients(contender, count, sets)
    return mysql_run.idle_clients(contender, count, sets)
