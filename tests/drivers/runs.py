"""One driver program at its work, directly or through the proxy, and what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.certificates import Authority
from tests.drivers.catalogue import Driver
from tests.drivers.engines import Database
from tests.drivers.hello import Hello
from tests.fix_proxy import Proxy

CLIENTS, ROUNDS, CONNECTIONS = 8, 12, 3
# What each program finds in its environment, whatever its database is.
BASE = os.environ | {"CLIENTS": str(CLIENTS), "ROUNDS": str(ROUNDS), "TZ": "UTC"}
# Seconds: of a program that does nothing any more, and of a client that gets no connection.
LONGEST, BORROWED = 120, 10


@dataclass
class Outcome:
    """What one run of a program has printed, and how it ended."""

    driver: str = ""
    results: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    # Sessions by reason: pinned when all work was done, and pinned at any time.
    pinned: Counter[str] = field(default_factory=Counter)
    pins: Counter[str] = field(default_factory=Counter)
    statements: list[str] = field(default_factory=list)


def directly(command: list[str], database: Database) -> Outcome:
    database.clear()
    return run_program(command, database.environment(database.port), lambda outcome: None)


def through_proxy(
    command: list[str], database: Database, authority: Authority, connections: int = CONNECTIONS
) -> Outcome:
    """Run it over a proxy of its own, whose pool is smaller than the number of clients."""
    database.clear()
    with _proxy(database, authority, connections) as proxy:

        def look(outcome: Outcome) -> None:
            outcome.pinned = _by_reason(proxy, "dbproxy_sessions_pinned")

        outcome = run_program(command, database.environment(proxy.port), look)
        outcome.pins = _by_reason(proxy, "dbproxy_session_pins_total")
        for event in proxy.events("session_pinned"):
            line = f"{event['reason']}: {event.get('statement', '')}"
            if line not in outcome.statements:
                outcome.statements.append(line)
    return outcome


def listened_to(command: list[str], database: Database) -> Hello | None:
    """What the driver says of itself when it connects; None where nobody can tell that."""
    tap = database.tap()
    if tap is None:
        return None
    database.clear()
    with tap:
        where = database.environment(tap.port) | {"CLIENTS": "1", "ROUNDS": "1"}
        run_program(command, where, lambda outcome: None)
        return tap.hello


def faults(driver: Driver, direct: Outcome, proxied: Outcome) -> list[str]:
    """Why this driver isn't shared as it should be; nothing where it is."""
    found = []
    if direct.errors or not direct.results:
        found.append("fails directly")
    if proxied.errors:
        found.append(f"{len(proxied.errors)} errors")
    elif sorted(proxied.results) != sorted(direct.results):
        found.append("other results")
    if proxied.pinned:
        found.append("pinned at the end")
    unexpected = sorted(proxied.pins.keys() - driver.pins)
    if unexpected:
        found.append(f"pins: {', '.join(unexpected)}")
    return found


def run_program(
    command: list[str], where: dict[str, str], look: Callable[[Outcome], None]
) -> Outcome:
    """Read what the program prints; `look` while all its connections are still there."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="dbproxy-driver-") as home:
        told = Path(home) / "stderr"
        begun = time.monotonic()
        with told.open("wb") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=home,
                env=BASE | where | {"HOME": home},
                start_new_session=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(LONGEST, os.killpg, (process.pid, signal.SIGKILL))
        watch.start()
        try:
            for line in process.stdout:
                _take(outcome, line.strip())
                if line.strip() == "done":
                    outcome.seconds = time.monotonic() - begun
                    look(outcome)
                    process.stdin.close()
            code = process.wait()
        finally:
            watch.cancel()
            process.stdout.close()
            process.stdin.close()
        if code:
            words = " ".join(told.read_text(errors="replace").split())
            outcome.errors.append(f"ended with {code}: {words[-600:]}")
    return outcome


@contextmanager
def _proxy(database: Database, authority: Authority, connections: int) -> Iterator[Proxy]:
    proxy = database.proxy(authority)
    proxy.write_pool(
        maxConnectionsPercent=connections,
        maxIdleConnectionsPercent=connections,
        connectionBorrowTimeout=BORROWED,
    )
    try:
        yield proxy.start()
    finally:
        proxy.close()


def _by_reason(proxy: Proxy, name: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for sample, labels, value in proxy.metrics():
        if sample == name and value:
            found[labels["reason"]] += int(value)
    return found


def _take(outcome: Outcome, line: str) -> None:
    kind, _, rest = line.partition(" ")
    if kind == "driver":
        outcome.driver = rest
    elif kind == "failed":
        outcome.errors.append(rest)
    elif line and line != "done":
        outcome.results.append(line)
