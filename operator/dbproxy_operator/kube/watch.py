"""Watching all objects of a kind: what changed and when, never what is in it.

Of Secrets and ConfigMaps of a whole cluster only the metadata is asked for: thousands of foreign
ones cost a line of text each, and no content of them is ever in this process. So it is for our own
objects of which only the change matters. Where a status counts, the caller says what of it.
"""

import asyncio
import hashlib
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from dbproxy_operator.kube.client import JSON, Kube, Object
from dbproxy_operator.kube.errors import KubeError, UnreachableError, from_status

log = logging.getLogger(__name__)

PAGE = 500
# The server sends a bookmark about every minute: longer silence means a dead connection.
SILENCE = aiohttp.ClientTimeout(total=None, connect=10, sock_read=75)
WATCH_SECONDS = 300
_PAGE_TIME = aiohttp.ClientTimeout(total=30)
FIRST_RETRY = 0.5
LONGEST_RETRY = 30.0
_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_GONE = 410
_NOISE = ("managedFields", "resourceVersion")


@dataclass(frozen=True)
class Changed:
    """An object as it is now. `version` is another after each change that counts; None once it is
    gone. With `matters` that is a change of those words; else any, but for those of its status
    alone where the kind counts generations.
    """

    namespace: str
    name: str
    version: str | None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """From here on all that there is is told, changed or not."""


@dataclass(frozen=True)
class Listed:
    """All that there is was told: what was not is gone."""


Change = Changed | Listing | Listed
Matters = Callable[[Object], object]


async def changes(
    kube: Kube,
    kind: str,
    namespace: str | None,
    selectors: Mapping[str, str],
    matters: Matters | None = None,
) -> AsyncIterator[Change]:
    """What is there, then what changes, for good; whatever breaks off is begun anew.

    `selectors`: by `fieldSelector` and `labelSelector`, as in the API. `matters`: what of the whole
    object counts, as something that JSON can hold; without it only the metadata is asked for.
    """
    reading = _Reading(kube, kind, namespace, selectors, matters)
    pause = FIRST_RETRY
    while True:
        try:
            yield Listing()
            async for change in reading.all():
                yield change
            yield Listed()
            pause = FIRST_RETRY
            while True:
                async for change in reading.news():
                    yield change
        except KubeError as error:
            if error.status != _GONE:
                log.warning("watch broken off", extra={"kind": kind, "reason": error.message})
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_RETRY)


@dataclass
class _Reading:
    """How far it has come: `version` is that of the last that was told."""

    kube: Kube
    kind: str
    namespace: str | None
    selectors: Mapping[str, str]
    matters: Matters | None
    version: str = ""

    async def all(self) -> AsyncIterator[Changed]:
        token = ""
        while True:
            query = {"limit": str(PAGE), "continue": token}
            async with await self._ask(query, _LIST, _PAGE_TIME) as response:
                page = _parsed(b"".join([chunk async for chunk in _chunks(response)]))
            for item in page.get("items") or ():
                yield self._changed(item)
            token = page["metadata"].get("continue") or ""
            if not token:
                self.version = str(page["metadata"]["resourceVersion"])
                return

    async def news(self) -> AsyncIterator[Changed]:
        """Until the server ends the watch, which it does now and then."""
        query = {
            "watch": "1",
            "resourceVersion": self.version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with await self._ask(query, _ONE, SILENCE) as response:
            async for line in _lines(response):
                event = _parsed(line)
                if event["type"] == "ERROR":
                    told = event["object"]
                    raise from_status(int(told.get("code") or 0), str(told.get("message")))
                metadata = event["object"]["metadata"]
                self.version = str(metadata["resourceVersion"])
                if event["type"] != "BOOKMARK":
                    yield self._changed(event["object"], gone=event["type"] == "DELETED")

    async def _ask(
        self, query: Mapping[str, str], accept: str, limit: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        asked = {**query, **self.selectors}
        form = accept if self.matters is None else JSON
        return await self.kube.stream(self.kind, self.namespace, asked, form, limit)

    def _changed(self, obj: Object, *, gone: bool = False) -> Changed:
        metadata = obj["metadata"]
        version = None
        if not gone:
            version = _digest(self.matters(obj)) if self.matters else version_of(metadata)
        labels = metadata.get("labels") or {}
        return Changed(str(metadata["namespace"]), str(metadata["name"]), version, labels)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Of any length: an object's annotations alone may have 256 KiB."""
    rest = b""
    async for chunk in _chunks(response):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise UnreachableError(0, f"{type(error).__name__}: {error}") from error


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise KubeError(0, f"the answer is not JSON: {error}") from error


def version_of(metadata: Mapping[str, Any]) -> str:
    """What `Changed` calls the version, of an object with that metadata."""
    if "generation" not in metadata:
        return str(metadata["resourceVersion"])
    told = {name: value for name, value in metadata.items() if name not in _NOISE}
    return _digest(told)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
