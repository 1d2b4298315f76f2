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
from tests.bench import mysql_contenders, mysql_plan, plan, statements
from tests.bench.contenders import MAX_CONNECTIONS
from tests.bench.load import LoadError
from tests.bench.results import machine
from tests.certificates import Authority, make_authority
from tests.cluster.node import peers
from tests.fix_mysql import MySQLFactory
from tests.fix_postgres import PostgresFactory, make_template
from tests.mysql_servers import KINDS, Kind, MySQL, make_data
from tests.servers import binaries, new_home

OUTPUT = Path("build/bench.json")
TITLES = {"mysql": "MySQL", "mariadb": "MariaDB"}


def parse_arguments() -> argparse.Namespace:
    environment = os.environ
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--engine",
        choices=("postgresql", *KINDS),
        default=environment.get("ENGINE") or "postgresql",
        help="before which database (ENGINE)",
    )
    parser.add_argument("--only", nargs="+", default=[], help="these rows, not all")
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
    arguments = parser.parse_args()
    names = plan.NAMES if arguments.engine == "postgresql" else mysql_plan.NAMES
    unknown = sorted(set(arguments.only) - set(names))
    if unknown:
        parser.error(f"no rows {', '.join(unknown)}: there are {', '.join(names)}")
    return arguments


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
        "engine": arguments.engine,
        "pgbouncer": version(*peers.pgbouncer().command),
        "pgbench": version(binaries() / "pgbench"),
    }
    with ExitStack() as stack:
        certificates = Path(tempfile.mkdtemp(prefix="dbproxy-bench-"))
        stack.callback(shutil.rmtree, certificates, ignore_errors=True)
        template = new_home("template")
        stack.callback(shutil.rmtree, template, ignore_errors=True)
        make_template(template)
        authority = make_authority(certificates)
        make_postgres = PostgresFactory(template)
        stack.callback(make_postgres.close)
        server = make_postgres("bench", tls=authority, max_connections=MAX_CONNECTIONS)
        about["postgresql"] = server.value("SHOW server_version")
        only = frozenset(arguments.only)
        if arguments.engine == "postgresql":
            say(f"a PostgreSQL server for all; the peer is {about['pgbouncer']}")
            work = plan.Bench(
                server, make_postgres, authority, arguments.rounds, arguments.seconds, say
            )
            results = work.measure(only)
        else:
            mysql = start_mysql(stack, KINDS[arguments.engine], authority)
            about[arguments.engine] = mysql.value("SELECT @@version")
            name = TITLES[arguments.engine]
            say(f"{name} {about[arguments.engine]}, and PostgreSQL beside it")
            results = mysql_plan.MySQLBench(
                mysql, name, server, authority, arguments.rounds, arguments.seconds, say
            ).measure(only)
    print(results.table())
    if not only and arguments.engine == "postgresql":
        say("what judging a statement costs")
        costs = statements.measure()
        print(statements.table(costs))
        about["statements"] = statements.document(costs)
    results.write(arguments.output, about | {"took": round(time.monotonic() - begun)})
    say(f"written to {arguments.output}")


def start_mysql(stack: ExitStack, kind: Kind, authority: Authority) -> MySQL:
    """A server that ends with the stack."""
    template = new_home(f"{kind.name}-template")
    stack.callback(shutil.rmtree, template, ignore_errors=True)
    make_data(kind, template)
    make_mysql = MySQLFactory(kind, template)
    stack.callback(make_mysql.close)
    most = mysql_contenders.MAX_CONNECTIONS
    return make_mysql("bench", tls=authority, skip_log_bin=None, max_connections=most)


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
