"""Work for a contender before MySQL or MariaDB, by the Go program in `mysql_load/`."""

from __future__ import annotations

import json
import os
import subprocess
import threading

from tests.bench.contenders import USER, Contender
from tests.bench.load import LONGEST, LoadError, Memory, Run, Work, per_query
from tests.cluster.node import loads
from tests.mysql_servers import DATABASE, PASSWORDS
from tests.servers import HOST

# Seconds: a client that nobody answers would wait for ever.
PATIENCE = 120


def warm_up(contender: Contender) -> None:
    """Open all of the pool's connections, and touch all code once."""
    counted(contender, Work(64), 20)


def timed(contender: Contender, work: Work, seconds: int) -> Run:
    """Clients that ask for so long."""
    return _run(contender, work, "--seconds", str(seconds))


def counted(contender: Contender, work: Work, questions: int) -> Run:
    """Clients that each ask so many times."""
    return _run(contender, work, "--count", str(questions))


def log_ins(contender: Contender, seconds: int) -> Run:
    """Log in, ask once and leave, one after the other."""
    return _run(contender, Work(1), "--mode", "login", "--seconds", str(seconds))


def idle_clients(contender: Contender, count: int, sets: bool) -> Memory:
    """Open many connections that each ask three times and then stay.

    `sets`: each has settings and prepared statements too.
    """
    at_rest = contender.resident()
    command = _command(contender, Work(count), "--mode", "idle", f"--sets={str(sets).lower()}")
    with subprocess.Popen(
        command,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None, "a pipe was asked for"
        late = threading.Timer(PATIENCE, program.kill)
        late.start()
        told = program.stdout.readline()
        late.cancel()
        grown = contender.resident() - at_rest
        _, faults = program.communicate("")
    if not told or program.returncode != 0:
        raise LoadError(f"{count} idle clients on {contender.name}: {faults[-2_000:]}")
    return Memory(at_rest, grown / count)


def _run(contender: Contender, work: Work, *options: str) -> Run:
    command = _command(contender, work, *options)
    before = contender.cpu_seconds()
    try:
        done = subprocess.run(
            command,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST + PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"a client on {contender.name} got no answer") from error
    spent = contender.cpu_seconds() - before
    if done.returncode != 0:
        raise LoadError(f"mysql_load on {contender.name}: {done.stderr[-2_000:]}")
    told = json.loads(done.stdout)
    if told["done"] == 0:
        raise LoadError(f"mysql_load on {contender.name} did nothing")
    rate = told["done"] / told["seconds"]
    return Run(rate, per_query(contender, spent, told["done"]), told["latencies"])


def _command(contender: Contender, work: Work, *options: str) -> list[str]:
    return [
        *(str(loads.mysql()), "--address", f"{HOST}:{contender.port}", "--user", USER),
        *("--database", DATABASE, "--clients", str(work.clients)),
        f"--prepared={str(work.protocol == 'prepared').lower()}",
        f"--tls={str(work.tls).lower()}",
        *options,
    ]


def _environment() -> dict[str, str]:
    return os.environ | {"MYSQL_PWD": PASSWORDS[USER]}
