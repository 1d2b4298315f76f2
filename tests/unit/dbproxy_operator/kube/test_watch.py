"""Only what counts is asked for; whatever breaks off is begun anew, and nothing is missed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client as kubernetes_client

from dbproxy_operator.kube import Kube, watch
from dbproxy_operator.kube.watch import Change, Changed, Listed, Listing

Object = dict[str, Any]


def metadata(name: str, version: int, **more: Any) -> Object:
    return {
        "metadata": {"namespace": "shop", "name": name, "resourceVersion": str(version), **more}
    }


def event(kind: str, obj: Object) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


class Server:
    """Answers lists with `pages`, and each watch with the next of `watches`, which then ends."""

    def __init__(self) -> None:
        self.pages: list[Object] = []
        self.watches: list[bytes] = []
        self.requests: list[dict[str, str]] = []
        self.accepted: set[str] = set()
        self.address = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(dict(request.query))
        self.accepted.add(request.headers["Accept"])
        if "watch" not in request.query:
            return web.json_response(self.pages.pop(0))
        if not self.watches:
            await asyncio.sleep(3600)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(self.watches.pop(0))
        return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_get("/api/v1/secrets", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def kube(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    monkeypatch.setattr(watch, "FIRST_RETRY", 0.001)
    configuration = kubernetes_client.Configuration()
    configuration.host = server.address
    made = Kube(kubernetes_client.ApiClient(configuration=configuration))
    yield made
    await made.close()


async def told(
    kube: Kube, count: int, matters: Callable[[Object], object] | None = None
) -> list[Change]:
    found: list[Change] = []
    async with aclosing(
        watch.changes(kube, "Secret", None, {"fieldSelector": "type!=x"}, matters)
    ) as changes:  # type: ignore[type-var]
        async with asyncio.timeout(20):
            async for change in changes:
                found.append(change)
                if len(found) == count:
                    break
    return found


def page(version: int, *items: Object, token: str = "") -> Object:
    return {"metadata": {"resourceVersion": str(version), "continue": token}, "items": list(items)}


async def test_what_is_there_comes_page_by_page_then_what_changes(
    server: Server, kube: Kube
) -> None:
    server.pages = [page(5, metadata("a", 1), token="more"), page(5, metadata("b", 2))]
    server.watches = [
        event("MODIFIED", metadata("a", 6, labels={"x": "y"})) + event("DELETED", metadata("b", 7))
    ]
    assert await told(kube, 6) == [
        Listing(),
        Changed("shop", "a", "1"),
        Changed("shop", "b", "2"),
        Listed(),
        Changed("shop", "a", "6", {"x": "y"}),
        Changed("shop", "b", None),
    ]
    assert all("PartialObjectMetadata" in accepted for accepted in server.accepted)
    assert {request["fieldSelector"] for request in server.requests} == {"type!=x"}


async def test_a_watch_that_ends_goes_on_after_the_last_version_that_was_told(
    server: Server, kube: Kube
) -> None:
    server.pages = [page(5)]
    server.watches = [
        event("BOOKMARK", metadata("", 9)),
        event("ADDED", metadata("a", 12)),
    ]
    assert await told(kube, 3) == [Listing(), Listed(), Changed("shop", "a", "12")]
    assert [request.get("resourceVersion") for request in server.requests[:3]] == [None, "5", "9"]


async def test_a_version_that_is_too_old_begins_with_a_list_again(
    server: Server, kube: Kube
) -> None:
    server.pages = [page(5), page(8, metadata("a", 7))]
    server.watches = [event("ERROR", {"code": 410, "message": "too old resource version"})]
    assert (await told(kube, 5))[2:] == [Listing(), Changed("shop", "a", "7"), Listed()]


async def test_a_line_of_any_length_is_read(server: Server, kube: Kube) -> None:
    server.pages = [page(5)]
    server.watches = [event("ADDED", metadata("a", 6, annotations={"long": "x" * 600_000}))]
    assert (await told(kube, 3))[2] == Changed("shop", "a", "6")


async def test_where_generations_are_counted_a_status_alone_is_no_change(
    server: Server, kube: Kube
) -> None:
    server.pages = [page(5, metadata("a", 1, generation=1))]
    server.watches = [
        event("MODIFIED", metadata("a", 6, generation=1, managedFields=[{}]))
        + event("MODIFIED", metadata("a", 7, generation=2))
        + event("MODIFIED", metadata("a", 8, generation=2, annotations={"x": "y"}))
    ]
    versions = [change.version for change in await told(kube, 6) if isinstance(change, Changed)]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


async def test_where_a_status_counts_the_whole_object_is_asked_what_matters(
    server: Server, kube: Kube
) -> None:
    def pod(version: int, phase: str) -> Object:
        return metadata("a", version) | {"status": {"phase": phase}}

    server.pages = [page(5, pod(1, "Pending"))]
    server.watches = [
        event("MODIFIED", pod(6, "Pending"))
        + event("MODIFIED", pod(7, "Running"))
        + event("DELETED", pod(8, "Running"))
    ]

    def phase(obj: Object) -> object:
        return obj["status"]["phase"]

    found = [one.version for one in await told(kube, 6, phase) if isinstance(one, Changed)]
    assert found[0] == found[1]
    assert len(set(found)) == 3
    assert found[3] is None
    assert server.accepted == {"application/json"}
