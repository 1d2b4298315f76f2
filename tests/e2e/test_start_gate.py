"""Pods that start: a rollout whose new ones reach no database, and one that is told to go."""

import datetime as dt

import pytest
from tests.fix_cluster import Object, RefusedError, eventually
from tests.fix_shop import Shop

pytestmark = pytest.mark.timeout(300)
GATE = 30
# No name resolves in such a pod.
LOST = {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}}
# With so little of a CPU, Python takes many seconds to start.
SLOW = {"resources": {"requests": {"cpu": "30m"}, "limits": {"cpu": "30m"}}}


def unready(shop: Shop, pod: str) -> str:
    """What the pod says to the kubelet while it is not ready."""
    path = f"/api/v1/namespaces/{shop.name}/pods/{pod}:8080/proxy/readyz"
    try:
        shop.cluster.call("GET", path)
    except RefusedError as refusal:
        return str(refusal)
    except ValueError:
        # "ok" is no JSON.
        return ""
    return ""


def waits_for_the_database(shop: Shop, pod: str) -> bool:
    return "has not reached the database yet" in unready(shop, pod)


def ready_after(shop: Shop, pod: str) -> float | None:
    """How many seconds after its start the pod was ready; None before."""
    seen = shop.cluster.get("pod", pod)
    assert seen is not None
    status: Object = seen["status"]
    conditions = {one["type"]: one for one in status["conditions"]}
    if conditions["Ready"]["status"] != "True":
        return None
    started = status["containerStatuses"][0]["state"]["running"]["startedAt"]
    ready = conditions["Ready"]["lastTransitionTime"]
    return (dt.datetime.fromisoformat(ready) - dt.datetime.fromisoformat(started)).total_seconds()


def test_the_former_pods_serve_until_a_rollout_that_finds_no_database_is_stopped(
    shop: Shop,
) -> None:
    shop.open(minReadySeconds=40)
    before = shop.pods()
    with shop.session() as session:
        assert session.ask("select 1") == "1"
        shop.cluster.patch("dbp", "orders", {"spec": {"template": {"spec": LOST}}})
        (lost,) = eventually(lambda: shop.pods().keys() - before.keys(), "a new pod is made")
        eventually(lambda: waits_for_the_database(shop, lost), "it waits for the database")
        took = eventually(lambda: ready_after(shop, lost), "it is ready all the same")
        # Both moments are told in whole seconds.
        assert took >= GATE - 1
        assert before.items() <= shop.pods().items()
        shop.cluster.patch("dbp", "orders", {"spec": {"template": None}})
        eventually(lambda: shop.pods() == before, "only the former pod is left")
        assert session.ask("select 2") == "2"
    eventually(shop.works, "new clients are served by the former pod")
    assert shop.restarts() == 0


def runs(shop: Shop, pod: str) -> bool:
    seen = shop.cluster.get("pod", pod)
    assert seen is not None
    (container,) = seen["status"].get("containerStatuses") or [{}]
    return "running" in container.get("state", {})


def test_a_pod_that_is_told_to_go_while_python_starts_goes_long_before_its_grace_period_ends(
    shop: Shop,
) -> None:
    shop.open(drainTimeout=120)
    before = shop.pods()
    shop.cluster.patch("dbp", "orders", {"spec": {"template": {"spec": SLOW}}})
    (slow,) = eventually(lambda: shop.pods().keys() - before.keys(), "a new pod is made")
    eventually(lambda: runs(shop, slow), "its container runs")
    assert "connection refused" in unready(shop, slow), "Python starts still"
    shop.cluster.kubectl("delete", "pod", slow, "--wait=false")
    eventually(lambda: shop.cluster.get("pod", slow) is None, "it is gone", 90)
