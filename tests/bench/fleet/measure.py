"""The questions that are asked of a fleet, one function each."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import aiohttp
from tests.bench.fleet.player import TEMPLATE, pod_metadata, report, send_report
from tests.bench.fleet.programs import Counted, Operator
from tests.bench.fleet.server import Object, send, watched

GROUP = "/apis/dbproxy.dev/v1alpha1"
USERS = 5
NAMESPACE = "fleet"
AT_ONCE = 16
PATIENCE = 900.0


@dataclass(frozen=True)
class Fleet:
    """The API server by its session, and the operator."""

    session: aiohttp.ClientSession
    operator: Operator

    async def begin(self, namespace: str = NAMESPACE) -> None:
        """The namespace and the Secrets of the users, which all proxies share."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await send(self.session, "POST", "/api/v1/namespaces", body)
        for number in range(USERS):
            await self._secret(namespace, f"user-{number}", "kubernetes.io/basic-auth")

    async def apply(self, names: list[str]) -> float:
        """Returns in how many seconds all of them were Ready, since the first was applied."""
        begun = time.monotonic()
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for plural in ("dbproxies", "dbproxytargetgroups"):
                group.create_task(self._until_ready(plural, set(names)))
            await _side_by_side([self._proxy(name) for name in names])
        return time.monotonic() - begun

    async def calls_and_passes(self, seconds: float) -> tuple[float, float]:
        """Calls to the API server and passes, each per second, over that time."""
        before = await self.operator.counted()
        await asyncio.sleep(seconds)
        return rates(before, await self.operator.counted())

    async def flap(self, names: list[str], seconds: float) -> float:
        """Passes per second and proxy while a target of each comes and goes ten times a second."""
        told = [await self._settings(name) for name in names]
        before = await self.operator.counted()
        turn, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            turn += 1
            state = "UNAVAILABLE" if turn % 2 else "AVAILABLE"
            reports = [
                send_report(self.session, NAMESPACE, settings, f"{name}-{pod}", state)
                for name, settings in zip(names, told, strict=True)
                for pod in range(2)
            ]
            await _side_by_side(reports)
            await asyncio.sleep(0.1)
        _, passes = rates(before, await self.operator.counted())
        return passes / len(names)

    async def foreign_secrets(self, count: int) -> tuple[float, float]:
        """Megabytes and passes that so many Secrets of others cost."""
        memory, before = self.operator.memory(), await self.operator.counted()
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "others"}}
        await send(self.session, "POST", "/api/v1/namespaces", body)
        await _side_by_side([self._secret("others", f"s-{number}") for number in range(count)])
        await asyncio.sleep(5)
        after = await self.operator.counted()
        return self.operator.memory() - memory, after.passes - before.passes

    async def full_status(self, name: str, pods: int) -> int:
        """The bytes of a target group in which so many pods report that everything fails."""
        settings = await self._settings(name)
        group = settings["targetGroup"]
        words = "password authentication failed for user " * 7
        bad = [
            {"user": f"user-{number}", "target": "db-0", "ok": False, "message": words[:256]}
            for number in range(20)
        ]
        target = {"role": "READ_ONLY", "state": "UNAVAILABLE", "reason": "UNREACHABLE"}
        targets = [
            {"name": f"db-{number}", "description": words[:256], **target} for number in range(16)
        ]
        url = f"{GROUP}/namespaces/{NAMESPACE}/dbproxytargetgroups/{group['name']}"
        names = [f"{name}-{TEMPLATE}-{number:05}" for number in range(pods)]
        # What pods say that are not there is taken from them.
        await _side_by_side([self._pod(name, pod) for pod in names])
        for pod in names:
            entry = report(settings, pod, "UNAVAILABLE") | {"logins": bad, "targets": targets}
            body: Object = {
                "apiVersion": "dbproxy.dev/v1alpha1",
                "kind": "DBProxyTargetGroup",
                "metadata": {"name": group["name"], "uid": group["uid"]},
                "status": {"proxies": [entry]},
            }
            await send(self.session, "PATCH", f"{url}/status", body, manager=f"dbproxy/{pod}")
        async with self.session.get(url) as response:
            return len(await response.read())

    async def _proxy(self, name: str) -> None:
        users = [{"secretRef": {"name": f"user-{number}"}} for number in range(USERS)]
        proxy = {"engineFamily": "POSTGRESQL", "auth": users}
        targets = [{"name": f"db-{number}", "host": f"db-{number}.db"} for number in range(2)]
        group = {"proxyRef": {"name": name}, "targets": targets}
        for kind, plural, spec in (
            ("DBProxy", "dbproxies", proxy),
            ("DBProxyTargetGroup", "dbproxytargetgroups", group),
        ):
            body: Object = {"apiVersion": "dbproxy.dev/v1alpha1", "kind": kind}
            body |= {"metadata": {"name": name}, "spec": spec}
            await send(self.session, "POST", f"{GROUP}/namespaces/{NAMESPACE}/{plural}", body)

    async def _secret(self, namespace: str, name: str, kind: str = "Opaque") -> None:
        texts = {"username": name, "password": "p" * 2000 if kind == "Opaque" else "p"}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": kind,
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()},
        }
        await send(self.session, "POST", f"/api/v1/namespaces/{namespace}/secrets", body)

    async def _pod(self, proxy: str, name: str) -> None:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": pod_metadata(name, proxy),
            "spec": {"nodeName": "nowhere", "containers": [{"name": "proxy", "image": "proxy:1"}]},
        }
        await send(self.session, "POST", f"/api/v1/namespaces/{NAMESPACE}/pods", pod)

    async def _settings(self, name: str) -> Any:
        url = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}-config"
        async with self.session.get(url) as response:
            return json.loads((await response.json())["data"]["settings.json"])

    async def _until_ready(self, plural: str, missing: set[str]) -> None:
        """By a watch: the bench shall not be the load that it measures."""
        url = f"{GROUP}/namespaces/{NAMESPACE}/{plural}"
        async with aclosing(watched(self.session, url)) as changes:
            async for obj in changes:
                if is_ready(obj):
                    missing.discard(obj["metadata"]["name"])
                if not missing:
                    return


def is_ready(obj: Object) -> bool:
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and condition["observedGeneration"] == obj["metadata"]["generation"]
        for condition in obj["status"].get("conditions", ())
    )


def rates(before: Counted, after: Counted) -> tuple[float, float]:
    seconds = after.at - before.at
    return (after.calls - before.calls) / seconds, (after.passes - before.passes) / seconds


async def _side_by_side(work: list[Any]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Any) -> None:
        async with gate:
            await item

    await asyncio.gather(*(one(item) for item in work))
