"""Asks every target for its health and role, often enough; one task per target, called by the
agent.

At rest each target is asked every 2 s; every 200 ms while the writer is not settled or a probe
failed; at once when poked. A suspended target is left in peace: its connection is dropped without
another byte.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from dbproxy.facts import Addresses, Probe
from dbproxy.logs import Log
from dbproxy.probe.engines.base import ProbeSpec, TargetProbe, failure_of, is_address, resolve
from dbproxy.settings import Config
from dbproxy.tasks import Tasks

AT_REST = 2.0
IN_DOUBT = 0.2
RESOLVE_EVERY = 10.0
# A name server that gives out only some of a name's addresses at a time is asked again before one
# counts as gone.
DROP_ASKED = 2
DROP_PAUSE = 0.5
# However often it is poked.
LEAST_GAP = 0.01
JITTER = 0.1

log = Log(__name__)


class TargetWatch:
    """One target: its addresses, its standing connection, and when to ask next."""

    def __init__(
        self,
        spec: ProbeSpec,
        probe: TargetProbe,
        on_probe: Callable[[Probe], None],
        on_addresses: Callable[[Addresses], None],
        tasks: Tasks,
    ) -> None:
        self.spec = spec
        self.probe = probe
        self.addresses: tuple[str, ...] = ()
        self._on_probe = on_probe
        self._on_addresses = on_addresses
        self._resolved_at = float("-inf")
        self._poked = asyncio.Event()
        self._suspended = False
        self._fast = True
        self._failed = False
        self._refresh: asyncio.Task[None] | None = None
        self._tasks = tasks
        self._task = tasks.spawn(self._run(), f"probe {spec.name}")

    def poke(self) -> None:
        """Ask at once; after the probe under way, if there is one."""
        self._poked.set()

    def follow(self, *, suspended: bool, fast: bool) -> None:
        """Obey the plan; a suspension takes effect before this returns."""
        if suspended and not self._suspended:
            self.probe.abort()
        if suspended != self._suspended or (fast and not self._fast):
            self._poked.set()
        self._suspended, self._fast = suspended, fast

    def renew(self, spec: ProbeSpec) -> None:
        """Enter by other credentials from the next time on."""
        self.spec = spec
        self.probe.renew(spec)
        self._poked.set()

    def end(self) -> None:
        """Say nothing more, from now on; `close` waits for the rest."""
        self._task.cancel()
        if self._refresh is not None:
            self._refresh.cancel()
        self.probe.abort()

    async def close(self) -> None:
        self.end()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.probe.close()

    async def _run(self) -> None:
        while True:
            self._poked.clear()
            if self._suspended:
                await self._poked.wait()
                continue
            probe = await self._ask()
            if probe is None:
                continue
            if not self._suspended:
                self._failed = probe.state != "OK"
                self._on_probe(probe)
            fast = self._fast or self._failed
            await asyncio.sleep(LEAST_GAP)
            await self._pause(IN_DOUBT if fast else AT_REST)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds * random.uniform(1 - JITTER, 1 + JITTER)):
                await self._poked.wait()
        except TimeoutError:
            return

    async def _ask(self) -> Probe | None:
        """One probe; None if the target moved meanwhile, so that it says nothing about it."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        if not self.addresses or (self._failed and not is_address(self.spec.host)):
            try:
                await self._resolve()
            except (OSError, TimeoutError) as error:
                # While there are addresses of before, whether they answer is what counts.
                if not self.addresses:
                    failure = failure_of(error)
                    return Probe(
                        self.spec.name,
                        "LOCAL" if failure.local else "FAILED",
                        asked_at,
                        loop.time() - asked_at,
                        reason=failure.reason,
                        decisive=failure.decisive,
                        message=failure.message,
                    )
        elif loop.time() - self._resolved_at > RESOLVE_EVERY and self._refresh is None:
            self._refresh = self._tasks.spawn(self._refresh_addresses(), "resolve")
        asked = self.addresses
        probe = await self.probe.ask(asked)
        return probe if set(asked) <= set(self.addresses) else None

    async def _refresh_addresses(self) -> None:
        try:
            await self._resolve()
        except (OSError, TimeoutError) as error:
            log.warning("resolve_failed", target=self.spec.name, error=str(error))
            self._resolved_at = asyncio.get_running_loop().time()
        finally:
            self._refresh = None

    async def _resolve(self) -> None:
        addresses = await resolve(self.spec.host, self.spec.port)
        for _ in range(DROP_ASKED):
            if set(self.addresses) <= set(addresses):
                break
            await asyncio.sleep(DROP_PAUSE)
            more = await resolve(self.spec.host, self.spec.port)
            addresses = tuple(dict.fromkeys((*addresses, *more)))
        self._resolved_at = asyncio.get_running_loop().time()
        # The order changes with every answer of a round-robin name server.
        if set(addresses) == set(self.addresses):
            return
        moved = not set(self.addresses) <= set(addresses)
        self.addresses = addresses
        if moved:
            # Before anybody acknowledges that the server of before is left.
            self.probe.abort()
            self._poked.set()
        self._on_addresses(Addresses(self.spec.name, addresses))


def probe_specs(config: Config, application_name: str) -> dict[str, ProbeSpec]:
    """How each target of a configuration is to be asked; none while there are no credentials."""
    group = config.settings.target_group
    monitor = config.credentials.file.monitor
    if group is None or monitor is None:
        return {}
    return {
        target.name: ProbeSpec(
            name=target.name,
            host=target.host,
            port=target.port,
            user=monitor.name,
            passwords=(monitor.password, *(old.password for old in monitor.previous)),
            tls_mode=group.tls.mode,
            ca=config.credentials.server_ca,
            application_name=application_name,
        )
        for target in group.targets
    }


class Prober:
    """The watches of all targets of the present configuration."""

    def __init__(
        self,
        make: Callable[[ProbeSpec], TargetProbe],
        on_probe: Callable[[Probe], None],
        on_addresses: Callable[[Addresses], None],
        tasks: Tasks,
        application_name: str,
    ) -> None:
        self.watches: dict[str, TargetWatch] = {}
        self._tasks = tasks
        self._make = make
        self._on_probe = on_probe
        self._on_addresses = on_addresses
        self._application_name = application_name

    def configure(self, config: Config) -> None:
        """Watch the targets of this configuration, each as it is described there."""
        specs = probe_specs(config, self._application_name)
        for name, watch in list(self.watches.items()):
            spec = specs.get(name)
            if spec is not None and spec != watch.spec and spec.same_but_for_login(watch.spec):
                watch.renew(spec)
            if spec != watch.spec:
                del self.watches[name]
                watch.end()
                self._tasks.spawn(watch.close(), f"close {name}")
        for name, spec in specs.items():
            if name not in self.watches:
                probe = self._make(spec)
                self.watches[name] = TargetWatch(
                    spec, probe, self._on_probe, self._on_addresses, self._tasks
                )

    def follow(self, suspended: frozenset[str], *, fast: bool) -> None:
        for name, watch in self.watches.items():
            watch.follow(suspended=name in suspended, fast=fast)

    def poke(self, target: str) -> None:
        watch = self.watches.get(target)
        if watch is not None:
            watch.poke()

    async def close(self) -> None:
        watches, self.watches = list(self.watches.values()), {}
        await asyncio.gather(*(watch.close() for watch in watches))
