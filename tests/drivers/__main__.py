"""`python -m tests.drivers`: runs every driver directly and through the proxy, prints the table.

It also writes the table to `build/drivers-ENGINE.md`, and fails when a driver isn't shared.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from types import FrameType

import pytest
from tests.cluster.node.console import StepError
from tests.drivers.engines import ENGINES, Engine
from tests.drivers.runs import CONNECTIONS, Outcome, directly, listened_to, through_proxy
from tests.drivers.table import Row, tables
from tests.drivers.toolchains import TOOLCHAINS

OUTPUT = Path("build")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.drivers", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="postgresql")
    parser.add_argument(
        "--connections",
        type=int,
        default=CONNECTIONS,
        help="of the proxy's pool; with as many as clients results are compared, pinned or not",
    )
    parser.add_argument("only", nargs="*", metavar="DRIVER", help="these, not all")
    arguments = parser.parse_args()
    names = [driver.name for driver in ENGINES[arguments.engine].drivers]
    unknown = sorted(set(arguments.only) - set(names))
    if unknown:
        parser.error(f"no such driver: {', '.join(unknown)}; there are: {', '.join(names)}")
    return arguments


def leave(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that everything that was started is ended."""
    sys.exit(128 + number)


def run_all(kind: type[Engine], only: list[str], connections: int) -> list[Row]:
    chosen = [driver for driver in kind.drivers if not only or driver.name in only]
    toolchains = [TOOLCHAINS[name] for name in dict.fromkeys(driver.language for driver in chosen)]
    missing = [name for toolchain in toolchains for name in toolchain.missing()]
    if missing:
        raise StepError(f"missing on this machine: {', '.join(missing)}")
    for toolchain in toolchains:
        toolchain.prepare()
    rows = []
    with closing(kind()) as engine:
        for number, driver in enumerate(chosen, 1):
            database = engine.database(driver.timezone)
            begun = time.monotonic()
            command = TOOLCHAINS[driver.language].command(driver.program)
            direct = directly(command, database)
            hello = listened_to(command, database)
            try:
                proxied = through_proxy(command, database, engine.authority, connections)
            except pytest.fail.Exception as error:
                # The others are worth their rows all the same.
                proxied = Outcome(errors=[str(error).splitlines()[0]])
            row = Row(driver, direct, proxied, hello)
            rows.append(row)
            verdict = "; ".join(row.faults) or "shared"
            took = time.monotonic() - begun
            print(f"[{number:2}/{len(chosen)}] {driver.name}: {verdict} ({took:.0f} s)", flush=True)
    return rows


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, leave)
    try:
        rows = run_all(ENGINES[arguments.engine], arguments.only, arguments.connections)
    except (StepError, pytest.fail.Exception) as error:
        print(f"drivers: {error}", file=sys.stderr)
        return 1
    found = tables(rows)
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / f"drivers-{arguments.engine}.md").write_text(found + "\n")
    print(f"\n{found}\n")
    failing = [row for row in rows if row.faults]
    for row in failing:
        print(row.details(), file=sys.stderr)
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
