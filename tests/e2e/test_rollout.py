"""Pods that come and go under load: no transaction is dropped."""

from uuid import uuid4

import pytest
from tests.fix_cluster import eventually
from tests.fix_orders import Kept, Orders

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("orders")]


def drops_nothing(orders: Orders, kept: Kept) -> None:
    """No transaction that had begun was cut, and none that could not begin was carried out."""
    found = orders.rows(kept, orders.elected()[0])
    assert [failure for failure in kept.failures if failure.stage == "later"] == []
    assert {(one.client, one.number) for one in kept.failures} & set(found) == set()
    assert sorted(found) == sorted(kept.committed)


def rolled_over(orders: Orders, before: dict[str, str]) -> bool:
    return orders.serving() and not before.keys() & orders.pods().keys()


def test_a_rolling_restart_drops_no_transaction(orders: Orders) -> None:
    before = orders.pods()
    annotations = {"annotations": {"restarted": uuid4().hex}}
    with orders.writing(writers=8, idle=2) as writing:
        orders.cluster.patch("dbp", "orders", {"spec": {"template": {"metadata": annotations}}})
        eventually(lambda: rolled_over(orders, before), "other pods serve", 120)
        kept = writing.finish()
    drops_nothing(orders, kept)
    assert [failure for failure in kept.failures if failure.stage == "connect"] == []
    assert kept.idle == ["57P01"] * 2


def test_clients_of_a_killed_pod_go_on_with_another(orders: Orders) -> None:
    with orders.writing(writers=8) as writing:
        killed = next(iter(orders.pods()))
        orders.cluster.kubectl("delete", "pod", killed, "--force", "--grace-period=0")
        eventually(orders.serving, "two pods serve again", 90)
        eventually(lambda: killed not in orders.reports(), "its report is emptied", 60)
        kept = writing.finish()
    found = set(orders.rows(kept, orders.elected()[0]))
    assert set(kept.committed) <= found
    last = max(kept.committed.values())
    active = {client for (client, _), at in kept.committed.items() if at > last - 2}
    assert active == set(range(8))
