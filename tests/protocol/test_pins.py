"""A session is bound to its connection while the server holds something for it, and no longer."""

from __future__ import annotations

import contextlib
from typing import Any, LiteralString

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import Postgres, wait_until

Connection = psycopg.Connection[Any]


@pytest.fixture
def server(make_postgres: PostgresFactory) -> Postgres:
    """One that leaves the proxy a single connection."""
    return make_postgres(max_connections=6)


@pytest.fixture
def proxy(server: Postgres, make_proxy: ProxyFactory) -> Proxy:
    return make_proxy(server)


def is_pinned(proxy: Proxy, client: Connection) -> bool:
    """Whether it is, once the server was asked: what the client says is answered after that."""
    client.execute("SELECT 1")
    return proxy.metric("dbproxy_sessions_pinned") > 0


def test_is_unbound_when_its_lock_is_released(proxy: Proxy) -> None:
    with proxy.connect() as client, proxy.connect() as other:
        client.execute("SELECT pg_advisory_lock(%s)", (1,))
        assert is_pinned(proxy, client)
        client.execute("SELECT pg_advisory_unlock(%s)", (1,))
        assert not is_pinned(proxy, client)
        # There is one connection.
        assert other.execute("SELECT 1").fetchone() == (1,)


def test_stays_bound_while_it_has_one_of_two_locks(proxy: Proxy) -> None:
    with proxy.connect() as client:
        client.execute("SELECT pg_advisory_lock(1), pg_advisory_lock_shared(2)")
        client.execute("SELECT pg_advisory_unlock(1)")
        assert is_pinned(proxy, client)
        client.execute("SELECT pg_advisory_unlock_shared(2)")
        assert not is_pinned(proxy, client)


def test_is_not_bound_by_a_lock_that_somebody_else_has(proxy: Proxy, server: Postgres) -> None:
    with server.connect() as owner, proxy.connect() as client:
        owner.execute("SELECT pg_advisory_lock(1)")
        for _ in range(3):
            assert client.execute("SELECT pg_try_advisory_lock(1)").fetchone() == (False,)
            assert not is_pinned(proxy, client)


def test_a_lock_outlives_the_transaction_that_took_it(proxy: Proxy) -> None:
    with proxy.connect() as client:
        client.execute("BEGIN")
        client.execute("SELECT pg_advisory_lock(1)")
        client.execute("ROLLBACK")
        assert is_pinned(proxy, client)
        client.execute("BEGIN")
        client.execute("SELECT pg_advisory_unlock_all()")
        client.execute("COMMIT")
        assert not is_pinned(proxy, client)


def test_is_unbound_when_its_cursor_is_closed(proxy: Proxy) -> None:
    with proxy.connect() as client:
        client.execute("BEGIN")
        client.execute("DECLARE held CURSOR WITH HOLD FOR VALUES (1), (2)")
        client.execute("COMMIT")
        assert is_pinned(proxy, client)
        assert client.execute("FETCH held").fetchone() == (1,)
        client.execute("CLOSE held")
        assert not is_pinned(proxy, client)


def test_is_not_bound_by_what_its_transaction_undid(proxy: Proxy) -> None:
    with proxy.connect() as client:
        client.execute("BEGIN")
        client.execute("DECLARE held CURSOR WITH HOLD FOR VALUES (1)")
        client.execute("CREATE TEMP TABLE undone (a int)")
        client.execute("ROLLBACK")
        assert not is_pinned(proxy, client)
        client.execute("BEGIN")
        client.execute("CREATE TEMP TABLE dropped (a int) ON COMMIT DROP")
        client.execute("COMMIT")
        assert not is_pinned(proxy, client)
    assert proxy.metric("dbproxy_session_pins_total") == 2


@pytest.mark.parametrize(
    ("makes", "drops"),
    [
        ("CREATE TEMP TABLE mine (a serial, b text)", "DROP TABLE mine"),
        ("CREATE TEMP VIEW mine AS SELECT 1 AS a", "DROP VIEW mine"),
        ("CREATE TEMP SEQUENCE mine", "DROP SEQUENCE mine"),
        (
            "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DROP FUNCTION pg_temp.mine()",
        ),
        ("CREATE TYPE pg_temp.mine AS ENUM ('a')", "DROP TYPE pg_temp.mine"),
        ("CREATE TEMP TABLE mine (a int)", "DISCARD TEMP"),
    ],
)
def test_is_unbound_when_its_last_temporary_object_is_dropped(
    proxy: Proxy, makes: LiteralString, drops: LiteralString
) -> None:
    with proxy.connect() as client:
        client.execute(makes)
        client.execute("CREATE TEMP TABLE another (a int)")
        client.execute("DROP TABLE another")
        assert is_pinned(proxy, client)
        client.execute(drops)
        assert not is_pinned(proxy, client)


def test_is_unbound_by_discard_all(proxy: Proxy) -> None:
    with proxy.connect() as client:
        client.execute("CREATE TEMP TABLE mine (a int)")
        client.execute("SELECT pg_advisory_lock(1)")
        client.execute("PREPARE mine AS SELECT 1")
        assert is_pinned(proxy, client)
        client.execute("DISCARD ALL")
        assert not is_pinned(proxy, client)
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            client.execute("EXECUTE mine")


@pytest.mark.parametrize(
    ("makes", "drops"),
    [
        (["SELECT 1; PREPARE mine AS SELECT 1"], ["DEALLOCATE mine"]),
        ([f"SELECT 1; PREPARE {name} AS SELECT 1" for name in "ab"], ["DEALLOCATE ALL"]),
        (["SELECT 1; PREPARE a (int) AS SELECT $1"], ["EXECUTE a(1)", "DEALLOCATE a"]),
        (["BEGIN; PREPARE mine AS SELECT 1"], ["ROLLBACK", "DEALLOCATE PREPARE mine"]),
        (
            ["SELECT 1; PREPARE mine AS SELECT 1"],
            ["DO $$ BEGIN EXECUTE 'DEALLOCATE mine'; END $$", "DEALLOCATE ALL"],
        ),
    ],
)
def test_is_unbound_when_its_last_statement_is_deallocated(
    proxy: Proxy, makes: list[str], drops: list[str]
) -> None:
    with proxy.connect(prepare_threshold=None) as client:
        for text in makes:
            client.execute(text.encode())
        assert is_pinned(proxy, client)
        for text in drops:
            client.execute(text.encode())
        assert not is_pinned(proxy, client)


@pytest.mark.parametrize(
    "text",
    [
        "EXECUTE nobody",
        "PREPARE mine AS bogus",
        "SELECT 1; DEALLOCATE nobody",
        "TABLE pg_prepared_statements",
    ],
)
def test_is_not_bound_by_a_text_that_leaves_no_statement(proxy: Proxy, text: LiteralString) -> None:
    with proxy.connect(prepare_threshold=None) as client:
        with contextlib.suppress(psycopg.Error):
            client.execute(text)
        assert not is_pinned(proxy, client)


def test_stays_bound_by_what_the_server_cannot_be_asked_about(proxy: Proxy) -> None:
    with proxy.connect() as client:
        client.execute("SELECT setseed(0.5), pg_advisory_lock(1)")
        client.execute("SELECT pg_advisory_unlock(1)")
        client.execute("DISCARD ALL")
        assert is_pinned(proxy, client)


def test_a_block_binds_by_what_it_sets_and_leaves_nothing_to_others(proxy: Proxy) -> None:
    tenant = "SELECT current_setting('app.tenant', true)"
    with proxy.connect() as client:
        client.execute("DO $$ BEGIN PERFORM set_config('app.tenant', 'mine', false); END $$")
        assert client.execute(tenant).fetchone() == ("mine",)
        assert is_pinned(proxy, client)
    with proxy.connect() as other:
        assert other.execute(tenant).fetchone() == (None,)
        other.execute("DO $$ BEGIN SET LOCAL app.tenant = 'for now'; END $$")
        assert not is_pinned(proxy, other)
    with proxy.connect() as third:
        assert third.execute(tenant).fetchone() == (None,)


def test_a_block_binds_by_what_it_holds_as_long_as_it_is_there(proxy: Proxy) -> None:
    with proxy.connect() as client:
        for block in (
            "CREATE TEMP TABLE t (a int) ON COMMIT DROP",
            "PERFORM 1",
            "PERFORM pg_advisory_lock(1), pg_advisory_unlock(1)",
        ):
            client.execute(f"DO $$ BEGIN {block}; END $$".encode())
            assert not is_pinned(proxy, client), block
        client.execute("DO $$ BEGIN CREATE TEMP TABLE t (a int); END $$")
        assert is_pinned(proxy, client)
        assert client.execute("SELECT count(*) FROM t").fetchone() == (0,)
        client.execute("DROP TABLE t")
        client.execute("DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$")
        assert is_pinned(proxy, client)
        client.execute("SELECT pg_advisory_unlock(1)")
        assert not is_pinned(proxy, client)


def test_keeps_what_it_has_set_when_it_is_unbound(proxy: Proxy) -> None:
    with proxy.connect() as client, proxy.connect() as other:
        client.execute("SELECT pg_advisory_lock(1)")
        client.execute("SET work_mem = '3MB'")
        client.execute("SELECT pg_advisory_unlock(1)")
        assert other.execute("SHOW work_mem").fetchone() == ("4MB",)
        assert client.execute("SHOW work_mem").fetchone() == ("3MB",)
        assert proxy.metric("dbproxy_sessions_pinned") == 0


def test_keeps_its_statements_when_it_is_unbound(proxy: Proxy) -> None:
    with proxy.connect() as client, proxy.connect() as other:
        client.execute("SELECT %s::int + 1", (1,), prepare=True)
        client.execute("SELECT pg_advisory_lock(1)")
        client.execute("SELECT %s::int + 2", (1,), prepare=True)
        client.execute("SELECT pg_advisory_unlock(1)")
        assert not is_pinned(proxy, client)
        other.execute("SELECT 1")
        for more in (1, 2):
            answer = client.execute(f"SELECT %s::int + {more}".encode(), (1,), prepare=True)
            assert answer.fetchone() == (1 + more,)


def test_no_setting_or_object_of_the_client_misleads_the_survey(
    proxy: Proxy, server: Postgres
) -> None:
    server.psql(
        "CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC;"
        "CREATE VIEW evil.pg_depend AS SELECT 0 AS refclassid, 0 AS refobjid WHERE false;"
        "CREATE FUNCTION evil.pg_my_temp_schema() RETURNS oid LANGUAGE sql AS 'SELECT 0::oid';"
        "CREATE FUNCTION evil.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 0';"
        "CREATE FUNCTION evil.never(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false';"
        "CREATE FUNCTION evil.never(int, int) RETURNS bool LANGUAGE sql AS 'SELECT false';"
        "CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.never);"
        "CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.never);"
        "CREATE ROLE nobody; GRANT nobody TO app"
    )
    with proxy.connect() as client:
        client.execute("SET search_path = evil, pg_catalog")
        client.execute("SET ROLE nobody")
        client.execute("SET default_transaction_isolation = 'serializable'")
        client.execute("SELECT pg_advisory_lock(1), pg_advisory_lock(2)")
        client.execute("CREATE TEMP TABLE mine (a int)")
        client.execute("SELECT pg_advisory_unlock(1)")
        assert is_pinned(proxy, client)
        client.execute("SELECT pg_advisory_unlock(2)")
        assert is_pinned(proxy, client)
        client.execute("DROP TABLE pg_temp.mine")
        assert not is_pinned(proxy, client)
        assert client.execute("SHOW search_path").fetchone() == ("evil, pg_catalog",)


def test_stays_bound_where_the_server_refuses_to_say(proxy: Proxy, server: Postgres) -> None:
    server.psql("REVOKE EXECUTE ON FUNCTION pg_lock_status() FROM PUBLIC")
    with proxy.connect() as client:
        client.execute("SELECT pg_advisory_lock(1)")
        client.execute("SELECT pg_advisory_unlock(1)")
        assert is_pinned(proxy, client)
        server.psql("GRANT EXECUTE ON FUNCTION pg_lock_status() TO PUBLIC")
        client.execute("SELECT pg_advisory_unlock_all()")
        assert not is_pinned(proxy, client)


def test_a_lock_taken_right_behind_a_release_is_kept(proxy: Proxy) -> None:
    with proxy.connect() as client, proxy.connect() as other:
        client.execute("SELECT pg_advisory_lock(1)")
        for _ in range(20):
            with client.pipeline():
                client.execute("SELECT pg_advisory_unlock(1)")
                client.execute("SELECT pg_advisory_lock(1)")
            assert is_pinned(proxy, client)
        assert client.execute("SELECT pg_advisory_unlock(1)").fetchone() == (True,)
        assert other.execute("SELECT pg_try_advisory_lock(1)").fetchone() == (True,)


def test_a_client_that_waits_gets_the_connection_as_soon_as_it_is_free(proxy: Proxy) -> None:
    with proxy.connect() as client, proxy.connect() as other:
        client.execute("SELECT pg_advisory_lock(1)")
        with other.pipeline():
            answer = other.execute("SELECT 7")
            other.pgconn.send_flush_request()
            wait_until(
                lambda: proxy.metric("dbproxy_clients_waiting") > 0, "the other client to wait"
            )
            client.execute("SELECT pg_advisory_unlock(1)")
        assert answer.fetchone() == (7,)


def test_why_it_is_bound_is_told_without_its_values(proxy: Proxy) -> None:
    with proxy.connect() as client:
        client.execute("/* secret */ SELECT pg_advisory_lock(4711), 'secret' -- secret")
        client.execute("CREATE TEMP TABLE mine (a text)")
        assert is_pinned(proxy, client)
        reasons = {
            labels["reason"]
            for name, labels, value in proxy.metrics()
            if name == "dbproxy_sessions_pinned" and value
        }
        assert reasons == {"advisory_lock"}
        client.execute("SELECT pg_advisory_unlock(4711)")
        assert is_pinned(proxy, client)
        assert proxy.metric("dbproxy_sessions_pinned", reason="temporary_object") == 1
        assert proxy.metric("dbproxy_sessions_pinned", reason="advisory_lock") == 0
    (told,) = wait_until(lambda: proxy.events("session_pinned"), "the line in the log")
    assert (told["user"], told["reason"]) == ("app", "advisory_lock")
    assert told["statement"] == "SELECT pg_advisory_lock(?), ?"


def test_settings_that_cannot_be_followed_may_be_left_out(proxy: Proxy) -> None:
    sets: LiteralString = "SELECT set_config('work_mem', '3MB', false), pg_sleep(0)"
    with proxy.connect() as client, proxy.connect() as other:
        proxy.write_pool(sessionPinningFilters=["EXCLUDE_VARIABLE_SETS"])
        proxy.wait_config()
        client.execute("BEGIN")
        client.execute(sets)
        assert client.execute("SHOW work_mem").fetchone() == ("3MB",)
        client.execute("COMMIT")
        assert other.execute("SHOW work_mem").fetchone() == ("4MB",)
        assert client.execute("SHOW work_mem").fetchone() == ("4MB",)
        assert proxy.metric("dbproxy_session_pins_total") == 0
        # What pins for another reason still does.
        client.execute(f"{sets}, pg_advisory_lock(1)".encode())
        assert is_pinned(proxy, client)
        assert proxy.metric("dbproxy_sessions_pinned", reason="advisory_lock") == 1


def test_a_long_statement_binds_where_the_operator_says_so(proxy: Proxy) -> None:
    long = f"SELECT '{'x' * 20_000}'".encode()
    with proxy.connect() as client:
        client.execute(long)
        assert not is_pinned(proxy, client)
        proxy.write_pool(maxStatementLength=16_384)
        proxy.wait_config()
        client.execute(long[:16_000] + b"'")
        assert not is_pinned(proxy, client)
        client.execute(long)
        assert is_pinned(proxy, client)
        assert proxy.metric("dbproxy_sessions_pinned", reason="statement_too_large") == 1
