"""An election ConfigMap that is missing or wrong: who is served meanwhile, and what status says."""

from collections.abc import Iterator

import pytest
from tests.fix_cluster import Object, RefusedError, eventually
from tests.fix_shop import DATABASE, HOST, Shop, basic_auth, election, targets

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


def states(shop: Shop) -> set[str]:
    """Whether the pods serve their writer."""
    seen = shop.cluster.get("dbptg", "orders-db")
    assert seen is not None
    return {entry["writer"]["state"] for entry in seen["status"]["proxies"]}


def write(shop: Shop) -> None:
    shop.psql("create temp table t(); drop table t")


FAULTS: dict[str, tuple[Object | None, str]] = {
    "is missing": (None, "ElectionNotFound"),
    "has no epoch": ({"epoch": None}, "ElectionInvalid"),
    "has an epoch that is no number": ({"epoch": "seven"}, "ElectionInvalid"),
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


def test_nobody_serves_while_the_election_contradicts_itself_or_names_nobody(shop: Shop) -> None:
    """A tool that writes one key after the other; a target that is not there yet."""
    open_elected(shop)
    steps: list[tuple[Object, str]] = [
        ({"writer": "db-1"}, "ElectionInvalid"),
        ({"writer": "db-0"}, "ElectionInvalid"),
        ({"writer": "db-9", "epoch": "9"}, "UnknownWriter"),
        ({"writer": "", "epoch": "10"}, "NoWriter"),
    ]
    for change, reason in steps:
        shop.cluster.patch("configmap", "orders-election", {"data": change})
        shop.expect("dbptg", "orders-db", "WriterKnown", "False", reason)
        eventually(lambda: states(shop) == {"HOLDING"}, "no pod serves")
        if reason == "ElectionInvalid":
            assert recorded(shop)["epoch"] == 7
    shop.cluster.patch("configmap", "orders-election", {"data": {"writer": "db-0", "epoch": "11"}})
    shop.expect("dbptg", "orders-db", "WriterKnown", "True", "WriterKnown")
    acknowledged = "--for=jsonpath={.status.writer.acknowledgedEpoch}=11"
    shop.cluster.kubectl("wait", "dbptg/orders-db", acknowledged, "--timeout=60s")
    write(shop)


def test_a_status_that_somebody_wrote_changes_nothing(shop: Shop) -> None:
    open_elected(shop)
    lie = {"writer": {"target": "db-1", "uid": recorded(shop)["uid"], "epoch": 10**15 - 1}}
    shop.cluster.patch("dbptg", "orders-db", {"status": lie}, "--subresource=status")
    shop.cluster.patch("configmap", "orders-election", {"data": {"epoch": "8"}})
    eventually(lambda: recorded(shop)["epoch"] == 8, "the operator says again what it read")
    assert recorded(shop)["target"] == "db-0"
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


def as_superuser(shop: Shop, sql: str) -> str:
    """In the database itself, not through the proxy."""
    database = shop.cluster.within(DATABASE)
    return database.kubectl("exec", "db-0", "--", "psql", "-XAtq", "-d", "shop", "-c", sql)


@pytest.fixture
def watcher(shop: Shop) -> Iterator[str]:
    """A role for probes that is this test's own."""
    role = f"watcher_{shop.name.rpartition('-')[2]}"
    as_superuser(shop, f"create role {role} login password 'watch-1' in role pg_monitor")
    yield role
    as_superuser(shop, f"drop role {role}")


def lock_out(shop: Shop, role: str) -> None:
    as_superuser(
        shop,
        f"alter role {role} password 'changed'; "
        f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'",
    )


def let_in(shop: Shop, role: str) -> None:
    as_superuser(shop, f"alter role {role} password 'watch-1'")


def test_a_monitor_that_is_locked_out_is_told_and_named_when_a_failover_waits_for_it(
    shop: Shop, watcher: str
) -> None:
    shop.cluster.apply(election("db-0", "7"), basic_auth("watcher", watcher, "watch-1"))
    elected = {"configMapRef": {"name": "orders-election"}, "confirmationTimeout": 5}
    shop.open(
        group_spec={
            "writerElection": elected,
            "monitorSecretRef": {"name": "watcher"},
            # The same server by another name: the failover needs no second one.
            "targets": targets(HOST, f"{HOST}.cluster.local"),
        }
    )
    lock_out(shop, watcher)
    told = shop.expect("dbptg", "orders-db", "WriterKnown", "False", "Unconfirmed")
    assert watcher in told
    write(shop)
    shop.cluster.apply(election("db-1", "8"))
    told = shop.expect("dbptg", "orders-db", "WriterKnown", "False", "MonitorRefused")
    assert watcher in told
    eventually(lambda: states(shop) == {"HOLDING"}, "no pod serves")
    let_in(shop, watcher)
    shop.expect("dbptg", "orders-db", "WriterKnown", "True", "WriterKnown")
    write(shop)


def test_a_writer_that_nobody_confirms_is_served_no_longer_where_fencing_is_strict(
    shop: Shop, watcher: str
) -> None:
    shop.cluster.apply(election("db-0", "7"), basic_auth("watcher", watcher, "watch-1"))
    strict = {"confirmationTimeout": 5, "strictFencing": True}
    shop.open(
        group_spec={
            "writerElection": {"configMapRef": {"name": "orders-election"}, **strict},
            "monitorSecretRef": {"name": "watcher"},
            "connectionPoolConfig": {"maxConnectionsPercent": 10, "connectionBorrowTimeout": 5},
        }
    )
    write(shop)
    lock_out(shop, watcher)
    told = shop.expect("dbptg", "orders-db", "WriterKnown", "False", "Unconfirmed")
    assert watcher in told
    eventually(lambda: states(shop) == {"HOLDING"}, "the writer is left")
    with pytest.raises(RefusedError, match=r"FATAL|ERROR"):
        write(shop)
    let_in(shop, watcher)
    shop.expect("dbptg", "orders-db", "WriterKnown", "True", "WriterKnown")
    write(shop)


def test_a_writer_whose_host_is_changed_is_left_and_opened_anew(shop: Shop) -> None:
    open_elected(shop)
    with shop.session() as session:
        before = session.ask("select pg_backend_pid()")
        moved = targets(f"{HOST}.cluster.local", "nowhere.invalid")
        shop.cluster.patch("dbptg", "orders-db", {"spec": {"targets": moved}})
        left = f"select count(*) from pg_stat_activity where pid = {before}"
        eventually(lambda: as_superuser(shop, left).strip() == "0", "the old place is left")
        assert session.ask("select 1") == "1"
    acknowledged = "--for=jsonpath={.status.writer.acknowledgedEpoch}=7"
    shop.cluster.kubectl("wait", "dbptg/orders-db", acknowledged, "--timeout=60s")
    shop.expect("dbptg", "orders-db", "WriterKnown", "True", "WriterKnown")
