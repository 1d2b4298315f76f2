"""What a client has set goes with it from connection to connection, and nobody else sees it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import LiteralString

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import Postgres


@pytest.fixture
def proxy(make_postgres: PostgresFactory, make_proxy: ProxyFactory) -> Proxy:
    """One with two connections to its database."""
    return make_proxy(make_postgres(max_connections=7))


def shown(connection: psycopg.Connection[tuple[object, ...]], sql: LiteralString) -> object:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def test_more_clients_than_connections_each_keep_what_they_set(proxy: Proxy) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(proxy.connect()) for _ in range(8)]
        for number, client in enumerate(clients):
            client.execute(f"SET work_mem = '{number + 1}MB'".encode())
            client.execute(f"SET my.number = '{number}'".encode())
        for _ in range(3):
            for number, client in enumerate(clients):
                both = client.execute(
                    "SELECT current_setting('work_mem'), current_setting('my.number')"
                )
                assert both.fetchone() == (f"{number + 1}MB", str(number))
    assert proxy.metric("dbproxy_session_pins_total") == 0


def test_a_role_is_taken_along_and_left_behind(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres(max_connections=6)
    server.psql("GRANT other TO app")
    proxy = make_proxy(server)
    with proxy.connect() as one, proxy.connect() as two:
        one.execute("SET ROLE other")
        for _ in range(3):
            assert shown(one, "SELECT current_user") == "other"
            assert shown(two, "SELECT current_user") == "app"


def test_a_query_does_not_run_without_the_role_that_its_client_has(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres(max_connections=6)
    server.psql(
        "CREATE ROLE gone; GRANT gone TO app; CREATE TABLE kept (a int); GRANT ALL ON kept TO app"
    )
    proxy = make_proxy(server)
    with proxy.connect() as client, proxy.connect() as other:
        client.execute("SET ROLE gone")
        shown(other, "SELECT 1")
        server.psql("DROP ROLE gone")
        with pytest.raises(psycopg.errors.Error, match='role "gone" does not exist'):
            client.execute("INSERT INTO kept VALUES (1)")
    assert server.value("SELECT count(*) FROM kept") == 0


def test_a_new_client_is_told_of_no_other_clients_settings(proxy: Proxy) -> None:
    with proxy.connect() as one:
        one.execute("SET TIME ZONE 'Asia/Tokyo'")
        with proxy.connect() as two:
            assert two.info.parameter_status("TimeZone") != "Asia/Tokyo"
            assert shown(two, "SHOW TimeZone") == two.info.parameter_status("TimeZone")
        assert one.info.parameter_status("TimeZone") == "Asia/Tokyo"


def test_a_limit_of_transactions_goes_with_its_client_where_servers_have_it(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres(max_connections=6)
    if int(server.value("SHOW server_version_num")) < 170_000:
        pytest.skip("PostgreSQL has transaction_timeout since 17")
    proxy = make_proxy(server)
    with proxy.connect() as one, proxy.connect() as two:
        one.execute("SET transaction_timeout = '7min'")
        for _ in range(2):
            assert shown(two, "SHOW transaction_timeout") == "0"
            assert shown(one, "SHOW transaction_timeout") == "7min"


def exists(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    return shown(connection, "SELECT current_setting('my.tenant', true)") is not None


def as_on_a_connection_of_its_own(proxy: Proxy, server: Postgres, made: LiteralString) -> None:
    """A custom setting exists for who made it, on every connection, and for nobody else."""
    with server.connect("app") as direct:
        direct.execute(made)
        expected = exists(direct)
    with ExitStack() as stack:
        maker, stranger = (stack.enter_context(proxy.connect()) for _ in range(2))
        maker.execute(made)
        # Others hold what it had.
        for _ in range(3):
            assert not exists(stranger)
            with proxy.connect() as holder:
                holder.execute("BEGIN")
                shown(holder, "SELECT 1")
                assert exists(maker) == expected


@pytest.mark.parametrize(
    "made",
    [
        "SET my.tenant = '5'",
        "BEGIN; SET LOCAL my.tenant = '5'; COMMIT",
        "BEGIN; SET my.tenant = '5'; ROLLBACK",
        "SELECT set_config('my.tenant', '5', true)",
        "RESET my.tenant",
    ],
)
def test_a_custom_setting_exists_for_who_made_it_and_nobody_else(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, made: LiteralString
) -> None:
    server = make_postgres(max_connections=7)
    as_on_a_connection_of_its_own(make_proxy(server), server, made)


def test_one_that_all_connections_have_keeps_nobody_apart(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    """The only connection serves both, and isn't replaced."""
    proxy = make_proxy(make_postgres(max_connections=6))
    options = "-c my.tenant="
    with proxy.connect(options=options) as one, proxy.connect(options=options) as two:
        one.execute("SET my.tenant = '5'")
        own = shown(one, "SELECT pg_backend_pid()")
        assert shown(two, "SELECT pg_backend_pid()") == own
        assert shown(two, "SELECT current_setting('my.tenant')") == ""
