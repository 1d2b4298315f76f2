"""`/healthz`, `/readyz` and `/metrics`. Neither probe depends on targets or on the API server.

A database that is down must not empty the Service; a loop that stands still must restart the pod.
Only its first clients a pod gets no sooner than it has reached the database, or waited for it in
vain (`run.beginning`).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from dbproxy.dataplane import Dataplane

# Idle loops turn every second.
STALLED_AFTER = 15.0


class Health:
    """What the probes ask; the agent sets the attributes.

    `turning_since`: when the turn began in which the agent is now, None between two turns. An agent
    that hangs in one hears of no election any more.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.dataplane: Dataplane | None = None
        self.leaving = False
        # Whether anybody was told that the pod takes clients, and may send it some.
        self.told_ready = False
        # Whether the pod is new, and has not reached the database yet.
        self.starting = True
        # Why the pod has no part of the database's connections, or "".
        self.waiting = ""
        self.turning_since: float | None = None
        self._clock = clock

    @contextmanager
    def turning(self) -> Iterator[None]:
        """Around each turn of the agent."""
        self.turning_since = self._clock()
        yield
        self.turning_since = None

    def unhealthy(self) -> str:
        """Why the pod must be restarted, or ""."""
        if self.turning_since is not None and not self.leaving:
            turning = self._clock() - self.turning_since
            if turning > STALLED_AFTER:
                return f"the agent has been in one turn for {turning:.0f} s"
        if self.dataplane is None:
            return ""
        age = self.dataplane.oldest_turn()
        if age > STALLED_AFTER:
            return f"a loop of the engine has not turned for {age:.0f} s"
        return ""

    def unready(self) -> str:
        """Why the pod must get no new clients, or ""."""
        if self.leaving:
            return "leaving"
        if self.waiting:
            return self.waiting
        if self.dataplane is None or self.dataplane.applied is None:
            return "no snapshot is applied yet"
        if self.dataplane.draining:
            return "draining"
        if self.starting:
            return "has not reached the database yet"
        return ""


def _answer(problem: str) -> web.Response:
    return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)


async def serve(
    health: Health, render_metrics: Callable[[], tuple[bytes, str]], address: str, port: int
) -> web.AppRunner:
    """Open the port; `cleanup` the runner to close it."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(health.unhealthy())

    async def readyz(_: web.Request) -> web.Response:
        problem = health.unready()
        health.told_ready = health.told_ready or not problem
        return _answer(problem)

    async def metrics(_: web.Request) -> web.Response:
        body, content_type = render_metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.SockSite(runner, listen(address, port)).start()
    return runner


def listen(address: str, port: int) -> socket.socket:
    """A listener; `::` takes IPv4 too, and only that where the kernel has no IPv6."""
    if address == "::" and not socket.has_dualstack_ipv6():
        address = "0.0.0.0"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, dualstack_ipv6=address == "::")
