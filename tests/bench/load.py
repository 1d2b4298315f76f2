"""Work for a contender, and what one run of it says: by pgbench, and by clients that only wait."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contenders import USER, Contender, OfPostgres
from tests.raw_client import SYNC, TERMINATE, RawClient, bind, describe, execute, parse
from tests.servers import HOST, PASSWORDS, binaries

SCRIPT = "SELECT 1;\n"
# Five settings, each client's own, when it begins.
SETTINGS = r"""\if :ready = 0
\set a :client_id + 1000
\set b :client_id + 2000
\set c :client_id + 100000
\set d :client_id + 200000
\set e mod(:client_id, 4)
SET work_mem = :a;
SET maintenance_work_mem = :b;
SET statement_timeout = :c;
SET lock_timeout = :d;
SET extra_float_digits = :e;
\set ready 1
\endif
SELECT 1;
"""
STATEMENTS = ("SELECT 1", "SELECT $1::int + 1", "SELECT $1::text")
PROCESSED = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
# The same for all: with one, pgbench itself would be the bottleneck of the fastest contender.
THREADS = 2
# Seconds after which a run that did nothing will not do better with more time.
LONGEST = 20


class LoadError(Exception):
    """pgbench did not do its work."""


class TooShortError(LoadError):
    """The time was over before all clients were there."""


@dataclass(frozen=True)
class Work:
    """One way to call pgbench."""

    clients: int
    protocol: str = "simple"
    tls: bool = False
    script: str = SCRIPT


@dataclass(frozen=True)
class Run:
    """What one run did. `cpu` is the contender's, in µs per query, where it counts."""

    rate: float
    cpu: float | None
    latencies: list[int]


def warm_up(contender: OfPostgres) -> None:
    """Open all of the pool's connections, and touch all code once."""
    pgbench(contender, Work(64), "--transactions=20")


def pgbench_for(contender: OfPostgres, work: Work, seconds: int) -> Run:
    """One run of pgbench, longer where a busy machine needs that time for its log-ins."""
    try:
        return pgbench(contender, work, f"--time={seconds}")
    except TooShortError:
        if seconds > LONGEST:
            raise
        return pgbench_for(contender, work, seconds * 3)


def pgbench(contender: OfPostgres, work: Work, *options: str) -> Run:
    """One run of pgbench."""
    with tempfile.TemporaryDirectory(prefix="dbproxy-bench-") as name:
        home = Path(name)
        (home / "script.sql").write_text(work.script)
        command = [
            *(str(binaries() / "pgbench"), "--no-vacuum", "--file", "script.sql"),
            *("--protocol", work.protocol, "--client", str(work.clients)),
            *("--jobs", str(THREADS), "--define", "ready=0", *options),
            contender.dsn("require" if work.tls else "disable"),
        ]
        before = contender.cpu_seconds()
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
        spent = contender.cpu_seconds() - before
        if done.returncode != 0:
            raise LoadError(f"pgbench on {contender.name}: {done.stderr[-2_000:]}")
        logs = [path.read_text() for path in home.glob("pgbench_log.*")]
    processed, rate = PROCESSED.search(done.stdout), RATE.search(done.stdout)
    if processed is None or rate is None or int(processed[1]) == 0:
        raise TooShortError(f"pgbench on {contender.name} did nothing: {done.stdout}")
    times = [int(line.split()[2]) for log in logs for line in log.splitlines()]
    return Run(float(rate[1]), per_query(contender, spent, int(processed[1])), times)


def log_ins(contender: Contender, seconds: int) -> Run:
    """Log in, ask once and leave, one after the other: libpq would mostly measure itself."""
    begun, before, count = time.monotonic(), contender.cpu_seconds(), 0
    times = []
    while (now := time.monotonic()) < begun + seconds:
        with RawClient(HOST, contender.port) as client:
            client.login(USER, PASSWORDS[USER]).ask("SELECT 1")
            client.send(TERMINATE)
        times.append(round((time.monotonic() - now) * 1_000_000))
        count += 1
    rate, spent = count / (time.monotonic() - begun), contender.cpu_seconds() - before
    return Run(rate, per_query(contender, spent, count), times)


def per_query(contender: Contender, seconds: float, queries: int) -> float | None:
    return None if contender.pid is None else seconds * 1_000_000 / queries


@dataclass(frozen=True)
class Memory:
    """Bytes: of the process at rest, and what each idle client adds to it."""

    at_rest: int
    per_client: float


def idle_clients(contender: Contender, count: int, sets: bool) -> Memory:
    """Open many connections that each run a few queries and then stay.

    `sets`: each has settings and named statements too.
    """
    at_rest = contender.resident()
    with ExitStack() as stack:
        for number in range(count):
            client = stack.enter_context(RawClient(HOST, contender.port))
            client.login(USER, PASSWORDS[USER])
            if sets:
                _keep_state(client, number)
            client.ask("SELECT 1")
            client.send(parse("SELECT 1"), bind(), describe(), execute(), SYNC)
            client.until()
            client.ask("SELECT 1")
        grown = contender.resident() - at_rest
    return Memory(at_rest, grown / count)


def _keep_state(client: RawClient, number: int) -> None:
    for name in ("work_mem", "maintenance_work_mem", "statement_timeout", "lock_timeout"):
        client.ask(f"SET {name} = {100_000 + number}")
    client.ask("SET extra_float_digits = 1")
    for place, text in enumerate(STATEMENTS):
        client.send(parse(text, f"s{place}"), SYNC)
        client.until()
