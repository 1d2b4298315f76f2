"""`python -m tests.bench`: measures, prints the table, and writes `build/bench.json`.

It fails when something does not work, never because of a figure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import pytest
from tests.bench import plan, statements
from tests.bench.contenders import MAX_CONNECTIONS
from tests.bench.load import LoadError
from tests.bench.results import machine
from tests.certificates import make_authority
from tests.cluster.node import peers
from tests.fix_postgres import PostgresFactory, make_template
from tests.servers import binaries, new_home

OUTPUT = Path("build/bench.json")


def parse_arguments() -> argparse.Namespace:
    environment = os.environ
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=plan.NAMES, default=[], help="these rows, not all"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=int(environment.get("BENCH_ROUNDS", "5")),
        help="how often each contender has its turn (BENCH_ROUNDS)",
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=int(environment.get("BENCH_SECONDS", "2")),
        help="how long each turn is (BENCH_SECONDS)",
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the figures go")
    return parser.parse_args()


def version(*command: str | Path) -> str:
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def leave(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that everything that was started is ended."""
    sys.exit(128 + number)


def bench(arguments: argparse.Namespace) -> None:
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {text}", flush=True)

    about = machine() | {
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "pgbouncer": version(*peers.pgbouncer().command),
        "pgbench": version(binaries() / "pgbench"),
    }
    with ExitStack() as stack:
        certificates = Path(tempfile.mkdtemp(prefix="dbproxy-bench-"))
        stack.callback(shutil.rmtree, certificates, ignore_errors=True)
        template = new_home("template")
        stack.callback(shutil.rmtree, template, ignore_errors=True)
        say(f"a PostgreSQL server for all; the peer is {about['pgbouncer']}")
        make_template(template)
        authority = make_authority(certificates)
        make_postgres = PostgresFactory(template)
        stack.callback(make_postgres.close)
        server = make_postgres("bench", tls=authority, max_connections=MAX_CONNECTIONS)
        about["postgresql"] = server.value("SHOW server_version")
        work = plan.Bench(
            server, make_postgres, authority, arguments.rounds, arguments.seconds, say
        )
        results = work.measure(frozenset(arguments.only))
    print(results.table())
    if not arguments.only:
        say("what judging a statement costs")
        costs = statements.measure()
        print(statements.table(costs))
        about["statements"] = statements.document(costs)
    results.write(arguments.output, about | {"took": round(time.monotonic() - begun)})
    say(f"written to {arguments.output}")


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, leave)
    try:
        bench(arguments)
    except (LoadError, pytest.fail.Exception) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
