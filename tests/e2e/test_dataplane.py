"""From `kubectl apply` to psql and pgbench through the proxy's Services, on real databases."""

import re
from collections.abc import Callable

import pytest
from tests.fix_cluster import RefusedError
from tests.fix_orders import APP_SESSIONS, Orders

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("orders")]
Record = Callable[[str, object], None]
READERS = "orders-readonly"


@pytest.fixture(scope="module")
def orders(opened_orders: Orders) -> Orders:
    """These tests leave it as they found it."""
    opened_orders.put_right()
    return opened_orders


def test_an_applied_example_becomes_ready(orders: Orders, record_property: Record) -> None:
    record_property("seconds from apply to Ready", f"{orders.timing.ready:.1f}")
    print(f"from apply to Ready: {orders.timing.ready:.1f} s")
    line = orders.cluster.kubectl("get", "dbproxy", "orders").splitlines()[1].split()
    endpoint = f"orders.{orders.name}.svc:5432"
    writer, _ = orders.elected()
    assert line[:7] == ["orders", "POSTGRESQL", endpoint, writer, "True", "2/2", "2/2"]


@pytest.mark.parametrize("mode", ["disable", "require", "verify-full"])
def test_psql_goes_through_the_service_with_sslmode(orders: Orders, mode: str) -> None:
    """The client's pod has the authority from the ConfigMap orders-ca."""
    assert orders.ask("select current_user", PGSSLMODE=mode) == "app"


@pytest.mark.parametrize("host", ["orders.{}", "orders.{}.svc", READERS, f"{READERS}.{{}}.svc"])
def test_the_certificate_holds_the_name(orders: Orders, host: str) -> None:
    name = host.format(orders.name)
    assert orders.ask("select 1", PGSSLMODE="verify-full", PGHOST=name) == "1"


def test_a_certificate_is_refused_for_another_name(orders: Orders) -> None:
    service = orders.cluster.get("service", "orders")
    assert service is not None
    with pytest.raises(RefusedError, match="does not match host name"):
        orders.ask("select 1", PGSSLMODE="verify-full", PGHOST=service["spec"]["clusterIP"])


def test_the_default_endpoint_reaches_the_writer(orders: Orders) -> None:
    writer, _ = orders.others()
    asked = "select current_setting('cluster_name'), pg_is_in_recovery()"
    assert orders.ask(asked) == f"{writer}|f"


def test_a_read_only_endpoint_reaches_the_replica(orders: Orders) -> None:
    _, reader = orders.others()
    asked = "select current_setting('cluster_name'), pg_is_in_recovery()"
    assert orders.ask(asked, PGHOST=READERS) == f"{reader}|t"


def test_a_read_only_endpoint_does_not_write(orders: Orders) -> None:
    with pytest.raises(RefusedError, match="read-only transaction"):
        orders.ask("create table nothing ()", PGHOST=READERS)


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_pgbench_runs_with_protocol(orders: Orders, protocol: str) -> None:
    report = orders.in_client(*("pgbench", "-n", "-M", protocol, "-c", "8", "-j", "2", "-t", "100"))
    assert "number of transactions actually processed: 800/800" in report
    assert re.search(r"number of failed transactions: 0 ", report)


def test_pgbench_reads_from_the_replica(orders: Orders) -> None:
    words = ["env", f"PGHOST={READERS}", "pgbench", "-n", "-S", "-c", "8", "-j", "2", "-t", "200"]
    assert "number of transactions actually processed: 1600/1600" in orders.in_client(*words)


def test_many_clients_share_few_connections(orders: Orders) -> None:
    writer, _ = orders.others()
    with orders.writing(writers=1, idle=40) as writing:
        sessions = int(orders.on(writer, APP_SESSIONS))
        kept = writing.finish()
    assert kept.idle == ["ok"] * 40
    assert sessions < 20


def test_a_pin_is_counted_by_its_reason(orders: Orders) -> None:
    orders.ask("create temporary table mine ()")
    counted = "".join(orders.metrics(pod) for pod in orders.pods())
    assert re.search(
        r'^dbproxy_session_pins_total{.*reason="temporary_object".*} [1-9]', counted, re.M
    )
