"""The engine as the rest of the agent sees it; the only importer of `_core`.

Calls that may wait for the engine's threads run in a thread of their own, one at a time and in
order, so that the agent's loop goes on turning.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from dbproxy.decide.snapshot import Snapshot
from dbproxy.errors import ListenerUnavailableError, SnapshotRefusedError
from dbproxy.families import EngineFamily
from dbproxy.probe.engines.postgres_session import BackendLogin


class Engine(Protocol):
    """The part of `_core.Engine` that is used here."""

    def apply(self, snapshot: bytes) -> None: ...
    def meet(self, peers: bytes) -> None: ...
    def stats(self) -> bytes: ...
    def events(self) -> bytes: ...
    def events_fd(self) -> int: ...
    def drain(self) -> None: ...
    def clients(self) -> int: ...
    def held(self) -> bytes: ...
    def alive(self) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class EngineOptions:
    """What is fixed for the life of the engine."""

    family: EngineFamily
    workers: int
    listen_address: str
    pod_address: str | None = None


def start_engine(options: EngineOptions) -> Engine:
    """Start the engine's threads."""
    # Imported here: `--check` and the unit tests do without the engine.
    from dbproxy._core import Engine as CoreEngine

    return CoreEngine(json.dumps(asdict(options)).encode())


def backend_login(ask: bytes) -> BackendLogin:
    """The engine's machine for a log-in at a database, for the agent's own sessions there."""
    from dbproxy._core import BackendLogin as CoreBackendLogin

    return CoreBackendLogin(ask)


class Dataplane:
    """One running engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self.applied: Snapshot | None = None
        self.applied_in = 0.0
        self.draining = False

    async def apply(self, snapshot: Snapshot) -> None:
        """Make it so; on return all its listeners are open."""
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        try:
            await loop.run_in_executor(self._thread, self._engine.apply, snapshot.to_json())
        except ValueError as error:
            raise SnapshotRefusedError(str(error)) from error
        except OSError as error:
            raise ListenerUnavailableError(str(error)) from error
        self.applied = snapshot
        self.applied_in = time.perf_counter() - began

    def meet(self, fleet_secret: str, port: int, addresses: list[str]) -> None:
        """From now on these are the other pods, which pass on the cancels of each other's clients
        over that port, and know each other by the fleet's secret."""
        peers = {"fleet_secret": fleet_secret, "port": port, "addresses": addresses}
        self._engine.meet(json.dumps(peers).encode())

    def listen(self, on_event: Callable[[dict[str, Any]], None]) -> None:
        """Call this for each event of the engine, in the agent's loop."""

        def drain_events() -> None:
            for event in json.loads(self._engine.events()):
                on_event(event)

        asyncio.get_running_loop().add_reader(self._engine.events_fd(), drain_events)

    async def drain(self) -> None:
        """Take no new clients; those that are here leave at the end of their transactions."""
        self.draining = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._engine.drain)

    def clients(self) -> int:
        return self._engine.clients()

    def held(self) -> dict[str, int]:
        """Connections that count in each target's budget: opening, idle, lent, and closing until
        the server let go of them. Targets that are gone are among them while they have any."""
        held: dict[str, int] = json.loads(self._engine.held())
        return held

    def stats(self) -> list[dict[str, Any]]:
        """The engine's metrics, as in the contract of `Engine.stats`."""
        metrics: list[dict[str, Any]] = json.loads(self._engine.stats())["metrics"]
        return metrics

    def oldest_turn(self) -> float:
        """Seconds since the slowest loop of the engine last turned."""
        ages = json.loads(self._engine.alive())
        return float(max([ages["front"], *ages["workers"]])) / 1000

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._engine.events_fd())
        await loop.run_in_executor(self._thread, self._engine.close)
        self._thread.shutdown(wait=False)
