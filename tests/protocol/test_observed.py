"""What a person sees of a proxy: metrics that are right, and a log without secrets."""

from __future__ import annotations

import subprocess

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import PASSWORDS, wait_until


def test_requests_clients_and_check_outs_are_counted(proxy: Proxy) -> None:
    names = (
        "dbproxy_query_requests_total",
        "dbproxy_client_connections_received_total",
        "dbproxy_client_connections_setup_succeeded_total",
        "dbproxy_query_response_latency_seconds_count",
        "dbproxy_borrow_latency_seconds_count",
    )
    before = {name: proxy.metric(name, endpoint="proxy") for name in names}
    with proxy.connect() as connection:
        for _ in range(10):
            connection.execute("SELECT 1")
        assert proxy.metric("dbproxy_client_connections", endpoint="proxy") == 1
    grown = {name: proxy.metric(name, endpoint="proxy") - before[name] for name in names}
    assert grown["dbproxy_query_requests_total"] >= 10
    assert grown["dbproxy_client_connections_received_total"] == 1
    assert grown["dbproxy_client_connections_setup_succeeded_total"] == 1
    assert grown["dbproxy_query_response_latency_seconds_count"] >= 10
    assert grown["dbproxy_borrow_latency_seconds_count"] >= 1
    wait_until(lambda: proxy.metric("dbproxy_client_connections") == 0, "the client is gone")


def test_every_reason_is_there_from_the_start(proxy: Proxy) -> None:
    reasons = {
        labels["reason"]
        for name, labels, _ in proxy.metrics()
        if name == "dbproxy_session_pins_total" and labels["endpoint"] == "proxy-ro"
    }
    assert {"session_setting", "listen", "advisory_lock", "unclassified"} <= reasons


def test_the_driver_and_the_version_are_told(proxy: Proxy) -> None:
    assert proxy.metric("dbproxy_io_driver_info", driver="epoll") == 1
    assert proxy.metric("dbproxy_build_info", engine="postgresql") == 1


def test_a_notification_reaches_its_listener(proxy: Proxy) -> None:
    with proxy.connect() as listener, proxy.connect() as other:
        listener.execute("LISTEN news")
        other.execute("NOTIFY news, 'hello'")
        heard = next(iter(listener.notifies(timeout=10, stop_after=1)))
        assert (heard.channel, heard.payload) == ("news", "hello")


def test_a_client_that_forbids_itself_to_write_doubts_no_writer(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    server.psql("CREATE TABLE t (i int)")
    server.psql("GRANT INSERT ON t TO app")
    proxy = make_proxy(server)
    by_statement = (
        "BEGIN READ ONLY",
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
        "BEGIN; SET TRANSACTION READ ONLY",
        "BEGIN; SET LOCAL transaction_read_only TO on",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET default_transaction_read_only = on",
        "SELECT set_config('default_transaction_read_only', 'on', false)",
    )
    by_option = "-c default_transaction_read_only=on"
    for options, statement in [("", text) for text in by_statement] + [(by_option, "SELECT 1")]:
        with proxy.connect(options=options) as connection:
            for _ in range(20):
                connection.execute(statement)
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    connection.execute("INSERT INTO t VALUES (1)")
                connection.execute("ROLLBACK")
    with proxy.connect() as last:
        last.execute("SELECT pg_advisory_lock(1)")

    def told_of_the_last() -> bool:
        return any(event["reason"] == "advisory_lock" for event in proxy.events("session_pinned"))

    wait_until(told_of_the_last, "the log has come so far")
    assert proxy.events("writer_doubted") == []


def test_the_log_holds_no_password_and_no_statement(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)
    with pytest.raises(psycopg.OperationalError):
        proxy.connect(password="a-wrong-password")
    proxy.rotate("app", "rotated-password")
    proxy.wait_config()
    with proxy.connect(password="rotated-password") as connection:
        connection.execute("SET application_name = 'a-secret-of-a-statement'")
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM a_secret_of_a_statement")
    server.restart()
    proxy.wait_target("db-0", "AVAILABLE")
    proxy.sigterm()
    proxy.wait_exit()
    secrets = [*PASSWORDS.values(), "a-wrong-password", "rotated-password"]
    secrets += ["a-secret-of-a-statement", "a_secret_of_a_statement"]
    assert [secret for secret in secrets if secret in proxy.log()] == []
    assert all(event.get("event") for event in proxy.events())
    assert len(proxy.events()) == len(proxy.log().splitlines())


def test_more_clients_than_descriptors_are_refused_politely(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), start=False)
    proxy.start(descriptors=300)
    limit = proxy.events("engine_started")[0]["max_clients"]
    clients = [proxy.connect() for _ in range(limit)]
    with pytest.raises(psycopg.OperationalError) as caught:
        proxy.connect()
    told = f"The maximum number of client connections to the proxy exceeded {limit}."
    assert told in str(caught.value)
    assert clients[0].execute("SELECT 1").fetchone() == (1,)
    for client in clients:
        client.close()
    wait_until(lambda: proxy.metric("dbproxy_client_connections") == 0, "they are gone")
    with proxy.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


# Who prepares waits in a call that holds up all clients of its thread (docs/drivers.md).
BENCHES = [("simple", 1), ("simple", 4), ("extended", 1), ("extended", 4), ("prepared", 16)]


def test_pgbench_shares_fewer_connections_in_every_mode(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres(max_connections=29)
    proxy = make_proxy(server, start=False)
    # A third of what is left for applications.
    proxy.write_pool(maxConnectionsPercent=37)
    proxy.start()
    subprocess.run(["pgbench", "-i", "-q", proxy.dsn()], check=True, capture_output=True)
    for mode, threads in BENCHES:
        done = subprocess.run(
            ["pgbench", "-n", "-c", "16", "-j", str(threads), "-t", "20", "-M", mode, proxy.dsn()],
            check=True,
            capture_output=True,
            text=True,
        )
        assert "number of failed transactions: 0 " in done.stdout
        assert "processed: 320/320" in done.stdout
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
    assert server.value(sessions) == 8
    assert proxy.metric("dbproxy_session_pins_total") == 0
