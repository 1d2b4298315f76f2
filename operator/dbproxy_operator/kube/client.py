"""Calls to the API server: one request each, a short timeout, plain dictionaries, our errors.

The generated client brings the connections, TLS and credentials; what it would do to every body and
answer on top (models, discovery, a traceback in each error) is left out: the paths are known, and
hundreds of proxies are a hundred thousand calls.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, cast
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config

from dbproxy_operator.kube.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    from_status,
)
from dbproxy_operator.kube.kinds import GROUP, KINDS, VERSION

Object = dict[str, Any]
Objects = list[Object]

# This module of the client has no types.
kubernetes_config: Any = config

TIMEOUT = aiohttp.ClientTimeout(total=10)
PAGE = 500
# Calls in flight: the more there are, the longer each takes, and the sooner one times out.
AT_ONCE = 32
# Whatever the others do, who leads must be known in time.
UNGATED = frozenset({"Lease"})
FIRST_ERROR = 300
UNPROCESSABLE = 422
JSON = "application/json"
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
METHODS = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "apply": "PATCH",
    "patch": "PATCH",
}


async def connect() -> "Kube":
    """Inside a pod by its ServiceAccount, elsewhere by the kubeconfig of the environment."""
    configuration = kubernetes_client.Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
        kubernetes_config.load_incluster_config(client_configuration=configuration)
    else:
        await kubernetes_config.load_kube_config(client_configuration=configuration)
    # As Kopf does; else each request would look for a ~/.netrc in a thread of its own.
    configuration.client_session_kwargs = {"trust_env": False}
    return Kube(kubernetes_client.ApiClient(configuration=configuration))


class Kube:
    def __init__(
        self,
        api: kubernetes_client.ApiClient,
        on_call: Callable[[str, str], None] = lambda _verb, _kind: None,
    ) -> None:
        self._api: Any = api
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.on_call = on_call

    async def close(self) -> None:
        await self._api.close()

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return await self._call("get", kind, KINDS[kind].path(namespace, name))
        except NotFoundError:
            return None

    async def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Objects:
        """All objects of the kind that are selected, as they are at this moment.

        From 1.31 on the API server answers from its watch cache, once that has caught up.
        """
        items: Objects = []
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": str(PAGE),
            "continue": "",
        }
        while True:
            page = await self._call("list", kind, KINDS[kind].path(namespace), query)
            items += page.get("items") or []
            query["continue"] = page.get("metadata", {}).get("continue") or ""
            if not query["continue"]:
                # Items of a list don't say what they are.
                for item in items:
                    item.setdefault("kind", kind)
                    item.setdefault("apiVersion", KINDS[kind].api_version)
                return items

    async def create(self, obj: Object) -> Object:
        kind = obj["kind"]
        path = KINDS[kind].path(obj["metadata"].get("namespace"))
        return await self._call("create", kind, path, body=obj)

    async def update(self, obj: Object) -> Object:
        kind, metadata = obj["kind"], obj["metadata"]
        path = KINDS[kind].path(metadata["namespace"], metadata["name"])
        return await self._call("update", kind, path, body=obj)

    async def apply(
        self, obj: Object, manager: str, *, force: bool, status: bool = False
    ) -> Object:
        """Server-side apply; of the status subresource only if `status`."""
        kind, metadata = obj["kind"], obj["metadata"]
        path = KINDS[kind].path(metadata["namespace"], metadata["name"], status=status)
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self._call("apply", kind, path, query, obj, APPLY)

    async def json_patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        operations: Objects,
        *,
        status: bool = False,
    ) -> Object:
        """A patch that tests what it was made for; ConflictError if that is no longer so."""
        path = KINDS[kind].path(namespace, name, status=status)
        try:
            return await self._call("patch", kind, path, body=operations, content=JSON_PATCH)
        except RefusedError as error:
            if error.status != UNPROCESSABLE:
                raise
            raise ConflictError(error.status, error.message) from error

    async def stream(
        self,
        kind: str,
        namespace: str | None,
        query: Mapping[str, str],
        accept: str,
        limit: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """A read whose answer the caller takes piece by piece, and closes."""
        self.on_call("watch" if "watch" in query else "list", kind)
        path = KINDS[kind].path(namespace)
        try:
            response = await self._request("GET", path, query, None, {"Accept": accept}, limit)
            if response.status >= FIRST_ERROR:
                async with response:
                    raise from_status(response.status, _told(response, await response.read()))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnreachableError(0, f"{type(error).__name__}: {error}") from error
        return response

    async def served_plurals(self) -> frozenset[str]:
        """Names of our own group's resources that the API server serves now."""
        try:
            answer = await self._call("get", "APIResourceList", f"/apis/{GROUP}/{VERSION}")
        except NotFoundError:
            return frozenset()
        return frozenset(resource["name"] for resource in answer.get("resources", ()))

    async def _call(
        self,
        verb: str,
        kind: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | Objects | None = None,
        content: str = JSON,
    ) -> Object:
        self.on_call(verb, kind)
        headers = {"Accept": JSON, "Content-Type": content}
        try:
            async with nullcontext() if kind in UNGATED else self._gate:
                response = await self._request(METHODS[verb], path, query, body, headers, TIMEOUT)
                text = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnreachableError(0, f"{type(error).__name__}: {error}") from error
        if response.status >= FIRST_ERROR:
            raise from_status(response.status, _told(response, text))
        try:
            return cast(Object, json.loads(text))
        except ValueError as error:
            raise UnreachableError(0, f"the answer is not JSON: {error}") from error

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | Objects | None,
        headers: dict[str, str],
        limit: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        chosen = {name: value for name, value in (query or {}).items() if value}
        url = f"{self._api.configuration.host}{path}{'?' if chosen else ''}{urlencode(chosen)}"
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        answer = await self._api.rest_client.request(
            method, url, headers=headers, body=body, _request_timeout=limit
        )
        return cast(aiohttp.ClientResponse, answer.response)


def _told(response: aiohttp.ClientResponse, text: bytes) -> str:
    """What the API server says of an error: the message of its Status, or the beginning of it."""
    try:
        message = json.loads(text).get("message")
    except (ValueError, AttributeError):
        message = None
    if message:
        return str(message)
    said = f"{response.status} {response.reason}"
    return f"{said}: {text[:200].decode(errors='replace')}" if text else said
