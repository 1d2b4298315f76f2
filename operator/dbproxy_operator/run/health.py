"""The operator's HTTP server: probes and metrics.

`/readyz` says that it runs, leader or not, so that a rolling update can go on. `/healthz` fails if
the leader's work has stood still for STALE seconds: the resync ticks in any case.
"""

from collections.abc import Callable

from aiohttp import web

from dbproxy_operator.run.metrics import Metrics

STALE = 900.0


class Health:
    """When something last moved."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last = monotonic()
        self._leading = False
        self.ready = False

    def lead(self) -> None:
        self._leading = True
        self.tick()

    def tick(self) -> None:
        self._last = self._monotonic()

    @property
    def alive(self) -> bool:
        return not self._leading or self._monotonic() - self._last < STALE


async def serve(health: Health, metrics: Metrics, port: int) -> web.AppRunner:
    async def healthz(_request: web.Request) -> web.Response:
        return _answer(health.alive, "no work for too long")

    async def readyz(_request: web.Request) -> web.Response:
        return _answer(health.ready, "starting")

    async def metricsz(_request: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=metrics.render(), headers=headers)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metricsz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _answer(good: bool, fault: str) -> web.Response:
    return web.Response(text="ok\n") if good else web.Response(status=503, text=f"{fault}\n")
