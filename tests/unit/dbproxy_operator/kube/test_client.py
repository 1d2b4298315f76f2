"""Calls wait for their turn, before their time begins to run; the Lease waits for nobody. Whatever
the answer is, the caller gets an object or one of our errors that says what the API server said.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kubernetes.aio import client as kubernetes_client
from tests.waiting import until

from dbproxy_operator.kube import (
    ConflictError,
    Kube,
    KubeError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from dbproxy_operator.kube.client import AT_ONCE


class Server:
    def __init__(self) -> None:
        self.busy = 0
        self.release = asyncio.Event()
        self.address = ""
        self.said: tuple[int, str] = (200, "")
        self.asked: list[str] = []

    async def say(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs} {await request.text()}")
        return web.Response(status=self.said[0], text=self.said[1])

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
    app.router.add_patch("/{place:.*}", made.say)
    app.router.add_post("/{place:.*}", made.say)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    made.release.set()
    await runner.cleanup()


def connected(server: Server) -> Kube:
    configuration = kubernetes_client.Configuration()
    configuration.host = server.address
    return Kube(kubernetes_client.ApiClient(configuration=configuration))


async def test_no_more_calls_are_in_flight_than_the_api_server_answers_in_time(
    server: Server,
) -> None:
    kube = connected(server)
    calls = [asyncio.create_task(kube.get("Secret", "shop", f"s-{n}")) for n in range(3 * AT_ONCE)]
    await until(lambda: server.busy >= AT_ONCE)
    assert await kube.get("Lease", "shop", "dbproxy-operator") is not None
    assert server.busy == AT_ONCE
    server.release.set()
    assert all(await asyncio.gather(*calls))
    await kube.close()


OBJECT = {"kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "orders"}}


async def test_an_apply_names_its_manager_and_whether_it_forces(server: Server) -> None:
    kube, server.said = connected(server), (200, "{}")
    assert await kube.apply(OBJECT, "dbproxy-operator", force=False) == {}
    place = "/api/v1/namespaces/shop/configmaps/orders?fieldManager=dbproxy-operator&force=false"
    assert server.asked == [f"PATCH {place} {json.dumps(OBJECT)}"]
    await kube.close()


@pytest.mark.parametrize(
    ("status", "text", "error", "message"),
    [
        (409, '{"message": "it was changed"}', ConflictError, "it was changed"),
        (403, '{"message": "exceeded quota"}', RefusedError, "exceeded quota"),
        (404, '{"message": "no such namespace"}', NotFoundError, "no such namespace"),
        (502, "<html>bad gateway</html>", KubeError, "502 Bad Gateway: <html>bad gateway</html>"),
        (500, "[]", KubeError, "500 Internal Server Error: []"),
        (503, "", KubeError, "503 Service Unavailable"),
        (200, "<html>log in</html>", UnreachableError, "the answer is not JSON"),
    ],
)
async def test_an_error_says_what_the_api_server_said(
    server: Server, status: int, text: str, error: type[KubeError], message: str
) -> None:
    kube, server.said = connected(server), (status, text)
    with pytest.raises(error) as raised:
        await kube.create(OBJECT)
    assert type(raised.value) is error
    assert raised.value.message.startswith(message)
    await kube.close()


async def test_a_patch_whose_test_fails_is_a_conflict(server: Server) -> None:
    kube, server.said = connected(server), (422, '{"message": "the test failed"}')
    with pytest.raises(ConflictError, match="the test failed"):
        await kube.json_patch("ConfigMap", "shop", "orders", [{"op": "test"}])
    await kube.close()


async def test_nobody_there_is_unreachable() -> None:
    configuration = kubernetes_client.Configuration()
    configuration.host = "http://127.0.0.1:1"
    alone = Kube(kubernetes_client.ApiClient(configuration=configuration))
    with pytest.raises(UnreachableError, match="ClientConnectorError"):
        await alone.get("Secret", "shop", "app")
    await alone.close()
