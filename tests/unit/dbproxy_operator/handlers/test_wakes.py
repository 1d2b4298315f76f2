"""Only news wakes, and it wakes the right proxy."""

from typing import Any

import kopf

from dbproxy_operator.handlers.activities import configure
from dbproxy_operator.handlers.wakes import Wakes, content
from dbproxy_operator.observe.world import Key
from dbproxy_operator.run.queue import Queue
from dbproxy_operator.run.users import Users


def event(kind: str | None = "MODIFIED", **metadata: Any) -> dict[str, Any]:
    spec = metadata.pop("spec", {})
    status = metadata.pop("status", {})
    return {
        "type": kind,
        "object": {"metadata": {"uid": "u", **metadata}, "spec": spec, "status": status},
    }


def wakes() -> Wakes:
    return Wakes(Queue(lambda: 0.0), Users(), lambda _source: None)


def test_our_own_writes_and_counters_are_no_news() -> None:
    filtered = wakes()
    first, second = event(), event(resourceVersion="2", managedFields=[1], status={"a": 1})
    assert filtered.is_news(first, content(first))
    assert not filtered.is_news(second, content(second))


def test_a_change_of_what_is_wanted_is_news() -> None:
    filtered = wakes()
    for changed in (event(), event(spec={"a": 1}), event(labels={"a": "b"}, spec={"a": 1})):
        assert filtered.is_news(changed, content(changed))


def test_a_deletion_is_always_news_and_forgotten() -> None:
    filtered = wakes()
    assert filtered.is_news(event(), "same")
    assert filtered.is_news(event("DELETED"), "same")
    assert filtered.is_news(event(), "same")


async def test_a_wake_without_a_proxy_is_nobodys() -> None:
    queue = Queue(lambda: 0.0)
    filtered = Wakes(queue, Users(), lambda _source: None)
    filtered.wake("child", "shop", None)
    filtered.wake("child", None, "orders")
    assert queue.depth == 0
    filtered.wake("child", "shop", "orders")
    assert await queue.next() == Key("shop", "orders")


def test_a_thousand_objects_of_a_kind_are_seen_within_seconds() -> None:
    """Kopf's worker of an object keeps one of the places until it has idled so long."""
    settings = kopf.OperatorSettings()
    configure(settings)
    assert settings.queueing.worker_limit is not None
    assert 1000 / settings.queueing.worker_limit * settings.queueing.idle_timeout <= 2


def test_kopf_copies_no_object_to_compare_it() -> None:
    settings = kopf.OperatorSettings()
    configure(settings)
    body = kopf.Body({"metadata": {"name": "a"}, "spec": {"many": list(range(1000))}})
    assert settings.persistence.diffbase_storage.build(body=body) == {}
