"""What operators limit and choose of the pool, on live clients of MySQL and MariaDB."""

from __future__ import annotations

import contextlib
import time

import pymysql
import pytest
from tests.fix_mysql import MySQLFactory
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.answers import entering, last_words, refused, value
from tests.mysql_servers import MySQL
from tests.servers import wait_until

NO_CONNECTION, IDLE, ENDED, TOO_MANY, TOO_MANY_OF_USER = 9501, 4031, 1053, 1040, 1203
NO_SUCH_COLUMN = 1054
pytestmark = pytest.mark.together


@pytest.fixture
def proxy(mysql: MySQL, make_mysql_proxy: MySQLProxyFactory) -> MySQLProxy:
    """A proxy of one test, over the module's server."""
    return make_mysql_proxy(mysql)


def set_pool(proxy: MySQLProxy, **pool: object) -> None:
    proxy.write_pool(**pool)
    proxy.wait_config()


def set_all(proxy: MySQLProxy, **settings: object) -> None:
    proxy.write_settings(**settings)
    proxy.wait_config()


def closed(proxy: MySQLProxy, reason: str) -> float:
    """How many clients were closed for that reason."""
    return proxy.metric("dbproxy_client_connections_closed_total", reason=reason)


# --- time ----------------------------------------------------------------------------------------


def test_who_idles_in_a_transaction_is_told_so_and_rolled_back(
    proxy: MySQLProxy, mysql: MySQL
) -> None:
    mysql.sql("CREATE TABLE app.idled (id INT)")
    try:
        set_all(proxy, idleInTransactionTimeout=3)
        with contextlib.closing(proxy.client()) as client:
            value(client, "BEGIN")
            value(client, "INSERT INTO idled VALUES (1)")
            assert last_words(client) == IDLE
        assert closed(proxy, "idle_in_transaction_timeout") == 1
        # Nobody could, while the transaction is open.
        mysql.sql("ALTER TABLE app.idled ADD COLUMN more INT")
        assert mysql.sql("SELECT * FROM app.idled") == []
    finally:
        mysql.sql("DROP TABLE app.idled")


def test_who_goes_on_with_its_transaction_is_not_idle_in_it(proxy: MySQLProxy) -> None:
    set_all(proxy, idleInTransactionTimeout=4)
    with contextlib.closing(proxy.client()) as client:
        value(client, "BEGIN")
        value(client, "SELECT SLEEP(6)")
        value(client, "COMMIT")
    assert closed(proxy, "idle_in_transaction_timeout") == 0


def test_an_idle_client_is_told_so_after_its_timeout(proxy: MySQLProxy) -> None:
    set_all(proxy, idleClientTimeout=3)
    with contextlib.closing(proxy.client()) as client:
        began = time.monotonic()
        value(client, "SELECT 1")
        assert last_words(client) == IDLE
        assert time.monotonic() - began > 2.8
    assert closed(proxy, "idle_timeout") == 1


def test_a_client_that_reached_its_lifetime_ends_its_transaction_and_is_told(
    proxy: MySQLProxy,
) -> None:
    set_all(proxy, maxClientLifetime=4)
    with contextlib.closing(proxy.client()) as client:
        value(client, "BEGIN")
        value(client, "SELECT SLEEP(6)")
        assert value(client, "SELECT 1") == 1
        value(client, "COMMIT")
        assert last_words(client) == ENDED
    assert closed(proxy, "lifetime") == 1


def test_a_connection_that_reached_its_lifetime_is_replaced_between_transactions(
    proxy: MySQLProxy, mysql: MySQL
) -> None:
    set_pool(proxy, maxConnectionLifetime=1)
    with contextlib.closing(proxy.client()) as client:
        value(client, "BEGIN")
        value(client, "SELECT 1")
        (own,) = mysql.connections("app")
        value(client, "SELECT SLEEP(3)")
        assert mysql.connections("app") == [own]
        value(client, "COMMIT")
        wait_until(lambda: own not in mysql.connections("app"), "it is closed")
        assert value(client, "SELECT 1") == 1
    assert proxy.metric("dbproxy_database_connections_closed_total", reason="lifetime") > 0


# --- how many ------------------------------------------------------------------------------------


def test_no_connection_within_the_borrow_timeout_is_told_and_the_client_stays(
    proxy: MySQLProxy, mysql: MySQL
) -> None:
    set_pool(proxy, maxConnectionsPercent=4, maxIdleConnectionsPercent=4)
    with contextlib.closing(proxy.client()) as holds, contextlib.closing(proxy.client()) as waits:
        value(holds, "BEGIN")
        value(holds, "SELECT 1")
        assert len(mysql.connections("app")) == 1
        set_pool(proxy, connectionBorrowTimeout=1)
        began = time.monotonic()
        with pytest.raises(pymysql.err.MySQLError) as caught:
            value(waits, "SELECT 1")
        assert 0.9 < time.monotonic() - began < 15
        told = "Timed-out waiting to acquire database connection"
        assert caught.value.args == (NO_CONNECTION, told)
        value(holds, "COMMIT")
        assert value(waits, "SELECT 1") == 1
    assert proxy.metric("dbproxy_borrow_timeouts_total") == 1


def test_a_user_has_so_many_connections_and_others_are_served(
    proxy: MySQLProxy, mysql: MySQL
) -> None:
    set_pool(proxy, maxConnectionsPerUser=1, connectionBorrowTimeout=1)
    with contextlib.closing(proxy.client()) as holds, contextlib.closing(proxy.client()) as waits:
        value(holds, "BEGIN")
        value(holds, "SELECT 1")
        assert refused(waits, "SELECT 1") == NO_CONNECTION
        with contextlib.closing(proxy.client("legacy")) as other:
            assert value(other, "SELECT 1") == 1
        value(holds, "COMMIT")
        assert value(waits, "SELECT 1") == 1
        assert len(mysql.connections("app")) == 1


def test_who_may_open_no_more_connections_by_the_databases_own_limit_has_those_in_turn(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    server = make_mysql()
    server.sql("ALTER USER app@'%' WITH MAX_USER_CONNECTIONS 2")
    proxy = make_mysql_proxy(server)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(proxy.client())) for _ in range(6)]
        for client in clients[:2]:
            value(client, "BEGIN")
            value(client, "SELECT 1")
        set_pool(proxy, connectionBorrowTimeout=1)
        assert refused(clients[2], "SELECT 1") == NO_CONNECTION
        assert "1226" in {event["code"] for event in proxy.events("backend_failed")}
        # A user that is full says nothing of the server.
        with contextlib.closing(proxy.client("legacy")) as other:
            assert value(other, "SELECT 1") == 1
        set_pool(proxy, connectionBorrowTimeout=20)
        for client in clients[:2]:
            value(client, "COMMIT")
        for client in clients * 2:
            assert value(client, "SELECT 1") == 1


def test_connections_are_open_ahead_for_who_came_before_and_replaced_when_they_end(
    proxy: MySQLProxy, mysql: MySQL
) -> None:
    set_pool(proxy, minIdleConnectionsPercent=10)
    with contextlib.closing(proxy.client()) as client:
        value(client, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        own = mysql.value("SELECT trx_mysql_thread_id FROM information_schema.innodb_trx")

        def others() -> list[int]:
            return [number for number in mysql.connections("app") if number != own]

        wait_until(lambda: len(others()) == 4, "a tenth of what there is for the proxy")
        for number in others():
            mysql.sql(f"KILL {number}")
        wait_until(lambda: len(others()) == 4, "others in their place")
        value(client, "COMMIT")


def test_a_user_has_so_many_clients_and_is_told_as_the_database_tells_it(
    proxy: MySQLProxy,
) -> None:
    set_all(proxy, maxClientConnectionsPerUser=1)
    with contextlib.closing(proxy.client()):
        assert entering(proxy) == TOO_MANY_OF_USER
        assert closed(proxy, "too_many_clients_of_user") == 1
    wait_until(lambda: entering(proxy) is None, "the next comes in once the first has left")


def test_a_pod_takes_so_many_clients_as_it_is_told(proxy: MySQLProxy) -> None:
    set_all(proxy, maxClientConnections=1)
    with contextlib.closing(proxy.client()):
        assert entering(proxy) == TOO_MANY
        assert closed(proxy, "too_many_clients") == 1


@pytest.mark.parametrize(
    ("field", "reason"),
    [("maxConnectionRate", "connection_rate"), ("maxLoginRatePerUser", "login_rate")],
)
def test_who_comes_too_often_is_told_so_and_comes_in_later(
    proxy: MySQLProxy, field: str, reason: str
) -> None:
    set_all(proxy, **{field: 1})
    told = next(found for found in (entering(proxy) for _ in range(200)) if found)
    assert told == TOO_MANY
    assert closed(proxy, reason) == 1
    wait_until(lambda: entering(proxy) is None, "it comes in again")


# --- what sessions are like ----------------------------------------------------------------------


def test_the_init_query_ran_on_each_connection(proxy: MySQLProxy) -> None:
    set_pool(proxy, initQuery="SET lock_wait_timeout = 4321; SET div_precision_increment = 7")
    asked = "SELECT CONCAT(@@lock_wait_timeout, ' ', @@div_precision_increment)"
    with contextlib.closing(proxy.client()) as one, contextlib.closing(proxy.client()) as two:
        value(one, "BEGIN")
        assert [value(one, asked), value(two, asked)] == ["4321 7", "4321 7"]


@pytest.mark.parametrize("pins", ["", "SET timestamp = 1000"])
def test_what_the_init_query_set_is_there_again_after_a_client_that_set_it_otherwise(
    proxy: MySQLProxy, pins: str
) -> None:
    only_one = {"maxConnectionsPercent": 4, "maxIdleConnectionsPercent": 4}
    set_pool(proxy, initQuery="SET lock_wait_timeout = 4321", **only_one)
    asked = "SELECT @@lock_wait_timeout"
    with contextlib.closing(proxy.client()) as other:
        with contextlib.closing(proxy.client()) as client:
            value(client, "SET lock_wait_timeout = 5")
            if pins:
                value(client, pins)
            assert value(client, asked) == 5
            if not pins:
                assert [value(other, asked), value(client, asked)] == [4321, 5]
        assert value(other, asked) == 4321


def test_an_init_query_that_fails_is_told_as_the_database_tells_it(proxy: MySQLProxy) -> None:
    set_pool(proxy, initQuery="SELECT nonsense")
    assert entering(proxy) == NO_SUCH_COLUMN
    assert str(NO_SUCH_COLUMN) in {event["code"] for event in proxy.events("backend_failed")}
    set_pool(proxy, initQuery=None)
    wait_until(lambda: entering(proxy) is None, "clients come in again")


@pytest.mark.parametrize("text", ["SET timestamp = 1000", "SELECT @v := 9"])
def test_what_cannot_be_followed_pins_unless_that_is_excluded(proxy: MySQLProxy, text: str) -> None:
    def pins() -> float:
        return proxy.metric("dbproxy_session_pins_total")

    with contextlib.closing(proxy.client()) as client:
        value(client, text)
        assert pins() == 1
    set_pool(proxy, sessionPinningFilters=["EXCLUDE_VARIABLE_SETS"])
    with contextlib.closing(proxy.client()) as client:
        value(client, text)
        assert pins() == 1
        assert value(client, "SELECT 1") == 1
    # It is gone with its connection.
    with contextlib.closing(proxy.client()) as client:
        assert value(client, "SELECT UNIX_TIMESTAMP() > 1000") == 1
        assert value(client, "SELECT @v") is None


def test_a_statement_that_is_longer_than_what_may_be_pins(proxy: MySQLProxy) -> None:
    set_pool(proxy, maxStatementLength=100)
    with contextlib.closing(proxy.client()) as client:
        value(client, f"SELECT '{'x' * 80}'")
        assert proxy.metric("dbproxy_session_pins_total") == 0
        value(client, f"SELECT '{'x' * 100}'")
    assert proxy.metric("dbproxy_session_pins_total", reason="statement_too_large") == 1
