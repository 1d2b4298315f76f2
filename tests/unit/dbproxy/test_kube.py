"""Watching one object and applying one status, against an API server that can be cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.fake_api import FakeApi

from dbproxy import kube as kube_module
from dbproxy.errors import KubeError
from dbproxy.kube import Kube, Object, Seen, Unchanged, Unreadable, in_cluster


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    api = await FakeApi().start()
    yield api
    await api.stop()


@pytest.fixture
async def kube(api: FakeApi) -> AsyncIterator[Kube]:
    kube = Kube(api.cluster)
    yield kube
    await kube.close()


Watch = AsyncIterator[Seen | Unchanged | Unreadable]


async def heard(watch: Watch) -> Seen | Unchanged | Unreadable:
    async with asyncio.timeout(10):
        return await anext(watch)


async def writer(watch: Watch) -> str | None:
    """The writer that the next news of the watch names."""
    seen = await heard(watch)
    assert isinstance(seen, Seen)
    return None if seen.value is None else seen.value["data"]["writer"]


async def test_an_object_is_seen_as_it_is_and_becomes(api: FakeApi, kube: Kube) -> None:
    api.put("configmaps", "election", {"writer": "db-0"})
    watch = kube.watch("configmaps", "shop", "election")
    assert await writer(watch) == "db-0"
    api.put("configmaps", "election", {"writer": "db-1"})
    assert await writer(watch) == "db-1"
    api.delete("configmaps", "election")
    assert await writer(watch) is None
    api.put("configmaps", "election", {"writer": "db-2"})
    assert await writer(watch) == "db-2"


async def test_an_object_that_is_not_there_is_seen_as_none(api: FakeApi, kube: Kube) -> None:
    assert await heard(kube.watch("configmaps", "shop", "election")) == Seen(None)


async def test_a_watch_names_its_object_and_asks_for_bookmarks(api: FakeApi, kube: Kube) -> None:
    api.put("configmaps", "election", {"writer": "db-0"})
    watch = kube.watch("configmaps", "shop", "election")
    await heard(watch)
    api.put("configmaps", "election", {"writer": "db-1"})
    await heard(watch)
    assert all(
        "fieldSelector=metadata.name%3Delection" in url
        or "fieldSelector=metadata.name=election" in url
        for url in api.requests
    )
    assert "allowWatchBookmarks=true" in api.requests[1]
    assert "resourceVersion=101" in api.requests[1]


@pytest.mark.parametrize("fault", ["end_watches", "expire_watches"])
async def test_a_watch_that_breaks_is_begun_anew(api: FakeApi, kube: Kube, fault: str) -> None:
    api.put("configmaps", "election", {"writer": "db-0"})
    watch = kube.watch("configmaps", "shop", "election")
    await heard(watch)
    api.put("configmaps", "election", {"writer": "db-1"})
    await heard(watch)
    getattr(api, fault)()
    assert isinstance(await heard(watch), Unreadable)
    assert await writer(watch) == "db-1"


async def test_a_refusal_is_told_with_its_status_and_tried_again(api: FakeApi, kube: Kube) -> None:
    api.status = 403
    watch = kube.watch("configmaps", "shop", "election")
    assert await heard(watch) == Unreadable("403: not now", 403)
    api.status = 200
    assert await heard(watch) == Seen(None)


async def test_silence_is_taken_for_a_broken_watch(
    api: FakeApi, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = aiohttp.ClientTimeout(total=None, sock_read=0.05)
    monkeypatch.setattr(kube_module, "WATCH_TIMEOUT", short)
    watch = kube.watch("configmaps", "shop", "election")
    assert await heard(watch) == Seen(None)
    assert isinstance(await heard(watch), Unreadable)


async def test_reading_tells_none_from_an_error(api: FakeApi, kube: Kube) -> None:
    assert await kube.read("configmaps", "shop", "election") is None
    api.status = 500
    with pytest.raises(KubeError, match="500: not now"):
        await kube.read("configmaps", "shop", "election")


ODD = [{}, {"items": [{}]}, {"metadata": {"resourceVersion": "soon"}, "items": []}, {"kind": "Up"}]


@pytest.mark.parametrize("answer", ODD)
async def test_an_answer_that_is_no_object_is_an_error_and_no_absence(
    api: FakeApi, kube: Kube, answer: Object
) -> None:
    """Something before the API server that says 200 to everything."""
    api.answer = answer
    watch = kube.watch("configmaps", "shop", "election")
    assert isinstance(await heard(watch), Unreadable)
    with pytest.raises(KubeError):
        await kube.read("configmaps", "shop", "election")
    api.answer = None
    api.put("configmaps", "election", {"writer": "db-0"})
    assert await writer(watch) == "db-0"


@pytest.mark.parametrize("value", [None, [], {}, {"metadata": {"uid": "u"}}])
async def test_an_event_without_an_object_breaks_the_watch_off(
    api: FakeApi, kube: Kube, value: Any
) -> None:
    api.put("configmaps", "election", {"writer": "db-0"})
    watch = kube.watch("configmaps", "shop", "election")
    assert await writer(watch) == "db-0"
    api.tell("MODIFIED", value)
    assert isinstance(await heard(watch), Unreadable)
    assert await writer(watch) == "db-0"


async def test_an_api_server_that_is_not_there_is_an_error(api: FakeApi, kube: Kube) -> None:
    await api.stop()
    with pytest.raises(KubeError):
        await kube.read("configmaps", "shop", "election")


async def test_a_status_is_applied_by_its_manager(api: FakeApi, kube: Kube) -> None:
    await kube.apply_status("dbproxytargetgroups", "shop", "db", {"status": {}}, "dbproxy/pod-0")
    assert api.patches == [
        (
            "namespaces/shop/dbproxytargetgroups/db/status",
            {"fieldManager": "dbproxy/pod-0", "force": "true"},
            {"status": {}},
        )
    ]


def test_the_cluster_is_found_as_a_pod_finds_it(tmp_path: Path) -> None:
    env = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    cluster = in_cluster(tmp_path, env)
    assert cluster.base_url == "https://[fd00::1]:6443"
    assert cluster.token_file == tmp_path / "token"
    with pytest.raises(KubeError, match="this is not a pod"):
        in_cluster(tmp_path, {})
