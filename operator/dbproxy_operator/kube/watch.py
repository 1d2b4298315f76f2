"""Watching the metadata of all objects of a kind: what changed and when, never what is in it.

Secrets and ConfigMaps of a whole cluster are watched so: thousands of foreign ones cost a line of
text each, and no content of them is ever in this process. So are our own objects of which only the
change matters.
"""

import asyncio
import hashlib
import json
import logging
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from dbproxy_operator.kube.client import Kube
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
    """An object as it is now. `version` is another after each change, but for those of its status
    alone where the kind counts generations; None once it is gone.
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


async def changes(
    kube: Kube, kind: str, namespace: str | None, selectors: Mapping[str, str]
) -> AsyncIterator[Change]:
    """What is there, then what changes, for good; whatever breaks off is begun anew.

    `selectors`: by `fieldSelector` and `labelSelector`, as in the API.
    """
    reading = _Reading(kube, kind, namespace, selectors)
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
    version: str = ""

    async def all(self) -> AsyncIterator[Changed]:
        token = ""
        while True:
            query = {"limit": str(PAGE), "continue": token}
            async with await self._ask(query, _LIST, _PAGE_TIME) as response:
                page = _parsed(b"".join([chunk async for chunk in _chunks(response)]))
            for item in page.get("items") or ():
                yield _changed(item["metadata"])
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
                    yield _changed(metadata, gone=event["type"] == "DELETED")

    async def _ask(
        self, query: Mapping[str, str], accept: str, limit: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        asked = {**query, **self.selectors}
        return await self.kube.stream(self.kind, self.namespace, asked, accept, limit)


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


def _changed(metadata: dict[str, Any], *, gone: bool = False) -> Changed:
    labels = metadata.get("labels") or {}
    version = None if gone else version_of(metadata)
    return Changed(str(metadata["namespace"]), str(metadata["name"]), version, labels)


def version_of(metadata: Mapping[str, Any]) -> str:
    """What `Changed` calls the version, of an object with that metadata."""
    if "generation" not in metadata:
        return str(metadata["resourceVersion"])
    told = {name: value for name, value in metadata.items() if name not in _NOISE}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
