"""`python -m tests.bench.fleet`: prints each figure beside what it should be.

It fails when something does not work, never because of a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.fleet.measure import Fleet
from tests.bench.fleet.programs import Operator, Player, operator, player
from tests.bench.fleet.server import ApiServer, MemoryServer, Server
from tests.bench.results import machine

from dbproxy_operator.run.worker import PACE, RESYNC_EVERY

AT_REST_SECONDS = 60.0
FLAPPING = 5


@dataclass(frozen=True)
class Scale:
    proxies: int
    secrets: int
    pods: int

    @property
    def names(self) -> list[str]:
        return [f"p-{number:04}" for number in range(self.proxies)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__)
    environment = os.environ
    for name, default, text in (
        ("proxies", "500", "proxies under one operator"),
        ("secrets", "10000", "Secrets of others in the cluster"),
        ("pods", "50", "pods that report into one target group"),
    ):
        parser.add_argument(
            f"--{name}",
            type=int,
            default=int(environment.get(f"BENCH_{name.upper()}", default)),
            help=f"{text} (BENCH_{name.upper()})",
        )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbproxy-fleet-") as folder:
        asyncio.run(bench(Scale(chosen.proxies, chosen.secrets, chosen.pods), Path(folder)))


async def bench(scale: Scale, home: Path) -> None:
    print("without kubelets and controllers: a player writes what those and the pods would write")
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    for kind in (MemoryServer, ApiServer):
        folder = home / kind.__name__
        with kind(folder) as server:
            async with server.session() as session:
                await server.ready(session)
                with player(server, folder) as played, operator(server, folder) as measured:
                    await measured.started()
                    fleet = Fleet(session, measured)
                    begun, empty = time.monotonic(), measured.memory()
                    await burst(fleet, scale, server, played)
                    if kind is ApiServer:
                        await ask(fleet, scale, begun, empty)


async def burst(fleet: Fleet, scale: Scale, server: Server, played: Player) -> None:
    """All at once, and what it cost whom: on one machine they take from each other."""
    await fleet.begin()
    before = server.cpu_seconds(), played.cpu_seconds(), fleet.operator.cpu_seconds()
    took = await fleet.apply(scale.names)
    after = server.cpu_seconds(), played.cpu_seconds(), fleet.operator.cpu_seconds()
    print(f"{server.title}:", flush=True)
    tell(f"all {scale.proxies} applied at once, until all are Ready", took, "s", 60)
    for who, spent, total in zip(("API server", "player", "operator"), before, after, strict=True):
        tell(f"CPU time until then: {who}", total - spent, "s", None)
    calls = (await fleet.operator.counted()).calls
    tell("the operator's calls to the API server for each of them", calls / scale.proxies, "", None)


async def ask(fleet: Fleet, scale: Scale, begun: float, empty: float) -> None:
    measured, names = fleet.operator, scale.names
    # From its first period on, the resync is what goes on at rest.
    await asyncio.sleep(max(0.0, begun + RESYNC_EVERY + 30 - time.monotonic()))
    calls, passes = await fleet.calls_and_passes(AT_REST_SECONDS)
    tell("at rest, calls to the API server", calls, "/s", 20)
    tell("at rest, passes", passes, "/s", None)
    slowest = 0.0
    for number in range(3):
        slowest = max(slowest, await fleet.apply([f"one-{number}"]))
    tell("one more applied at rest, until it is Ready", slowest, "s", 10)
    tell("memory with none", empty, "MB", None)
    tell("memory", measured.memory(), "MB", 256)
    rate = await fleet.flap(names[:FLAPPING], 20)
    tell("passes for a proxy whose database flaps", rate, "/s", 1)
    size = await fleet.full_status(names[-1], scale.pods)
    tell(f"a target group of {scale.pods} pods, 200 users, all failing", size / 1024, "KiB", 1536)
    await at_rest(measured)
    grown, woken = await fleet.foreign_secrets(scale.secrets)
    tell(f"{scale.secrets} Secrets of others: memory", grown, "MB", 10)
    tell(f"{scale.secrets} Secrets of others: passes", woken, "", None)
    tell("the most memory that it ever had", measured.memory("VmHWM"), "MB", 256)
    tell("passes that failed", (await measured.counted()).failures, "", None)


async def at_rest(measured: Operator) -> None:
    """Until nothing is left of what came before: ten seconds without a pass but the resync's."""
    while True:
        before = await measured.counted()
        await asyncio.sleep(10)
        if (await measured.counted()).passes - before.passes <= 10 / PACE + 1:
            return


def tell(what: str, value: float, unit: str, limit: float | None) -> None:
    aim = "" if limit is None else f"(aim: at most {limit:g} {unit})"
    print(f"  {what:64} {value:9.1f} {unit:4} {aim}", flush=True)


if __name__ == "__main__":
    main()
