"""Calls to the API server: one request each, a short timeout, plain dictionaries, our errors.

Uses the dynamic client without its discovery: the kinds are known, and discovery would write a
cache to a file system that is read-only.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any, cast

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import client as dynamic
from kubernetes.aio.dynamic import resource as dynamic_resource

from dbproxy_operator.kube.errors import (
    ConflictError,
    KubeError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    from_status,
)
from dbproxy_operator.kube.kinds import GROUP, KINDS, VERSION, Kind

Object = dict[str, Any]
Objects = list[Object]

# These modules of the client have no types.
kubernetes_config: Any = config
DynamicClient: Any = dynamic.DynamicClient
Resource: Any = dynamic_resource.Resource

TIMEOUT = 10.0
PAGE = 500
# Calls in flight: the more there are, the longer each takes, and the sooner one times out.
AT_ONCE = 32
# Whatever the others do, who leads must be known in time.
UNGATED = frozenset({"Lease"})
OK = 200
UNPROCESSABLE = 422


async def connect() -> "Kube":
    """Inside a pod by its ServiceAccount, elsewhere by the kubeconfig of the environment."""
    configuration = kubernetes_client.Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
        kubernetes_config.load_incluster_config(client_configuration=configuration)
    else:
        await kubernetes_config.load_kube_config(client_configuration=configuration)
    return Kube(kubernetes_client.ApiClient(configuration=configuration))


class Kube:
    def __init__(
        self,
        api: kubernetes_client.ApiClient,
        on_call: Callable[[str, str], None] = lambda _verb, _kind: None,
    ) -> None:
        self._api: Any = api
        self._dynamic = DynamicClient(api)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._resources = {name: self._resource(kind) for name, kind in KINDS.items()}
        self.on_call = on_call

    async def close(self) -> None:
        await self._api.close()

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return await self._call(
                "get",
                kind,
                self._dynamic.get(
                    self._resources[kind], name=name, namespace=namespace, **self._options()
                ),
            )
        except NotFoundError:
            return None

    async def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Objects:
        """All objects of the kind that are selected, as they are at this moment.

        From 1.31 on the API server answers from its watch cache, once that has caught up.
        """
        items: Objects = []
        token: str | None = None
        while True:
            page = await self._call(
                "list",
                kind,
                self._dynamic.get(
                    self._resources[kind],
                    namespace=namespace,
                    label_selector=label_selector,
                    field_selector=field_selector,
                    limit=PAGE,
                    _continue=token,
                    **self._options(),
                ),
            )
            items += page.get("items") or []
            token = page.get("metadata", {}).get("continue")
            if not token:
                # Items of a list don't say what they are.
                for item in items:
                    item.setdefault("kind", kind)
                    item.setdefault("apiVersion", KINDS[kind].api_version)
                return items

    async def create(self, obj: Object) -> Object:
        kind = obj["kind"]
        return await self._call(
            "create",
            kind,
            self._dynamic.create(
                self._resources[kind],
                body=obj,
                namespace=obj["metadata"].get("namespace"),
                **self._options(),
            ),
        )

    async def update(self, obj: Object) -> Object:
        kind = obj["kind"]
        return await self._call(
            "update",
            kind,
            self._dynamic.replace(
                self._resources[kind],
                body=obj,
                namespace=obj["metadata"].get("namespace"),
                **self._options(),
            ),
        )

    async def apply(
        self, obj: Object, manager: str, *, force: bool, status: bool = False
    ) -> Object:
        """Server-side apply; of the status subresource only if `status`."""
        kind = obj["kind"]
        resource = self._resources[kind]
        return await self._call(
            "apply",
            kind,
            self._dynamic.server_side_apply(
                resource.subresources["status"] if status else resource,
                body=obj,
                namespace=obj["metadata"]["namespace"],
                force_conflicts=force,
                field_manager=manager,
                **self._options(),
            ),
        )

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
        resource = self._resources[kind]
        try:
            return await self._call(
                "patch",
                kind,
                self._dynamic.request(
                    "patch",
                    (resource.subresources["status"] if status else resource).path(
                        name=name, namespace=namespace
                    ),
                    body=operations,
                    content_type="application/json-patch+json",
                    **self._options(),
                ),
            )
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
        try:
            request = await self._api.param_serialize(
                "GET",
                self._resources[kind].path(namespace=namespace),
                query_params=[*query.items()],
                header_params={"Accept": accept},
                auth_settings=["BearerToken"],
            )
            answer = await self._api.call_api(*request, _request_timeout=limit)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnreachableError(0, f"{type(error).__name__}: {error}") from error
        response = cast(aiohttp.ClientResponse, answer.response)
        if response.status != OK:
            async with response:
                raise from_status(response.status, (await response.text())[:200])
        return response

    async def served_plurals(self) -> frozenset[str]:
        """Names of our own group's resources that the API server serves now."""
        try:
            answer = await self._call(
                "get", "APIResourceList", self._request("get", f"/apis/{GROUP}/{VERSION}")
            )
        except NotFoundError:
            return frozenset()
        return frozenset(resource["name"] for resource in answer.get("resources", ()))

    def _request(self, method: str, path: str) -> Awaitable[Any]:
        return cast(Awaitable[Any], self._dynamic.request(method, path, **self._options()))

    def _resource(self, kind: Kind) -> Any:
        status = {
            "status": {"kind": kind.kind, "name": f"{kind.plural}/status", "namespaced": True}
        }
        return Resource(
            prefix="apis" if kind.group else "api",
            group=kind.group,
            api_version=kind.version,
            kind=kind.kind,
            namespaced=kind.namespaced,
            name=kind.plural,
            client=self._dynamic,
            subresources=status if kind.has_status else None,
        )

    @staticmethod
    def _options() -> dict[str, Any]:
        return {"serializer": lambda _client, data: data, "_request_timeout": TIMEOUT}

    async def _call(self, verb: str, kind: str, request: Awaitable[Any]) -> Object:
        self.on_call(verb, kind)
        try:
            async with nullcontext() if kind in UNGATED else self._gate:
                return cast(Object, await request)
        except ApiException as error:
            raise _translated(error) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnreachableError(0, f"{type(error).__name__}: {error}") from error


def _translated(error: ApiException) -> KubeError:
    message = f"{error.status} {error.reason}"
    body: Any = error.body
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    if body:
        try:
            message = json.loads(body).get("message") or message
        except (ValueError, AttributeError):
            message = f"{message}: {str(body)[:200]}"
    return from_status(error.status or 0, message)
