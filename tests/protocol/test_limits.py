"""What operators limit, on live clients and a real server."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.raw_client import RawClient
from tests.servers import HOST, PASSWORDS, wait_until


def closed(proxy: Proxy, reason: str) -> float:
    """How many clients were closed for that reason."""
    return proxy.metric("dbproxy_client_connections_closed_total", reason=reason)


def comes_in(proxy: Proxy) -> bool:
    try:
        proxy.connect().close()
    except psycopg.OperationalError:
        return False
    return True


def test_who_idles_in_a_transaction_is_told_as_postgresql_tells_it_and_rolled_back(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    server.psql("CREATE TABLE idled (id int)")
    server.psql("GRANT INSERT ON idled TO app")
    proxy = make_proxy(server, idleInTransactionTimeout=1)
    with RawClient(HOST, server.port) as direct, RawClient(HOST, proxy.port) as client:
        direct.login("app", PASSWORDS["app"])
        client.login("app", PASSWORDS["app"])
        direct.ask("SET idle_in_transaction_session_timeout = '1s'")
        told = []
        for one in (direct, client):
            one.ask("BEGIN; LOCK TABLE idled IN ROW EXCLUSIVE MODE; INSERT INTO idled VALUES (1)")
            fields = one.error()
            told.append([fields[letter] for letter in "SVCM"])
            assert one.closed() == []
        assert told[0] == told[1]
        assert told[1][2] == "25P03"
    assert closed(proxy, "idle_in_transaction_timeout") == 1
    locks = "SELECT 1 FROM pg_locks WHERE relation = 'idled'::regclass"
    wait_until(lambda: not server.psql(locks), "it is rolled back")
    assert server.psql("SELECT * FROM idled") == []


def test_who_goes_on_with_its_transaction_is_not_idle_in_it(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), idleInTransactionTimeout=4)
    with proxy.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT pg_sleep(6)")
        connection.execute("COMMIT")
    assert closed(proxy, "idle_in_transaction_timeout") == 0


def test_a_client_that_reached_its_lifetime_ends_its_transaction_and_is_told(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), maxClientLifetime=4)
    with RawClient(HOST, proxy.port) as client:
        client.login("app", PASSWORDS["app"])
        client.ask("BEGIN")
        client.ask("SELECT pg_sleep(6)")
        assert client.value("SELECT 1") == "1"
        assert client.ask("COMMIT")[0][1] == b"COMMIT\0"
        told = client.error()
        assert (told["S"], told["C"]) == ("FATAL", "57P01")
        assert told["M"] == "The client connection reached its maximum lifetime."
        assert client.closed() == []
    assert closed(proxy, "lifetime") == 1


def test_a_connection_that_reached_its_lifetime_is_replaced_between_transactions(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres())
    proxy.write_pool(maxConnectionLifetime=1)
    proxy.wait_config()

    def ended() -> float:
        return proxy.metric("dbproxy_database_connections_closed_total", reason="lifetime")

    with RawClient(HOST, proxy.port) as client:
        client.login("app", PASSWORDS["app"])
        client.ask("BEGIN")
        first = client.value("SELECT pg_backend_pid()")
        client.ask("SELECT pg_sleep(3)")
        assert client.value("SELECT pg_backend_pid()") == first
        client.ask("COMMIT")
        wait_until(lambda: ended() > 0, "it is closed")
        assert client.value("SELECT pg_backend_pid()") != first


@pytest.mark.parametrize("of_user", [True, False])
def test_a_user_or_a_database_has_so_many_connections_and_others_are_served(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, *, of_user: bool
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)
    limit = "maxConnectionsPerUser" if of_user else "maxConnectionsPerDatabase"
    proxy.write_pool(**{limit: 1})
    proxy.wait_config()
    same = {"user": "app", "dbname": "postgres"} if of_user else {"user": "other"}
    another = {"user": "other"} if of_user else {"dbname": "postgres"}
    with proxy.connect() as holds, proxy.connect(**same) as waits:
        holds.execute("BEGIN")
        proxy.write_pool(connectionBorrowTimeout=1)
        proxy.wait_config()
        with pytest.raises(psycopg.OperationalError) as caught:
            waits.execute("SELECT 1")
        assert caught.value.sqlstate == "53300"
        proxy.write_pool(connectionBorrowTimeout=20)
        proxy.wait_config()
        with proxy.connect(**another) as other:
            other.execute("BEGIN")
            assert other.execute("SELECT 1").fetchone() == (1,)
        holds.execute("COMMIT")
        # What is idle for the one is given up for the other.
        for client in (waits, holds, waits):
            assert client.execute("SELECT 1").fetchone() == (1,)
    mine = "usename = 'app'" if of_user else "datname = 'app'"
    held = f"SELECT count(*) FROM pg_stat_activity WHERE {mine} AND application_name <> 'psql'"
    with server.connect(dbname="postgres") as direct:
        assert direct.execute(held).fetchone() == (1,)


def test_connections_are_open_ahead_for_who_came_before_and_replaced_when_they_end(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres(max_connections=40)
    proxy = make_proxy(server)
    proxy.write_pool(minIdleConnectionsPercent=10)
    proxy.wait_config()
    idle = "FROM pg_stat_activity WHERE usename = 'app' AND state = 'idle'"

    with proxy.connect() as client, server.connect() as direct:

        def count() -> int:
            row = direct.execute(f"SELECT count(*) {idle}").fetchone()
            return int(row[0]) if row else 0

        client.execute("BEGIN")
        wait_until(lambda: count() == 3, "a tenth of what the server has for the proxy")
        direct.execute(f"SELECT pg_terminate_backend(pid) {idle}")
        wait_until(lambda: count() == 3, "others in their place")
        client.execute("COMMIT")


def test_a_user_has_so_many_clients_and_is_told_as_postgresql_tells_it(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), maxClientConnectionsPerUser=1)
    first = proxy.connect()
    with pytest.raises(psycopg.OperationalError) as caught:
        proxy.connect()
    assert 'FATAL:  too many connections for role "app"' in str(caught.value)
    assert closed(proxy, "too_many_clients_of_user") == 1
    first.close()
    wait_until(lambda: comes_in(proxy), "the next comes in once the first has left")


def test_a_pod_takes_so_many_clients_as_it_is_told(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), maxClientConnections=1)
    with proxy.connect(), pytest.raises(psycopg.OperationalError) as caught:
        proxy.connect()
    told = "The maximum number of client connections to the proxy exceeded 1."
    assert told in str(caught.value)
    assert closed(proxy, "too_many_clients") == 1


@pytest.mark.parametrize(
    ("field", "reason"),
    [("maxConnectionRate", "connection_rate"), ("maxLoginRatePerUser", "login_rate")],
)
def test_who_comes_too_often_is_told_so_and_comes_in_later(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, field: str, reason: str
) -> None:
    proxy = make_proxy(make_postgres(), start=False)
    proxy.write_settings(**{field: 1})
    proxy.start()
    told = ""
    for _ in range(200):
        try:
            proxy.connect().close()
        except psycopg.OperationalError as error:
            told = str(error)
            break
    assert "FATAL:  Rate of connection to proxy exceeded 1." in told
    assert closed(proxy, reason) == 1
    wait_until(lambda: comes_in(proxy), "it comes in again")
