"""A rotated password breaks no session, and both are good for a while, on MySQL and MariaDB."""

from __future__ import annotations

import contextlib

import pytest
from tests.fix_mysql import MySQLFactory
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.answers import entering, value
from tests.mysql_servers import PASSWORDS, MySQL
from tests.servers import wait_until

OLD, NEW = PASSWORDS["app"], "rotated-password"
WRONG_PASSWORD = 1045


@pytest.fixture
def server(make_mysql: MySQLFactory) -> MySQL:
    return make_mysql()


@pytest.fixture
def proxy(server: MySQL, make_mysql_proxy: MySQLProxyFactory) -> MySQLProxy:
    return make_mysql_proxy(server)


def change_password(server: MySQL, user: str = "app") -> None:
    """The account keeps its plugin."""
    server.sql(f"ALTER USER {user}@'%' IDENTIFIED BY '{NEW}'")


def test_old_and_new_password_log_clients_in_during_the_grace_period(
    proxy: MySQLProxy, server: MySQL
) -> None:
    with contextlib.closing(proxy.client()) as open_session:
        assert value(open_session, "SELECT 1") == 1
        change_password(server)
        proxy.rotate("app", NEW)
        proxy.wait_config()
        server.end_connections("app")
        for password in (OLD, NEW):
            with contextlib.closing(proxy.client(password=password.encode())) as client:
                assert value(client, "SELECT 1") == 1
        assert value(open_session, "SELECT 1") == 1
        assert entering(proxy, password=b"neither") == WRONG_PASSWORD


def test_connections_log_in_with_the_old_password_while_the_database_still_has_it(
    proxy: MySQLProxy, server: MySQL
) -> None:
    proxy.rotate("app", NEW)
    proxy.wait_config()
    with contextlib.closing(proxy.client(password=NEW.encode())) as client:
        assert value(client, "SELECT 1") == 1
        change_password(server)
        server.end_connections("app")
        assert value(client, "SELECT 1") == 1


def test_the_old_password_ends_with_its_grace_period(proxy: MySQLProxy, server: MySQL) -> None:
    change_password(server)
    proxy.rotate("app", NEW, grace=10)
    proxy.wait_config()
    assert entering(proxy, password=OLD.encode()) is None
    wait_until(
        lambda: entering(proxy, password=OLD.encode()) == WRONG_PASSWORD,
        "the old password is refused",
    )
    assert entering(proxy, password=NEW.encode()) is None


def test_the_monitors_password_may_be_rotated_before_or_after_the_databases(
    proxy: MySQLProxy, server: MySQL
) -> None:
    monitor = proxy.credentials["monitor"]
    old = {"password": monitor["password"], "validUntil": 2**40}
    proxy.write_credentials(monitor=monitor | {"password": NEW, "previous": [old]})
    proxy.wait_config()
    server.end_connections("monitor")
    proxy.wait_target("db-0", "AVAILABLE")
    change_password(server, "monitor")
    server.end_connections("monitor")
    wait_until(lambda: server.connections("monitor"), "it has entered again")
    with contextlib.closing(proxy.client()) as client:
        assert value(client, "SELECT 1") == 1
    refusals = [event for event in proxy.events("target") if event["reason"] == "AUTH_FAILURE"]
    assert refusals == []
