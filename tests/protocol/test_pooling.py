"""Connections are shared between transactions, states never between sessions; budgets hold."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import DEADLINE, Postgres, wait_until

Connection = psycopg.Connection[Any]


def pid(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    found: int = row[0]
    return found


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def small(make_postgres: PostgresFactory, make_proxy: ProxyFactory, connections: int) -> Proxy:
    """A proxy that may open so many connections."""
    server = make_postgres(max_connections=connections + 5)
    return make_proxy(server)


def test_one_connection_serves_many_sessions_in_turn(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = small(make_postgres, make_proxy, 1)
    clients = [proxy.connect() for _ in range(20)]
    assert len({pid(client) for client in clients}) == 1
    for client in clients:
        client.close()


def test_the_budget_is_never_exceeded(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)
    proxy.write_pool(maxConnectionsPercent=10)
    proxy.wait_config()
    most = 0

    def use() -> None:
        with proxy.connect() as connection:
            for _ in range(20):
                connection.execute("SELECT pg_sleep(0.002)")

    threads = [in_thread(use) for _ in range(30)]
    while any(thread.is_alive() for thread in threads):
        most = max(most, server.backends())
    # 10 % of (50 - 3 reserved - 2 probes)
    assert most <= 4 + 1  # one log-in check of the agent
    assert proxy.metric("dbproxy_max_database_connections_allowed", target="db-0") == 4


def test_a_lowered_limit_closes_what_is_above_it_once_it_is_free(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres())

    def connections() -> float:
        return proxy.metric("dbproxy_database_connections", target="db-0")

    clients = [proxy.connect() for _ in range(8)]
    for client in clients:
        client.execute("BEGIN")
        client.execute("SELECT 1")
    for client in clients[:2]:
        client.execute("COMMIT")
    assert connections() == 8
    proxy.write_pool(maxConnectionsPercent=10)
    proxy.wait_config()
    wait_until(lambda: connections() == 6, "the idle ones are closed")
    for client in clients[2:]:
        client.execute("COMMIT")
    wait_until(lambda: connections() == 4, "those that came free are closed")
    for client in clients:
        client.execute("SELECT 1")
        client.close()
    assert proxy.metric("dbproxy_database_connections_closed_total", reason="over_limit") == 4


def test_no_connection_within_the_borrow_timeout_is_told_and_the_client_stays(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = small(make_postgres, make_proxy, 1)
    with proxy.connect() as waiting, proxy.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 1")
        proxy.write_pool(connectionBorrowTimeout=1)
        proxy.wait_config()
        began = time.monotonic()
        with pytest.raises(psycopg.errors.TooManyConnections) as caught:
            waiting.execute("SELECT 1")
        assert 0.9 < time.monotonic() - began < 15
        assert str(caught.value) == "Timed-out waiting to acquire database connection."
        holder.execute("COMMIT")
        assert waiting.execute("SELECT 1").fetchone() == (1,)
    assert proxy.metric("dbproxy_borrow_timeouts_total") == 1


def test_a_waiting_client_is_served_when_a_connection_comes_free(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = small(make_postgres, make_proxy, 1)
    with proxy.connect() as waiting, proxy.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 1")
        answers: list[object] = []
        thread = in_thread(lambda: answers.append(waiting.execute("SELECT 7").fetchone()))
        wait_until(lambda: proxy.metric("dbproxy_clients_waiting") == 1, "it waits")
        holder.execute("COMMIT")
        thread.join(DEADLINE)
        assert answers == [(7,)]


PINS: list[tuple[str, list[LiteralString]]] = [
    ("session_setting", ["SET temp_buffers = '5MB'"]),
    ("session_setting", ["SELECT set_config('work_mem', '5MB', false) FROM pg_class LIMIT 1"]),
    ("sql_prepare", ["SELECT 1; PREPARE one AS SELECT 1"]),
    ("temporary_object", ["CREATE TEMP TABLE pinned (id int)"]),
    ("temporary_object", ["SELECT 1 AS one INTO TEMP pinned"]),
    ("held_cursor", ["DECLARE held CURSOR WITH HOLD FOR SELECT 1"]),
    ("advisory_lock", ["SELECT pg_advisory_lock(4711)"]),
    ("session_function", ["SELECT setseed(0.5)"]),
]


@pytest.mark.parametrize(("reason", "texts"), PINS, ids=[f"{r}-{t[-1][:20]}" for r, t in PINS])
def test_what_leaves_state_in_the_session_pins_it_with_its_reason(
    proxy: Proxy, reason: str, texts: list[LiteralString]
) -> None:
    before = proxy.metric("dbproxy_session_pins_total", reason=reason)
    with proxy.connect() as connection:
        own = pid(connection)
        for text in texts:
            connection.execute(text)
        own = pid(connection)
        with proxy.connect() as other:
            assert pid(other) != own
        assert pid(connection) == own
        assert proxy.metric("dbproxy_session_pins_total", reason=reason) == before + 1
        assert proxy.metric("dbproxy_sessions_pinned") == 1
    wait_until(lambda: proxy.metric("dbproxy_sessions_pinned") == 0, "the pin ends")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "BEGIN; SET LOCAL work_mem = '5MB'; COMMIT",
        "SET work_mem = '5MB'",
        "SELECT set_config('work_mem', '5MB', false)",
        "SELECT set_config('my.tenant', '5', true)",
        "SET ROLE app",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
        "DISCARD ALL",
        "SELECT pg_advisory_xact_lock(1)",
        "SHOW work_mem",
        "EXPLAIN SELECT 1",
        "BEGIN; DECLARE gone CURSOR FOR SELECT 1; COMMIT",
    ],
)
def test_what_leaves_no_state_does_not_pin(proxy: Proxy, text: LiteralString) -> None:
    before = proxy.metric("dbproxy_session_pins_total")
    with proxy.connect() as connection:
        connection.execute(text)
        assert proxy.metric("dbproxy_session_pins_total") == before


def test_named_statements_of_many_clients_share_few_connections(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = small(make_postgres, make_proxy, 2)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxy.connect(prepare_threshold=0)) for _ in range(6)]
        for number in range(30):
            client = clients[number % len(clients)]
            text: LiteralString = "SELECT %s::int" if number % 2 else "SELECT %s::int + 1"
            wanted = number if number % 2 else number + 1
            assert client.execute(text, (number,)).fetchone() == (wanted,)
        clients[0].execute("DEALLOCATE ALL")
        assert clients[1].execute("SELECT %s::int", (7,)).fetchone() == (7,)
    assert proxy.metric("dbproxy_session_pins_total") == 0


def test_a_pinned_session_leaves_nothing_behind_for_the_next(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = small(make_postgres, make_proxy, 1)
    with proxy.connect() as connection:
        connection.execute("SET work_mem = '5MB'")
        connection.execute("CREATE TEMP TABLE leftover (id int)")
        connection.execute("PREPARE left_over AS SELECT 1")
        connection.execute("SELECT pg_advisory_lock(4712)")
        connection.execute("LISTEN left_over")
    with proxy.connect() as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("4MB",)
        assert connection.execute("SELECT to_regclass('leftover')").fetchone() == (None,)
        for view in ("pg_prepared_statements", "pg_listening_channels()"):
            query = f"SELECT count(*) FROM {view}"
            assert connection.execute(query).fetchone() == (0,)
        free = connection.execute("SELECT pg_try_advisory_xact_lock(4712)").fetchone()
        assert free == (True,)


def test_a_client_that_vanishes_in_a_transaction_leaves_it_rolled_back(
    proxy: Proxy, postgres: Postgres
) -> None:
    postgres.psql("CREATE TABLE IF NOT EXISTS vanished (id int)")
    postgres.psql("GRANT ALL ON vanished TO app")
    connection = proxy.connect()
    connection.execute("BEGIN")
    connection.execute("INSERT INTO vanished VALUES (1)")
    own = pid(connection)
    connection.pgconn.finish()
    wait_until(
        lambda: (
            not postgres.psql(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND xact_start IS NOT NULL", own
            )
        ),
        "its transaction ends",
    )
    assert postgres.value("SELECT count(*) FROM vanished") == 0


def test_startup_settings_are_part_of_the_pool_key(proxy: Proxy) -> None:
    with proxy.connect(options="-c TimeZone=Asia/Tokyo") as tokyo, proxy.connect() as utc:
        for _ in range(3):
            assert tokyo.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)
            assert utc.execute("SHOW TimeZone").fetchone() != ("Asia/Tokyo",)


def test_each_session_has_its_application_name(proxy: Proxy) -> None:
    with proxy.connect(application_name="one") as one, proxy.connect(application_name="two") as two:
        for _ in range(3):
            assert one.execute("SHOW application_name").fetchone() == ("one",)
            assert two.execute("SHOW application_name").fetchone() == ("two",)


def test_the_init_query_ran_on_each_connection(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres())
    proxy.write_pool(initQuery="SET lock_timeout = '4321ms'")
    proxy.wait_config()
    with proxy.connect() as one, proxy.connect() as two:
        one.execute("BEGIN")
        for connection in (one, two):
            assert connection.execute("SHOW lock_timeout").fetchone() == ("4321ms",)


def test_the_init_query_runs_again_after_a_pinned_session_was_cleaned(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = small(make_postgres, make_proxy, 1)
    proxy.write_pool(initQuery="SET lock_timeout = '4321ms'")
    proxy.wait_config()
    with proxy.connect() as connection:
        connection.execute("SET lock_timeout = '1s'")
    with proxy.connect() as connection:
        assert connection.execute("SHOW lock_timeout").fetchone() == ("4321ms",)


def test_an_idle_client_is_closed_after_its_timeout(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), idleClientTimeout=3)
    connection = proxy.connect()
    began = time.monotonic()
    connection.execute("SELECT 1")
    wait_until(
        lambda: proxy.metric("dbproxy_client_connections_closed_total", reason="idle_timeout") == 1,
        "it is closed",
    )
    assert time.monotonic() - began > 2.8
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_a_cancel_reaches_the_running_statement(proxy: Proxy, postgres: Postgres) -> None:
    running = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT pg_sleep'"
    with proxy.connect() as connection:

        def cancel() -> None:
            wait_until(lambda: postgres.psql(running), "it runs")
            connection.cancel_safe()

        thread = in_thread(cancel)
        began = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        assert time.monotonic() - began < 25
        thread.join(DEADLINE)
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_cancel_of_a_waiting_request_takes_it_off_the_queue(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = small(make_postgres, make_proxy, 1)
    with proxy.connect() as waiting, proxy.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 1")

        def cancel() -> None:
            wait_until(lambda: proxy.metric("dbproxy_clients_waiting") == 1, "it waits")
            waiting.cancel_safe()

        thread = in_thread(cancel)
        with pytest.raises(psycopg.errors.QueryCanceled):
            waiting.execute("SELECT 1")
        thread.join(10)
        holder.execute("COMMIT")
        assert waiting.execute("SELECT 1").fetchone() == (1,)


def test_a_cancel_of_an_idle_session_hits_nobody(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = small(make_postgres, make_proxy, 1)
    with proxy.connect() as idle, proxy.connect() as busy:
        idle.execute("SELECT 1")

        def cancel() -> None:
            for _ in range(20):
                idle.cancel_safe()

        thread = in_thread(cancel)
        for _ in range(50):
            assert busy.execute("SELECT pg_sleep(0.01)").fetchone() == ("",)
        thread.join(10)


def test_databases_do_not_mix(proxy: Proxy) -> None:
    with proxy.connect(dbname="app") as one, proxy.connect(dbname="second") as two:
        for _ in range(3):
            assert one.execute("SELECT current_database()").fetchone() == ("app",)
            assert two.execute("SELECT current_database()").fetchone() == ("second",)


def test_an_idle_connection_of_one_user_makes_room_for_another(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = small(make_postgres, make_proxy, 1)
    with proxy.connect("app") as one, proxy.connect("other") as two:
        for _ in range(3):
            assert one.execute("SELECT current_user").fetchone() == ("app",)
            assert two.execute("SELECT current_user").fetchone() == ("other",)
