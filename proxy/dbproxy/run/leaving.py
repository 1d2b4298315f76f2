"""How a pod leaves: readiness off, endpoints settle, clients leave at transaction ends, then the
end. A pod that never was ready, as one that still starts, has no endpoints to settle.

A second signal skips what is left of the waiting. A task that crashed is a reason to leave, not to
cut anybody: the engine goes on without the agent, so its clients leave in the same order.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dbproxy.logs import Log

if TYPE_CHECKING:
    from dbproxy.run.agent import Agent
    from dbproxy.tasks import Tasks
    from dbproxy.tell.health import Health

# Until every node has heard that this pod gets no new connections.
SETTLE = 5.0
LOOK = 0.05

log = Log(__name__)


class Leaving:
    """Waits for the signal and then does it in order."""

    def __init__(self, agent: Agent, health: Health, *, in_kubernetes: bool) -> None:
        self._agent = agent
        self._health = health
        self._in_kubernetes = in_kubernetes
        self._told = asyncio.Event()
        self._hurry = asyncio.Event()

    def told(self) -> None:
        """A signal came."""
        if self._told.is_set():
            self._hurry.set()
        self._told.set()

    async def done(self, tasks: Tasks) -> BaseException | None:
        """Wait for the signal, and leave; returns the crash that came first, if one did."""
        told = asyncio.create_task(self._told.wait())
        crashed = asyncio.create_task(tasks.crashed())
        await asyncio.wait({told, crashed}, return_when=asyncio.FIRST_COMPLETED)
        self._health.leaving = True
        settle = SETTLE if self._in_kubernetes and self._health.told_ready else 0.0
        log.info("leaving", settle=settle, crashed=crashed.done())
        try:
            await self._drain(settle)
        except Exception as error:
            # Whatever ails the engine, the pod still ends.
            log.error("drain_failed", error=repr(error))
        told.cancel()
        crash = crashed.result() if crashed.done() else None
        crashed.cancel()
        await self._agent.leave()
        return crash

    async def _drain(self, settle: float) -> None:
        agent = self._agent
        await self._pause(settle)
        dataplane, config = agent.dataplane, agent.config
        if dataplane is None:
            return
        await agent.drain()
        limit = config.settings.drain_timeout if config else 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        while dataplane.clients() and loop.time() < deadline and not self._hurry.is_set():
            await self._pause(LOOK)
        log.info("drained", clients=dataplane.clients(), hurried=self._hurry.is_set())

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return
