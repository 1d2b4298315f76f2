"""Writes what the Deployments' controller, the kubelets and the proxies' pods would write.

`python -m tests.bench.fleet.player`, with BENCH_URL and BENCH_TOKEN: a process of its own, so that
it takes no time from the one that measures. It follows Deployments and composed ConfigMaps, makes
pods that are Ready at once, and has each report the settings as an agent does.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
from tests.bench.fleet.server import Object, ServerError, send, watched

LABEL = "dbproxy.dev/proxy"
TEMPLATE = "6c9f4d7b8"
AT_ONCE = 16
Act = Callable[[Object], Awaitable[None]]


@dataclass
class Player:
    session: aiohttp.ClientSession
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    settings: dict[tuple[str, str], Object] = field(default_factory=dict)
    pods: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow("/apis/apps/v1/deployments", self._deployed))
            group.create_task(self._follow("/api/v1/configmaps", self._composed))

    async def _follow(self, url: str, act: Act) -> None:
        async for obj in watched(self.session, url, LABEL):
            task = asyncio.create_task(self._guarded(act, obj))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _guarded(self, act: Act, obj: Object) -> None:
        async with self.gate:
            try:
                await act(obj)
            except ServerError as error:
                if "404" not in str(error) and "409" not in str(error):
                    raise

    async def _deployed(self, deployment: Object) -> None:
        meta, wanted = deployment["metadata"], deployment["spec"]["replicas"]
        status = deployment.get("status") or {}
        if status.get("observedGeneration") == meta["generation"]:
            return
        place = (meta["namespace"], meta["name"])
        names = [f"{meta['name']}-{number}" for number in range(wanted)]
        for name in names:
            if name not in self.pods.get(place, []):
                await self._make_pod(place[0], name, deployment)
        self.pods[place] = names
        url = f"/apis/apps/v1/namespaces/{place[0]}/deployments/{place[1]}/status"
        counted = {"replicas": wanted, "updatedReplicas": wanted, "readyReplicas": wanted}
        body = {"status": {**counted, "observedGeneration": meta["generation"]}}
        await send(self.session, "PATCH", url, body)
        await self._report(place)

    async def _make_pod(self, namespace: str, name: str, deployment: Object) -> None:
        template = deployment["spec"]["template"]
        url = f"/api/v1/namespaces/{namespace}/pods"
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": pod_metadata(name, deployment["metadata"]["name"]),
            "spec": {**template["spec"], "nodeName": "nowhere"},
        }
        await send(self.session, "POST", url, pod)
        ready = [{"type": "Ready", "status": "True"}]
        status = {"status": {"phase": "Running", "conditions": ready}}
        await send(self.session, "PATCH", f"{url}/{name}/status", status)

    async def _composed(self, config_map: Object) -> None:
        meta = config_map["metadata"]
        text = (config_map.get("data") or {}).get("settings.json")
        if text is None:
            return
        place = (meta["namespace"], meta["labels"][LABEL])
        self.settings[place] = json.loads(text)
        await self._report(place)

    async def _report(self, place: tuple[str, str]) -> None:
        settings = self.settings.get(place)
        for pod in self.pods.get(place, []) if settings else []:
            await send_report(self.session, place[0], settings or {}, pod)


def pod_metadata(name: str, proxy: str) -> Object:
    """As of a pod that a ReplicaSet of the proxy's Deployment made."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{proxy}-{TEMPLATE}"}
    return {
        "name": name,
        "labels": {LABEL: proxy, "pod-template-hash": TEMPLATE},
        "ownerReferences": [{**owner, "uid": f"{proxy}-{TEMPLATE}", "controller": True}],
    }


async def send_report(
    session: aiohttp.ClientSession, namespace: str, settings: Object, pod: str, state: str = ""
) -> None:
    """One pod's entry; `state` is that of the second target."""
    group = settings["targetGroup"]
    if group is None:
        return
    entry = report(settings, pod, state or "AVAILABLE")
    body = {
        "apiVersion": "dbproxy.dev/v1alpha1",
        "kind": "DBProxyTargetGroup",
        "metadata": {"name": group["name"], "namespace": namespace, "uid": group["uid"]},
        "status": {"proxies": [entry]},
    }
    url = f"/apis/dbproxy.dev/v1alpha1/namespaces/{namespace}/dbproxytargetgroups/{group['name']}"
    await send(session, "PATCH", f"{url}/status", body, manager=f"dbproxy/{pod}")


def report(settings: Object, pod: str, state: str) -> Object:
    group = settings["targetGroup"]
    down = state != "AVAILABLE"
    return {
        "pod": pod,
        "revision": settings["revision"],
        "secretRevision": settings["secretRevision"],
        "generation": settings["proxy"]["generation"],
        "groupGeneration": group["generation"],
        "budgetDivisor": settings["budgetDivisor"],
        "listeners": [listener["port"] for listener in settings["listeners"]],
        "writer": {"target": "db-0", "uid": "", "epoch": 0, "state": "OPEN"},
        "targets": [
            {"name": "db-0", "role": "READ_WRITE", "state": "AVAILABLE", "maxConnections": 1000},
            {
                "name": "db-1",
                "role": "READ_ONLY",
                "state": state,
                "reason": "UNREACHABLE" if down else "",
                "description": "connection refused" if down else "",
                "maxConnections": 1000,
            },
        ],
        "goodLogins": 5,
        "badLogins": 0,
        "logins": [],
        "problem": "",
    }


async def main() -> None:
    url, token = os.environ["BENCH_URL"], os.environ["BENCH_TOKEN"]
    async with aiohttp.ClientSession(
        url,
        headers={"Authorization": f"Bearer {token}"},
        connector=aiohttp.TCPConnector(ssl=False, limit=64),
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=4 * 1024 * 1024,
    ) as session:
        await Player(session).run()


if __name__ == "__main__":
    asyncio.run(main())
