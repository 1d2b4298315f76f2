"""What an API server answers, so that two can be compared that are told the same."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from tests.resources import Object

APPLY = "application/apply-patch+yaml"
# What admission adds to pods, and what each server gives by itself.
ADMITTED = ("tolerations", "priority", "preemptionPolicy")
OWN = ("uid", "creationTimestamp", "time", "clusterIP", "clusterIPs")


@dataclass
class Api:
    """One of the servers; `told` is what it answered, without what is its own."""

    session: aiohttp.ClientSession
    children: list[Object]
    told: list[object] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    async def call(
        self,
        method: str,
        url: str,
        body: object = None,
        kind: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> Object:
        headers = {"Content-Type": kind, "Accept": accept}
        data = json.dumps(body).encode() if body is not None else None
        async with self.session.request(
            method, url, params=query, data=data, headers=headers
        ) as response:
            answer = json.loads(await response.text())
        self.told.append([method, url, response.status, self.plain(answer)])
        return dict(answer)

    async def apply(self, url: str, body: Object, manager: str, force: str = "true") -> Object:
        return await self.call("PATCH", url, body, APPLY, fieldManager=manager, force=force)

    @asynccontextmanager
    async def watching(
        self, url: str, accept: str = "application/json", **query: str
    ) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
        """Within, as many events as one asks for are told."""
        params = {"watch": "1", "timeoutSeconds": "60", **query}
        async with self.session.get(url, params=params, headers={"Accept": accept}) as response:
            assert response.status == 200

            async def events(count: int) -> None:
                for _ in range(count):
                    line = await asyncio.wait_for(response.content.readline(), 20)
                    self.told.append(self.plain(json.loads(line)))

            try:
                yield events
            finally:
                # Over TLS an orderly close waits for the server's, perhaps beyond the test's loop.
                if response.connection is not None and response.connection.transport is not None:
                    response.connection.transport.abort()

    def plain(self, value: Any) -> Any:
        """Versions become those of the first, second, … that was seen."""
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if not isinstance(value, dict):
            return value
        made = {name: self.plain(item) for name, item in value.items() if name not in OWN}
        if "resourceVersion" in made:
            # That of a list is any up to now, and its token may say anything.
            if "name" not in made:
                del made["resourceVersion"]
                made["continue"] = bool(made.get("continue"))
            else:
                version = str(made["resourceVersion"])
                known = self.versions.setdefault(version, len(self.versions))
                made["resourceVersion"] = known
        if "managedFields" in made:
            # They are ordered by the second in which they came.
            made["managedFields"].sort(key=lambda one: (one["manager"], one["operation"]))
        if "nodeName" in made:
            made = {name: made[name] for name in made if name not in ADMITTED}
        return made
