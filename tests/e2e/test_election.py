"""An election ConfigMap that is missing or wrong: the last writer stays, and status says why."""

import pytest
from tests.fix_cluster import Object
from tests.fix_shop import HOST, Shop, election, targets

pytestmark = pytest.mark.timeout(300)

ELECTED = {
    "writerElection": {"configMapRef": {"name": "orders-election"}},
    "targets": targets(HOST, "nowhere.invalid"),
}


def open_elected(shop: Shop, epoch: str = "7") -> None:
    shop.cluster.apply(election("db-0", epoch))
    shop.open(group_spec=ELECTED)
    assert recorded(shop)["epoch"] == int(epoch)


def recorded(shop: Shop) -> Object:
    seen = shop.cluster.get("dbptg", "orders-db")
    assert seen is not None
    writer: Object = seen["status"]["writer"]
    return writer


def write(shop: Shop) -> None:
    shop.psql("create temp table t(); drop table t")


FAULTS: dict[str, tuple[Object | None, str]] = {
    "is missing": (None, "ElectionNotFound"),
    "has no epoch": ({"epoch": None}, "ElectionInvalid"),
    "has an epoch that is no number": ({"epoch": "seven"}, "ElectionInvalid"),
    "names an unknown writer": ({"writer": "db-9", "epoch": "99"}, "UnknownWriter"),
    "has an epoch that falls": ({"epoch": "5"}, "EpochFell"),
}


def test_the_last_writer_stays_while_the_election_is_wrong(shop: Shop) -> None:
    open_elected(shop)
    for epoch, (change, reason) in enumerate(FAULTS.values(), start=100):
        if change is None:
            shop.cluster.kubectl("delete", "configmap", "orders-election")
        else:
            shop.cluster.patch("configmap", "orders-election", {"data": change})
        shop.expect("dbptg", "orders-db", "WriterKnown", "False", reason)
        write(shop)
        assert recorded(shop)["target"] == "db-0"
        shop.cluster.apply(election("db-0", str(epoch)))
        shop.expect("dbptg", "orders-db", "WriterKnown", "True", "WriterKnown")
        write(shop)


def test_a_writer_that_sql_does_not_confirm_is_not_opened(shop: Shop) -> None:
    open_elected(shop)
    shop.cluster.apply(election("db-1", "8"))
    shop.expect("dbptg", "orders-db", "WriterKnown", "False", "WriterDisagrees")
    shop.cluster.apply(election("db-0", "9"))
    shop.expect("dbptg", "orders-db", "WriterKnown", "True", "WriterKnown")
    write(shop)
    assert recorded(shop)["epoch"] == 9


def test_the_floor_of_the_epoch_outlives_the_pods(shop: Shop) -> None:
    open_elected(shop)
    shop.cluster.patch("configmap", "orders-election", {"data": {"epoch": "5"}})
    shop.expect("dbptg", "orders-db", "WriterKnown", "False", "EpochFell")
    shop.cluster.kubectl("delete", "pod", "-l", "dbproxy.dev/proxy=orders")
    shop.ready("dbproxy/orders")
    shop.expect("dbptg", "orders-db", "WriterKnown", "False", "EpochFell")
    assert recorded(shop)["epoch"] == 7
