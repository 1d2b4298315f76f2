"""An API server on loopback with as much of Kubernetes as the agent uses; it can be cut off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from dbproxy.kube import Cluster

Object = dict[str, Any]


class FakeApi:
    """Holds ConfigMaps and Secrets by (kind, name), takes status patches, and serves watches."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.patches: list[tuple[str, dict[str, str], Object]] = []
        self.requests: list[str] = []
        self.status = 200
        # What every reading gets instead of the truth, if anything.
        self.answer: Object | None = None
        # What status.proxies says, by field manager.
        self.reports: dict[str, list[Object]] = {}
        self.on_patch: Callable[[], None] = lambda: None
        # How long a patch that arrives now takes to be stored, whatever becomes of who sent it.
        self.patch_takes = 0.0
        self._version = 100
        self._changed = asyncio.Event()
        self._history: list[tuple[int, str, str, Object]] = []
        self._watches: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self.cluster = Cluster("")

    async def start(self) -> FakeApi:
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/{namespace}/{kind}", self._list)
        app.router.add_get("/api/v1/namespaces/{namespace}/{kind}/{name}", self._get)
        app.router.add_patch("/apis/dbproxy.dev/v1alpha1/{rest:.*}", self._patch)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        address = self._runner.addresses[0]
        self.cluster = Cluster(f"http://{address[0]}:{address[1]}")
        return self

    async def stop(self) -> None:
        self.end_watches()
        if self._runner is not None:
            await self._runner.cleanup()

    def put(self, kind: str, name: str, data: dict[str, str], uid: str = "uid") -> None:
        """Create or change an object; its watchers hear of it."""
        self._version += 1
        event = "MODIFIED" if (kind, name) in self.objects else "ADDED"
        meta = {"name": name, "uid": uid, "resourceVersion": str(self._version)}
        self.objects[kind, name] = {"metadata": meta, "data": data}
        self._tell(event, kind, name)

    def delete(self, kind: str, name: str) -> None:
        self._version += 1
        self._tell("DELETED", kind, name)
        del self.objects[kind, name]

    def end_watches(self) -> None:
        """Break every watch off in the middle."""
        for task in self._watches:
            task.cancel()

    def expire_watches(self) -> None:
        """Say 410 to every watch, as when its version is too old."""
        self._version += 1
        gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
        self._history.append((self._version, "ERROR", "", gone))
        self._wake()

    def tell(self, event: str, value: Any) -> None:
        """Say this to every watch, whatever there is."""
        self._version += 1
        self._history.append((self._version, event, "", value))
        self._wake()

    def bookmark(self) -> None:
        """Say to every watch that nothing changed."""
        self._version += 1
        meta = {"metadata": {"resourceVersion": str(self._version)}}
        self._history.append((self._version, "BOOKMARK", "", meta))
        self._wake()

    def _tell(self, event: str, kind: str, name: str) -> None:
        self._history.append((self._version, event, f"{kind}/{name}", self.objects[kind, name]))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _refused(self) -> web.Response | None:
        if self.answer is not None:
            return web.json_response(self.answer)
        if self.status == 200:
            return None
        return web.json_response({"message": "not now"}, status=self.status)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(str(request.rel_url))
        refused = self._refused()
        if refused is not None:
            return refused
        field, _, name = request.query["fieldSelector"].partition("=")
        assert field == "metadata.name"
        kind = request.match_info["kind"]
        if "watch" in request.query:
            return await self._watch(request, f"{kind}/{name}")
        found = [self.objects[kind, name]] if (kind, name) in self.objects else []
        return web.json_response(
            {"metadata": {"resourceVersion": str(self._version)}, "items": found}
        )

    async def _watch(self, request: web.Request, key: str) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        response = web.StreamResponse()
        await response.prepare(request)
        version = int(request.query["resourceVersion"])
        try:
            while True:
                changed = self._changed
                for at, event, of, value in self._history:
                    if at > version and of in ("", key):
                        line = json.dumps({"type": event, "object": value}) + "\n"
                        await response.write(line.encode())
                        version = at
                await changed.wait()
        finally:
            self._watches.discard(task)

    async def _get(self, request: web.Request) -> web.Response:
        self.requests.append(str(request.rel_url))
        refused = self._refused()
        if refused is not None:
            return refused
        value = self.objects.get((request.match_info["kind"], request.match_info["name"]))
        if value is None:
            return web.json_response({"message": "not found"}, status=404)
        return web.json_response(value)

    async def _patch(self, request: web.Request) -> web.Response:
        refused = self._refused()
        if refused is not None:
            return refused
        assert request.content_type == "application/apply-patch+yaml"
        self.on_patch()
        body = json.loads(await request.read())
        await asyncio.sleep(self.patch_takes)
        self.patches.append((request.match_info["rest"], dict(request.query), body))
        self.reports[request.query["fieldManager"]] = body["status"].get("proxies", [])
        said = [entry for entries in self.reports.values() for entry in entries]
        return web.json_response({"status": {"proxies": said}})
