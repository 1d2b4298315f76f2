"""The only door to the API server: read and watch one object, apply one status.

aiohttp speaks for itself here: three calls need no client library, and the usual one costs 20 MB of
resident memory in each pod. Imported only in Kubernetes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from dbproxy.errors import KubeError
from dbproxy.logs import Log

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)
# The server sends a bookmark about every minute: longer silence means a dead connection.
WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=75)
WATCH_SECONDS = 3_600
BACKOFF_FIRST = 0.2
BACKOFF_LAST = 10.0
# What may come in one line of a watch: an object is at most 1.5 MiB.
READ_BUFFER = 4 * 1024 * 1024

# What stands before an API server may answer in its place.
NOT_AN_OBJECT = "the API server answered with something else than an object of its own"

Object = dict[str, Any]
log = Log(__name__)


@dataclass(frozen=True)
class Seen:
    """The watched object as it is now; None if there is none."""

    value: Object | None


@dataclass(frozen=True)
class Unreadable:
    """The object can't be read now, and why; what was seen before may still be true."""

    message: str
    status: int | None


@dataclass(frozen=True)
class Unchanged:
    """The server says that the watch goes on, and that nothing else was to be told."""


@dataclass(frozen=True)
class Cluster:
    """Where the API server is and how to enter it."""

    base_url: str
    ca_file: Path | None = None
    token_file: Path | None = None


def in_cluster(account: Path = SERVICE_ACCOUNT, env: Mapping[str, str] = os.environ) -> Cluster:
    """The API server as a pod finds it."""
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise KubeError("KUBERNETES_SERVICE_HOST is not set: this is not a pod")
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Cluster(f"https://{authority}", account / "ca.crt", account / "token")


def _keepalive_socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol = address[0], address[1], address[2]
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return sock


class Kube:
    """A client of one API server; `close` it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        tls: ssl.SSLContext | bool = True
        if cluster.ca_file is not None:
            tls = ssl.create_default_context(cafile=str(cluster.ca_file))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, socket_factory=_keepalive_socket),
            read_bufsize=READ_BUFFER,
            max_line_size=READ_BUFFER,
        )

    async def close(self) -> None:
        await self._session.close()

    async def read(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object of the core group by its plural kind; None if there is none."""
        url = f"/api/v1/namespaces/{quote(namespace)}/{kind}/{quote(name)}"
        try:
            return _object(await self._request("GET", url))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def watch(
        self, kind: str, namespace: str, name: str
    ) -> AsyncIterator[Seen | Unchanged | Unreadable]:
        """One object as it is and becomes, for good; trouble is told and tried again."""
        url = f"/api/v1/namespaces/{quote(namespace)}/{kind}"
        select = {"fieldSelector": f"metadata.name={name}"}
        pause = BACKOFF_FIRST
        while True:
            try:
                listing = await self._request("GET", url, params=select)
                version, value = _listed(listing)
                yield Seen(value)
                pause = BACKOFF_FIRST
                async for seen in self._follow(url, select, version):
                    yield seen
                await asyncio.sleep(BACKOFF_FIRST)
            except KubeError as error:
                log.warning("watch_failed", kind=kind, name=name, error=str(error))
                yield Unreadable(str(error), error.status)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, BACKOFF_LAST)

    async def _follow(
        self, url: str, select: dict[str, str], version: str
    ) -> AsyncIterator[Seen | Unchanged]:
        """The changes after a version, until the server ends the watch or it breaks."""
        params = select | {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        try:
            async with self._session.get(
                self._cluster.base_url + url,
                params=params,
                headers=self._headers(),
                timeout=WATCH_TIMEOUT,
            ) as response:
                if response.status != 200:
                    raise await _refusal(response)
                async for line in response.content:
                    event = json.loads(line)
                    if not isinstance(event, dict):
                        raise KubeError(NOT_AN_OBJECT)
                    kind, told = event.get("type"), event.get("object")
                    if kind == "ERROR":
                        status = told if isinstance(told, dict) else {}
                        raise KubeError(str(status.get("message")), status.get("code"))
                    if kind in ("ADDED", "MODIFIED"):
                        yield Seen(_object(told))
                    elif kind == "DELETED":
                        yield Seen(None)
                    elif kind == "BOOKMARK":
                        yield Unchanged()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise KubeError(str(error) or type(error).__name__) from error

    async def apply_status(
        self, resource: str, namespace: str, name: str, body: Object, manager: str
    ) -> Object:
        """Server-side apply of a status of our API group; `body` has the uid it is meant for.

        Returns the whole object as it is right after this write.
        """
        place = f"namespaces/{quote(namespace)}/{resource}/{quote(name)}"
        url = f"/apis/dbproxy.dev/v1alpha1/{place}/status"
        return await self._request(
            "PATCH",
            url,
            params={"fieldManager": manager, "force": "true"},
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )

    async def _request(
        self,
        method: str,
        url: str,
        params: dict[str, str] | None = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Object:
        try:
            async with self._session.request(
                method,
                self._cluster.base_url + url,
                params=params,
                data=data,
                headers=self._headers() | (headers or {}),
                timeout=REQUEST_TIMEOUT,
            ) as response:
                if response.status >= 300:
                    raise await _refusal(response)
                document = await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise KubeError(str(error) or type(error).__name__) from error
        if not isinstance(document, dict):
            raise KubeError(NOT_AN_OBJECT)
        return document

    def _headers(self) -> dict[str, str]:
        """The token is read for each request: the kubelet replaces it before it expires."""
        headers = {"Accept": "application/json", "User-Agent": "dbproxy-agent"}
        if self._cluster.token_file is not None:
            try:
                headers["Authorization"] = f"Bearer {self._cluster.token_file.read_text().strip()}"
            except OSError as error:
                raise KubeError(f"no service account token: {error}") from error
        return headers


def _object(value: Any) -> Object:
    """An object of the core group; raises a KubeError for anything else."""
    found = value if isinstance(value, dict) else {}
    meta, data = found.get("metadata"), found.get("data") or {}
    if not (isinstance(meta, dict) and isinstance(meta.get("uid"), str) and isinstance(data, dict)):
        raise KubeError(NOT_AN_OBJECT)
    _version(meta)
    return found


def _version(meta: Any) -> str:
    version = meta.get("resourceVersion") if isinstance(meta, dict) else None
    if not (isinstance(version, str) and version.isdecimal()):
        raise KubeError(NOT_AN_OBJECT)
    return version


def _listed(listing: Object) -> tuple[str, Object | None]:
    """The version of a list of one object, and the object, if it is there."""
    items = listing.get("items")
    if not isinstance(items, list):
        raise KubeError(NOT_AN_OBJECT)
    return _version(listing.get("metadata")), _object(items[0]) if items else None


async def _refusal(response: aiohttp.ClientResponse) -> KubeError:
    text = await response.text()
    try:
        told = json.loads(text).get("message", text)
    except (ValueError, AttributeError):
        told = text
    return KubeError(f"{response.status}: {str(told)[:512]}", response.status)
