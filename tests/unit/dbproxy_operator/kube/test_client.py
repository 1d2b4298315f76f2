"""Calls wait for their turn, before their time begins to run; the Lease waits for nobody."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kubernetes.aio import client as kubernetes_client
from tests.waiting import until

from dbproxy_operator.kube import Kube
from dbproxy_operator.kube.client import AT_ONCE


class Server:
    def __init__(self) -> None:
        self.busy = 0
        self.release = asyncio.Event()
        self.address = ""

    async def answer(self, request: web.Request) -> web.Response:
        if "leases" not in request.path:
            self.busy += 1
            await self.release.wait()
        return web.json_response({"metadata": {"name": request.match_info["name"]}})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_get("/{place:.*}/{name}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    made.release.set()
    await runner.cleanup()


async def test_no_more_calls_are_in_flight_than_the_api_server_answers_in_time(
    server: Server,
) -> None:
    configuration = kubernetes_client.Configuration()
    configuration.host = server.address
    kube = Kube(kubernetes_client.ApiClient(configuration=configuration))
    calls = [asyncio.create_task(kube.get("Secret", "shop", f"s-{n}")) for n in range(3 * AT_ONCE)]
    await until(lambda: server.busy >= AT_ONCE)
    assert await kube.get("Lease", "shop", "dbproxy-operator") is not None
    assert server.busy == AT_ONCE
    server.release.set()
    assert all(await asyncio.gather(*calls))
    await kube.close()
