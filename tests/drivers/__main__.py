"""`python -m tests.drivers`: runs every driver directly and through the proxy, prints the table.

It also writes the table to `build/drivers.md`, and fails when a driver isn't shared.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import pytest
from tests.certificates import make_authority
from tests.cluster.node.console import StepError
from tests.drivers.catalogue import DRIVERS, NAMES
from tests.drivers.runs import MAX_CONNECTIONS, directly, through_proxy
from tests.drivers.table import Row, markdown
from tests.drivers.toolchains import TOOLCHAINS
from tests.fix_postgres import PostgresFactory, make_template
from tests.servers import Postgres, new_home

OUTPUT = Path("build/drivers.md")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.drivers", description=__doc__)
    parser.add_argument(
        "only", nargs="*", metavar="DRIVER", help=f"these, not all: {', '.join(NAMES)}"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.only) - set(NAMES))
    if unknown:
        parser.error(f"no such driver: {', '.join(unknown)}")
    return arguments


def leave(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that everything that was started is ended."""
    sys.exit(128 + number)


def run_all(only: list[str]) -> list[Row]:
    chosen = [driver for driver in DRIVERS if not only or driver.name in only]
    toolchains = [TOOLCHAINS[name] for name in dict.fromkeys(driver.language for driver in chosen)]
    missing = [name for toolchain in toolchains for name in toolchain.missing()]
    if missing:
        raise StepError(f"missing on this machine: {', '.join(missing)}")
    for toolchain in toolchains:
        toolchain.prepare()
    rows = []
    with ExitStack() as stack:
        certificates = Path(tempfile.mkdtemp(prefix="dbproxy-drivers-"))
        stack.callback(shutil.rmtree, certificates, ignore_errors=True)
        template = new_home("template")
        stack.callback(shutil.rmtree, template, ignore_errors=True)
        make_template(template)
        authority = make_authority(certificates)
        make_postgres = PostgresFactory(template)
        stack.callback(make_postgres.close)
        servers: dict[str, Postgres] = {}
        for number, driver in enumerate(chosen, 1):
            zone = driver.timezone
            if zone not in servers:
                servers[zone] = make_postgres(
                    "drivers", tls=authority, timezone=zone, max_connections=MAX_CONNECTIONS
                )
            begun = time.monotonic()
            command = TOOLCHAINS[driver.language].command(driver.program)
            direct = directly(command, servers[zone])
            row = Row(driver, direct, through_proxy(command, servers[zone], authority))
            rows.append(row)
            verdict = "; ".join(row.faults) or "shared"
            took = time.monotonic() - begun
            print(f"[{number:2}/{len(chosen)}] {driver.name}: {verdict} ({took:.0f} s)", flush=True)
    return rows


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, leave)
    try:
        rows = run_all(arguments.only)
    except (StepError, pytest.fail.Exception) as error:
        print(f"drivers: {error}", file=sys.stderr)
        return 1
    table = markdown(rows)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(table + "\n")
    print(f"\n{table}\n")
    failing = [row for row in rows if row.faults]
    for row in failing:
        print(row.details(), file=sys.stderr)
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
