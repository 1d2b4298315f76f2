"""The API server in memory says what a real one says: both are told the same, and their answers
compared.

It is part of the bench of the operator (tests/bench/fleet), which must not measure a dream.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api_answers import APPLY, Api
from tests.bench.fleet.server import ApiServer, MemoryServer, Object, Server
from tests.cluster.node import paths
from tests.unit.dbproxy_operator.world import World

from dbproxy_operator.act.apply import NOT_THERE
from dbproxy_operator.kube.kinds import KINDS

pytestmark = [
    pytest.mark.timeout(600),
    # The servers are started once.
    pytest.mark.xdist_group("servers"),
    pytest.mark.skipif(
        not (paths.BINARIES / "kube-apiserver").exists(), reason="needs the node's own programs"
    ),
]
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
OURS = "/apis/dbproxy.dev/v1alpha1"


Story = Callable[[Api], Awaitable[None]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Started, and ready for whoever has waited for that."""
    home: Path = tmp_path_factory.mktemp("servers")
    with MemoryServer(home / "memory") as memory, ApiServer(home / "real") as real:
        yield [memory, real]


@pytest.fixture
async def made() -> list[Object]:
    """The children of a proxy, without what an API server adds."""
    world = World()
    await world.settle()
    found = [copy.deepcopy(obj) for obj in world.kube.objects.values()]
    found = [
        obj for obj in found if obj["metadata"].get("ownerReferences") and obj["kind"] != "Pod"
    ]
    for obj in found:
        obj.pop("status", None)
        metadata = obj["metadata"]
        kept = ("name", "labels", "annotations", "ownerReferences")
        obj["metadata"] = {name: metadata[name] for name in kept if name in metadata}
    return sorted(found, key=lambda obj: str(obj["kind"]))


async def told(server: Server, story: Story, children: list[Object]) -> list[object]:
    async with server.session() as session:
        await server.ready(session)
        api = Api(session, children)
        name = {"metadata": {"name": namespace(story)}}
        body = {"apiVersion": "v1", "kind": "Namespace", **name}
        await api.call("POST", "/api/v1/namespaces", body)
        await story(api)
        return api.told


def namespace(story: Story) -> str:
    return story.__name__.replace("_", "-")


def group(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "dbproxy.dev/v1alpha1",
        "kind": "DBProxyTargetGroup",
        "metadata": {"name": name},
        "spec": {
            "proxyRef": {"name": f"of-{name}"},
            "targets": [{"name": "a", "host": "a.db"}],
            **spec,
        },
    }


def said(name: str, *pods: str, divisor: int = 2) -> Object:
    proxies = [{"pod": pod, "revision": "1", "budgetDivisor": divisor} for pod in pods]
    whole = group(name)
    return {
        **{key: whole[key] for key in ("apiVersion", "kind", "metadata")},
        "status": {"proxies": proxies},
    }


async def custom_resources(api: Api) -> None:
    root = f"{OURS}/namespaces/{namespace(custom_resources)}/dbproxytargetgroups"
    await api.call("POST", root, {**group("g"), "status": {"bytes": 1}})
    await api.call("POST", root, group("g"))
    await api.call("GET", f"{root}/g")
    await api.call("GET", f"{root}/none")
    unknown = {"spec": {"unknown": 1, "targets": [{"name": "a", "host": "b.db", "port": 5433}]}}
    await api.call("PATCH", f"{root}/g", unknown, MERGE)
    await api.call("PATCH", f"{root}/g", {"metadata": {"annotations": {"x": "y"}}}, MERGE)
    await api.call("PATCH", f"{root}/g", {"status": {"targets": []}}, MERGE)
    live = await api.call(
        "PATCH", f"{root}/g/status", {"spec": {"targets": []}, "status": {"badLogins": 3}}, MERGE
    )
    changed = {**live, "spec": {**live["spec"], "proxyRef": {"name": "of-g"}}}
    await api.call("PUT", f"{root}/g", changed)
    changed["metadata"] = {**live["metadata"], "resourceVersion": NOT_THERE}
    await api.call("PUT", f"{root}/g", changed)
    await api.call("DELETE", f"{root}/g")
    await api.call("DELETE", f"{root}/g")


async def ownership(api: Api) -> None:
    root = f"{OURS}/namespaces/{namespace(ownership)}/dbproxytargetgroups"
    made = await api.apply(f"{root}/g", group("g"), "user", "false")
    other = group("g", targets=[{"name": "a", "host": "c.db"}, {"name": "b", "host": "b.db"}])
    await api.apply(f"{root}/g", other, "other", "false")
    await api.apply(f"{root}/g", other, "other")
    await api.apply(f"{root}/g", other, "other")
    status = f"{root}/g/status"
    for pod in ("one", "two", "one"):
        await api.apply(status, said("g", pod), f"dbproxy/{pod}", "false")
    await api.apply(status, said("g", "one", divisor=3), "dbproxy/two", "false")
    await api.apply(status, said("g", "one", "two", divisor=3), "dbproxy/two")
    condition: Object = {"type": "Ready", "status": "True", "reason": "Ready", "message": ""}
    condition |= {"observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    own = {**said("g"), "status": {"conditions": [condition], "observedGeneration": 2}}
    await api.apply(status, own, "operator")
    withdrawn = {name: value for name, value in said("g").items() if name != "status"}
    for pod in ("one", "two"):
        await api.apply(status, withdrawn, f"dbproxy/{pod}")
    await api.apply(status, withdrawn, "operator")
    uid = {"name": "g", "uid": "another"}
    await api.apply(status, {**own, "metadata": uid}, "operator")
    await api.apply(f"{root}/none", {**group("none"), "metadata": {**uid, "name": "none"}}, "x")
    await api.apply(f"{root}/none/status", {**own, "metadata": {"name": "none"}}, "x")
    right = {"name": "g", "uid": made["metadata"]["uid"]}
    await api.apply(f"{root}/g", {**group("g"), "metadata": right}, "user")


async def applies_and_patches(api: Api) -> None:
    root = f"/api/v1/namespaces/{namespace(applies_and_patches)}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "1", "y": "2"}}
    only = {**body, "metadata": {"name": "c", "resourceVersion": NOT_THERE}}
    await api.apply(f"{root}/c", only, "a", "false")
    await api.apply(f"{root}/c", only, "b", "false")
    await api.apply(f"{root}/c", {**body, "metadata": {"name": "c"}}, "b", "false")
    live = await api.apply(
        f"{root}/c", {**body, "metadata": {"name": "c"}, "data": {"z": "3"}}, "a"
    )
    tested = [{"op": "test", "path": "/metadata/resourceVersion", "value": NOT_THERE}]
    await api.call("PATCH", f"{root}/c", tested, JSON_PATCH)
    tested[0]["value"] = live["metadata"]["resourceVersion"]
    await api.call("PATCH", f"{root}/c", [*tested, {"op": "remove", "path": "/data/x"}], JSON_PATCH)
    await api.call("PATCH", f"{root}/c", {"data": {"y": None, "w": "4"}}, MERGE, fieldManager="m")
    stale: Object = {"metadata": {"resourceVersion": NOT_THERE}, "data": {"w": "5"}}
    await api.call("PATCH", f"{root}/c", stale, MERGE)
    await api.call("PATCH", f"{root}/none", {"data": {}}, MERGE)
    await api.call("PATCH", f"{root}/c", {**body, "metadata": {"name": "c"}}, APPLY)
    await api.apply(f"{root}/c", {**body, "metadata": {"name": "other"}}, "a")
    elsewhere = "/api/v1/namespaces/nowhere/configmaps"
    await api.call("POST", elsewhere, {**body, "metadata": {"name": "c"}})


async def selections(api: Api) -> None:
    root = f"/api/v1/namespaces/{namespace(selections)}/secrets"
    for number in range(5):
        labels = {"number": str(number), **({"even": ""} if number % 2 == 0 else {})}
        body = {"apiVersion": "v1", "kind": "Secret", "type": "a/b" if number > 2 else "Opaque"}
        await api.call(
            "POST", root, {**body, "metadata": {"name": f"s-{number}", "labels": labels}}
        )
    text = {"apiVersion": "v1", "kind": "Secret", "stringData": {"x": "y"}}
    await api.call("POST", root, {**text, "metadata": {"name": "text"}})
    for selector in ("even", "!even", "number=3", "number in (1,2),even", "number notin (1)"):
        await api.call("GET", root, labelSelector=selector)
    for selector in ("type!=a/b", "type=a/b", "metadata.name=s-1"):
        await api.call("GET", root, fieldSelector=selector)
    await api.call("GET", root, limit="many")
    page = await api.call("GET", root, limit="2")
    while token := page["metadata"].get("continue"):
        page = await api.call(
            "GET", root, accept=METADATA.format("List"), **{"limit": "2", "continue": token}
        )
    groups = f"{OURS}/namespaces/{namespace(selections)}/dbproxytargetgroups"
    for name in ("g", "h"):
        await api.call("POST", groups, group(name))
    await api.call("GET", groups, fieldSelector="spec.proxyRef.name=of-h")
    await api.call("GET", groups, labelSelector="(")


async def watches(api: Api) -> None:
    root = f"/api/v1/namespaces/{namespace(watches)}/configmaps"
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap"}
    await api.call("POST", root, {**body, "metadata": {"name": "a", "labels": {"in": ""}}})
    since = (await api.call("GET", root))["metadata"]["resourceVersion"]
    for name in ("b", "c"):
        await api.call("POST", root, {**body, "metadata": {"name": name}})
    async with (
        api.watching(root, resourceVersion=since) as all_of_it,
        api.watching(root, labelSelector="in") as labelled,
        api.watching(
            "/api/v1/configmaps", METADATA.format(""), fieldSelector="metadata.name=b"
        ) as named,
    ):
        await labelled(1)
        await named(1)
        await api.call("PATCH", f"{root}/b", {"metadata": {"labels": {"in": ""}}}, MERGE)
        await api.call("PATCH", f"{root}/b", {"data": {"x": "1"}}, MERGE)
        await api.call("PATCH", f"{root}/b", {"data": {"x": "1"}}, MERGE)
        await api.call("PATCH", f"{root}/b", {"metadata": {"labels": None}}, MERGE)
        await api.call("DELETE", f"{root}/a")
        await all_of_it(6)
        await labelled(4)
        await named(3)


async def children(api: Api) -> None:
    """Of a proxy, as the operator writes them, and again with one more label."""
    where = namespace(children)
    for body in api.children:
        url = KINDS[body["kind"]].path(where, body["metadata"]["name"])
        labels = {**body["metadata"]["labels"], "more": "1"}
        more = {**body, "metadata": {**body["metadata"], "labels": labels}}
        await _created(api, url, body)
        await api.apply(url, more, "operator")
        await api.apply(url, more, "operator")
        await api.call("GET", url)
        await api.call("GET", url, accept=METADATA.format(""))
        await api.call("GET", url.rpartition("/")[0], labelSelector="more")


async def _created(api: Api, url: str, body: Object) -> None:
    """A real API server hears a moment later of a Role that was just made."""
    for _ in range(50):
        before = len(api.told)
        await api.apply(url, body, "operator", "false")
        if body["kind"] != "RoleBinding" or "NotFound" not in str(api.told[before]):
            return
        del api.told[before:]
        await asyncio.sleep(0.1)


async def pods(api: Api) -> None:
    """Of a Deployment, as the bench's player writes them."""
    (body,) = [body for body in api.children if body["kind"] == "Deployment"]
    deployment = KINDS["Deployment"].path(namespace(pods), body["metadata"]["name"])
    made = await api.apply(deployment, body, "operator")
    await api.call("PATCH", deployment, {"spec": {"replicas": 3}}, MERGE, fieldManager="scaler")
    status = {"status": {"replicas": 2, "observedGeneration": 1}}
    await api.call("PATCH", f"{deployment}/status", status, MERGE)
    url = KINDS["Pod"].path(namespace(pods))
    spec = {**made["spec"]["template"]["spec"], "nodeName": "nowhere"}
    metadata = {"name": "p", "labels": {"a": "b"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    await api.call("POST", url, pod)
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await api.call("PATCH", f"{url}/p/status", {"status": ready}, MERGE)
    await api.call("GET", url, labelSelector="a=b")


async def leases_and_events(api: Api) -> None:
    where = namespace(leases_and_events)
    root = f"/apis/coordination.k8s.io/v1/namespaces/{where}/leases"
    spec = {"holderIdentity": "one", "renewTime": "2026-01-01T00:00:00.000000Z"}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
    made = await api.call("POST", root, {**lease, "metadata": {"name": "l"}})
    await api.call("PUT", f"{root}/l", {**made, "spec": {**spec, "holderIdentity": "two"}})
    await api.call("PUT", f"{root}/l", {**made, "spec": {**spec, "holderIdentity": "three"}})
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": where},
        "involvedObject": {"kind": "DBProxy", "name": "p", "namespace": where},
        "reason": "Ready",
        "message": "it is",
        "type": "Normal",
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    for _ in range(2):
        await api.call("POST", f"/api/v1/namespaces/{where}/events", event)


async def discovery(api: Api) -> None:
    for path in ("/api/v1", "/apis/apps/v1", OURS):
        async with api.session.get(path) as response:
            found = await response.json()
        served = {"pods", "pods/status", "configmaps", "deployments", "dbproxytargetgroups"}
        api.told.append(
            sorted(
                (each["name"], each["kind"], each["namespaced"], each["singularName"])
                for each in found["resources"]
                if each["name"] in served
            )
        )


STORIES: tuple[Story, ...] = (
    custom_resources,
    ownership,
    applies_and_patches,
    selections,
    watches,
    children,
    pods,
    leases_and_events,
    discovery,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_both_servers_say_the_same(
    servers: list[Server], made: list[Object], story: Story
) -> None:
    ours, theirs = [await told(server, story, made) for server in servers]
    for mine, right in zip(ours, theirs, strict=True):
        assert mine == right


STRATEGIC = "application/strategic-merge-patch+json"
PODS = "/api/v1/namespaces/default/pods"


@pytest.mark.parametrize(
    "asked",
    [
        {"url": "/api/v1/nodes"},
        {"url": "/apis/apps/v1/namespaces/default/deployments/d/scale"},
        {"url": "/api/v1/pods", "fieldSelector": "spec.schedulerName=x"},
        {"url": "/api/v1/pods", "resourceVersionMatch": "Exact", "resourceVersion": "1"},
        {"url": "/api/v1/pods", "watch": "1", "sendInitialEvents": "true"},
        {"url": "/api/v1/pods", "accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
        {"url": PODS, "method": "POST", "body": {}, "dryRun": "All"},
        {"url": f"{PODS}/p", "method": "PATCH", "body": {}, "kind": STRATEGIC},
        {"url": f"{PODS}/p", "method": "DELETE"},
        {"url": "/api/v1/pods", "method": "POST", "body": {}},
        {"url": PODS, "method": "POST", "body": {}, "kind": "application/yaml"},
    ],
    ids=str,
)
async def test_the_one_in_memory_refuses_what_it_does_not_serve(
    servers: list[Server], asked: dict[str, Any]
) -> None:
    async with servers[0].session() as session:
        await servers[0].ready(session)
        api = Api(session, [])
        answer = await api.call(**{"method": "GET", **asked})
        assert (answer["code"], answer["reason"]) == (501, "NotImplemented")
