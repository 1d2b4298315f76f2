"""The two programs beside the API server: the operator that is measured, and the player."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from tests.bench.fleet.server import PATIENCE, WITH_US, Server, ServerError, cpu_seconds, free_port
from tests.cluster.node import paths


@dataclass(frozen=True)
class Counted:
    """The operator's own counters at one moment."""

    calls: float
    passes: float
    failures: float
    at: float


@dataclass(frozen=True)
class Operator:
    process: subprocess.Popen[bytes]
    port: int

    async def counted(self) -> Counted:
        text = await self._metrics()
        return Counted(
            calls=_sum(text, "dbproxy_operator_api_calls_total"),
            passes=_sum(text, "dbproxy_operator_reconcile_seconds_count"),
            failures=_sum(text, "dbproxy_operator_reconcile_errors_total"),
            at=time.monotonic(),
        )

    def memory(self, which: str = "VmRSS") -> float:
        """In MB; `VmHWM` is the most that it ever had."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{which}:\s+(\d+) kB", text, re.MULTILINE)
        if found is None:
            raise ServerError("the operator has ended: see its log")
        return int(found.group(1)) / 1024

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    async def started(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if "dbproxy_operator_leader 1.0" in await self._metrics():
                    return
            except aiohttp.ClientError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServerError("the operator does not start: see its log")
            await asyncio.sleep(0.2)

    async def _metrics(self) -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/metrics") as response,
        ):
            return await response.text()


@dataclass(frozen=True)
class Player:
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)


@contextmanager
def operator(server: Server, home: Path) -> Iterator[Operator]:
    port = free_port()
    environment = {
        "KUBECONFIG": str(server.kubeconfig),
        "PROXY_IMAGE": "proxy:1",
        "POD_NAMESPACE": "default",
        "POD_NAME": "operator-0",
        "HTTP_PORT": str(port),
    }
    with _program("dbproxy_operator", environment, home / "operator.log") as process:
        yield Operator(process, port)


@contextmanager
def player(server: Server, home: Path) -> Iterator[Player]:
    environment = {"BENCH_URL": server.url, "BENCH_TOKEN": server.token}
    with _program("tests.bench.fleet.player", environment, home / "player.log") as process:
        yield Player(process)


@contextmanager
def _program(
    module: str, environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    path = f"{paths.CHECKOUT}/operator:{paths.CHECKOUT}"
    inherited = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": path}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*WITH_US, sys.executable, "-m", module],
            env={**inherited, **environment},
            stdout=output,
            stderr=output,
            cwd=paths.CHECKOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _sum(text: str, name: str) -> float:
    values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for value in values)
