"""Logging in through the proxy: real clients, all methods, and what a refused one is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess

import asyncpg
import psycopg
import psycopg2  # type: ignore[import-untyped]
import pytest
from psycopg import sql
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.raw_client import (
    GSS_REQUEST,
    SSL_REQUEST,
    RawClient,
    cstring,
    message,
    salted_password,
    special,
    startup,
)
from tests.servers import HOST, PASSWORDS, Postgres, wait_until


def refusal(dsn: str) -> psycopg.OperationalError:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(dsn).close()
    return caught.value


def test_psql_runs_a_query(proxy: Proxy) -> None:
    done = subprocess.run(
        ["psql", "--no-psqlrc", "-At", "-c", "SELECT current_user, 6 * 7", proxy.dsn()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "app|42\n", "")


@pytest.mark.parametrize("user", ["app", "other", "legacy"])
def test_each_user_logs_in_with_its_method(proxy: Proxy, user: str) -> None:
    with proxy.connect(user) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)


async def test_asyncpg_logs_in(proxy: Proxy) -> None:
    connection = await asyncpg.connect(
        host=HOST, port=proxy.port, user="app", password=PASSWORDS["app"], database="app", ssl=False
    )
    assert await connection.fetchval("SELECT 1 + $1::int", 41) == 42
    await connection.close()


def test_psycopg2_logs_in(proxy: Proxy) -> None:
    connection = psycopg2.connect(proxy.dsn())
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s + 1", (41,))
        assert cursor.fetchone() == (42,)
    connection.close()


def test_a_wrong_password_is_refused(proxy: Proxy) -> None:
    error = refusal(proxy.dsn(password="wrong"))
    assert 'password authentication failed for user "app"' in str(error)


def exchange(proxy: Proxy, user: str) -> list[tuple[bytes, int]]:
    """Kinds and sizes of all that a client with a wrong password is told."""
    with RawClient(HOST, proxy.port) as client:
        told: list[tuple[bytes, int]] = []
        client.send(startup(user))
        kind, payload = client.read()
        told.append((kind, len(payload)))
        first = b"n,,n=,r=rOprNGfwEbeRWgbNEkqO"
        length = len(first).to_bytes(4, "big")
        client.send(message(b"p", cstring("SCRAM-SHA-256") + length + first))
        kind, payload = client.read()
        told.append((kind, len(payload)))
        nonce = payload[4:].split(b",")[0]
        client.send(message(b"p", b"c=biws," + nonce + b",p=" + b"A" * 43 + b"="))
        for kind, payload in client.closed():
            told.append((kind, len(payload)))
            assert b"C28P01\0" in payload
        return told


def test_a_wrong_password_and_an_unknown_user_look_the_same(proxy: Proxy) -> None:
    assert exchange(proxy, "app") == exchange(proxy, "apq")


def test_a_wrong_password_costs_no_database_connection(proxy: Proxy, postgres: Postgres) -> None:
    def arrivals() -> int:
        return postgres.log().count("user=other")

    before = arrivals()
    refusal(proxy.dsn("other", password="wrong"))
    refusal(proxy.dsn("other", "second", password="wrong"))
    assert arrivals() == before
    assert proxy.metric("dbproxy_client_connections_setup_failed_auth_total") >= 2


def verifier(password: str, rounds: int) -> str:
    """What PostgreSQL stores of a password with `scram_iterations = rounds`."""
    salt = b"0123456789abcdef"
    salted = salted_password(password, salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    keys = (stored, hmac.digest(salted, b"Server Key", "sha256"))
    salt_text, *key_texts = (base64.b64encode(part).decode() for part in (salt, *keys))
    return f"SCRAM-SHA-256${rounds}:{salt_text}${':'.join(key_texts)}"


def test_a_role_may_have_any_usual_count_of_scram_iterations(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)
    for rounds in (1, 4096, 100_001, 600_000):
        stored = verifier(PASSWORDS["app"], rounds)
        with server.connect() as superuser:
            superuser.execute(sql.SQL("ALTER ROLE app PASSWORD {}").format(stored))
        # A setting of its own, for which the proxy logs in anew.
        with proxy.connect(options=f"-c test.rounds={rounds}") as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("app",)


def test_who_sends_no_initial_response_is_asked_for_it(proxy: Proxy, postgres: Postgres) -> None:
    for port in (postgres.port, proxy.port):
        with RawClient(HOST, port) as client:
            client.send(startup("app"))
            client.read()
            client.send(message(b"p", cstring("SCRAM-SHA-256") + b"\xff" * 4))
            assert client.read() == (b"R", b"\0\0\0\x0b")
            client.send(message(b"p", b"n,,n=,r=rOprNGfwEbeRWgbNEkqO"))
            kind, payload = client.read()
            assert (kind, payload[:4]) == (b"R", b"\0\0\0\x0b")
            assert payload[4:].startswith(b"r=rOprNGfwEbeRWgbNEkqO")


def test_what_the_database_says_of_a_log_in_is_passed_on(proxy: Proxy) -> None:
    error = refusal(proxy.dsn(dbname="nowhere"))
    assert 'database "nowhere" does not exist' in str(error)


def test_a_client_without_tls_is_refused_where_it_is_required(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = make_proxy(make_postgres(), requireTLS=True)
    with RawClient(HOST, proxy.port) as client:
        client.send(startup("app"))
        error = client.error()
    assert (error["C"], error["M"]) == ("28000", "This RDS Proxy requires TLS connections.")
    with proxy.connect(sslmode="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_client_over_tls_verifies_the_proxy(proxy: Proxy) -> None:
    with proxy.connect(sslmode="verify-full", sslrootcert=proxy.authority.ca) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_tls_logs_in_bound_to_the_certificate(proxy: Proxy) -> None:
    with proxy.connect(sslmode="require", channel_binding="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_gss_encryption_is_declined_and_the_client_goes_on(proxy: Proxy) -> None:
    with RawClient(HOST, proxy.port) as client:
        client.send(special(GSS_REQUEST))
        assert client.byte() == b"N"
        client.login("app", PASSWORDS["app"])


def test_tls_is_offered(proxy: Proxy) -> None:
    with RawClient(HOST, proxy.port) as client:
        client.send(special(SSL_REQUEST))
        assert client.byte() == b"S"


def test_replication_is_refused_with_a_reason(proxy: Proxy) -> None:
    error = refusal(proxy.dsn(replication="database"))
    assert "doesn't support streaming replication mode" in str(error)


def test_a_packet_without_a_user_is_refused(proxy: Proxy) -> None:
    with RawClient(HOST, proxy.port) as client:
        client.send(special(196_608, cstring("database", "app") + b"\0"))
        assert client.error()["C"] == "28000"
        assert client.closed() == []


def test_an_old_protocol_is_refused(proxy: Proxy) -> None:
    with RawClient(HOST, proxy.port) as client:
        client.send(special(131_072, b"\0"))
        assert client.error()["C"] == "0A000"


def test_a_client_is_told_the_parameters_that_the_database_would_tell(
    proxy: Proxy, postgres: Postgres
) -> None:
    options = {"application_name": "shop", "TimeZone": "Asia/Tokyo", "DateStyle": "SQL, DMY"}
    told = []
    for port in (postgres.port, proxy.port):
        with RawClient(HOST, port) as client:
            client.login("app", PASSWORDS["app"], **options)
            told.append(client.parameters)
    assert told[0] == told[1]
    assert told[1]["TimeZone"] == "Asia/Tokyo"


def test_startup_options_reach_the_database(proxy: Proxy) -> None:
    with proxy.connect(options="-c statement_timeout=1234 -c work_mem=5MB") as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("1234ms",)
        assert connection.execute("SHOW work_mem").fetchone() == ("5MB",)
    with proxy.connect() as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_wrong_startup_option_is_answered_by_the_database(proxy: Proxy) -> None:
    error = refusal(proxy.dsn(options="-c no_such_thing=1"))
    assert 'unrecognized configuration parameter "no_such_thing"' in str(error)


def test_each_user_sees_its_own_session(proxy: Proxy) -> None:
    with proxy.connect("app") as one, proxy.connect("other") as two:
        for _ in range(3):
            assert one.execute("SELECT session_user").fetchone() == ("app",)
            assert two.execute("SELECT session_user").fetchone() == ("other",)


def test_many_clients_share_few_connections(proxy: Proxy, postgres: Postgres) -> None:
    clients = [proxy.connect() for _ in range(100)]
    assert all(client.execute("SELECT 1").fetchone() == (1,) for client in clients)
    assert postgres.backends() < 46
    for client in clients:
        client.close()


@pytest.mark.parametrize("by_proxy", [True, False])
def test_new_clients_have_the_new_defaults_of_their_role_and_who_is_in_a_transaction_goes_on(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, *, by_proxy: bool
) -> None:
    server = make_postgres()
    proxy = make_proxy(server)

    def shown() -> tuple[object, ...] | None:
        with proxy.connect() as client:
            shows = "SELECT current_setting('TimeZone'), current_setting('work_mem')"
            row = client.execute(shows).fetchone()
            return row and (client.info.parameter_status("TimeZone"), *row)

    with proxy.connect() as inside:
        assert shown() != ("Asia/Kathmandu", "Asia/Kathmandu", "5MB")
        inside.execute("BEGIN")
        pid = inside.execute("SELECT pg_backend_pid()").fetchone()
        with proxy.connect() if by_proxy else server.connect() as direct:
            direct.execute("ALTER ROLE app SET TimeZone = 'Asia/Kathmandu'")
            direct.execute("ALTER ROLE app SET work_mem = '5MB'")
        wanted = ("Asia/Kathmandu", "Asia/Kathmandu", "5MB")
        wait_until(lambda: shown() == wanted, "the new defaults")
        assert inside.execute("SELECT pg_backend_pid()").fetchone() == pid
        inside.execute("COMMIT")
