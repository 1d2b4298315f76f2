"""A password that is rotated breaks no session, and both are good for a while."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import ProxyFactory
from tests.servers import PASSWORDS, wait_until

OLD, NEW = PASSWORDS["app"], "rotated-password"


def test_old_and_new_password_log_clients_in_during_the_grace_period(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)
    with proxy.connect() as open_session:
        server.psql("ALTER ROLE app PASSWORD 'rotated-password'")
        proxy.rotate("app", NEW)
        proxy.wait_config()
        for password in (OLD, NEW):
            with proxy.connect(password=password) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        assert open_session.execute("SELECT 1").fetchone() == (1,)


def test_backends_log_in_with_the_old_password_while_the_database_still_has_it(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)
    proxy.rotate("app", NEW)
    proxy.wait_config()
    with proxy.connect(password=NEW) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.psql("ALTER ROLE app PASSWORD 'rotated-password'")
    server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    wait_until(lambda: proxy.metric("dbproxy_database_connections") == 0, "they are seen to end")
    with proxy.connect(password=NEW) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_old_password_ends_with_its_grace_period(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)
    server.psql("ALTER ROLE app PASSWORD 'rotated-password'")
    proxy.rotate("app", NEW, grace=10)
    proxy.wait_config()
    proxy.connect(password=OLD).close()

    def is_refused() -> bool:
        try:
            proxy.connect(password=OLD).close()
        except psycopg.OperationalError as error:
            return "password authentication failed" in str(error)
        return False

    wait_until(is_refused, "the old password is refused")
    proxy.connect(password=NEW).close()


def test_a_user_that_is_removed_cannot_log_in_and_a_new_one_can(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres())
    users = [user for user in proxy.credentials["users"] if user["name"] != "other"]
    proxy.write_credentials(users=users)
    proxy.wait_config()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        proxy.connect("other")
    proxy.write_credentials(users=[*users, {"name": "other", "password": PASSWORDS["other"]}])
    proxy.wait_config()
    proxy.connect("other").close()


def test_a_password_that_only_the_proxy_has_is_told_truthfully(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres())
    proxy.write_credentials(users=[{"name": "other", "password": "not-the-databases"}])
    proxy.wait_config()
    with pytest.raises(psycopg.OperationalError, match="could not log in to the database"):
        proxy.connect("other", password="not-the-databases")
    wait_until(
        lambda: any(
            event["user"] == "other" and event["code"] == "28P01"
            for event in proxy.events("backend_failed")
        ),
        "the log says why",
    )
