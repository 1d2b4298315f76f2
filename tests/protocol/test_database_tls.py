"""TLS towards the database, in all five modes, and what a wrong certificate gets."""

from __future__ import annotations

import psycopg
import pytest
from tests.certificates import Authority, make_authority
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import HBA, Postgres, wait_until

TLS_ONLY = HBA.replace("host all all", "hostssl all app").strip() + (
    "\nhostssl all monitor 127.0.0.1/32 scram-sha-256"
    "\nhost all postgres 127.0.0.1/32 scram-sha-256\n"
)


def encrypted(proxy: Proxy) -> bool:
    with proxy.connect() as connection:
        row = connection.execute(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
        assert row is not None
        return bool(row[0])


def proxy_over(
    make_proxy: ProxyFactory, server: Postgres, mode: str, *, opens: bool = True
) -> Proxy:
    proxy = make_proxy(server, start=False)
    proxy.write_group(tls={"mode": mode})
    proxy.start(ready=opens)
    return proxy


@pytest.mark.parametrize("mode", ["PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
def test_every_mode_that_has_tls_uses_it(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, authority: Authority, mode: str
) -> None:
    server = make_postgres(tls=authority, start=False)
    server.set_hba(TLS_ONLY)
    server.start()
    assert encrypted(proxy_over(make_proxy, server, mode))


def test_disabled_uses_no_tls_even_where_there_is(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, authority: Authority
) -> None:
    assert not encrypted(proxy_over(make_proxy, make_postgres(tls=authority), "DISABLED"))


def test_preferred_goes_without_where_there_is_none(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    assert not encrypted(proxy_over(make_proxy, make_postgres(), "PREFERRED"))


def test_required_refuses_a_database_without_tls(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    proxy = proxy_over(make_proxy, make_postgres(), "REQUIRED", opens=False)
    proxy.wait_ready()
    proxy.wait_target("db-0", "UNAVAILABLE", reason="CONNECTION_FAILED")


@pytest.mark.parametrize(
    ("mode", "names", "opens"),
    [
        ("VERIFY_CA", ("db.example",), True),
        ("VERIFY_IDENTITY", ("db.example",), False),
        ("VERIFY_IDENTITY", ("127.0.0.1",), True),
    ],
)
def test_names_are_verified_by_the_mode_that_verifies_them(
    make_postgres: PostgresFactory,
    make_proxy: ProxyFactory,
    tmp_path_factory: pytest.TempPathFactory,
    mode: str,
    names: tuple[str, ...],
    opens: bool,
) -> None:
    own = make_authority(tmp_path_factory.mktemp("own"), names=names)
    proxy = make_proxy(make_postgres(tls=own), start=False)
    proxy.authority = own
    proxy.write_credentials()
    proxy.write_group(tls={"mode": mode})
    proxy.start(ready=opens)
    if opens:
        assert encrypted(proxy)
    else:
        proxy.wait_ready()
        proxy.wait_target("db-0", "UNAVAILABLE", reason="CONNECTION_FAILED")


def test_a_certificate_of_another_ca_is_refused(
    make_postgres: PostgresFactory,
    make_proxy: ProxyFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stranger = make_authority(tmp_path_factory.mktemp("stranger"))
    proxy = proxy_over(make_proxy, make_postgres(tls=stranger), "VERIFY_CA", opens=False)
    proxy.wait_ready()
    proxy.wait_target("db-0", "UNAVAILABLE", reason="CONNECTION_FAILED")
    proxy.write_pool(connectionBorrowTimeout=1)
    proxy.wait_config()
    with pytest.raises(psycopg.OperationalError):
        proxy.connect()


def test_a_certificate_that_is_its_own_authority_is_refused_and_told_why(
    make_postgres: PostgresFactory,
    make_proxy: ProxyFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    alone = make_authority(tmp_path_factory.mktemp("alone"), alone=True)
    proxy = make_proxy(make_postgres(tls=alone), start=False)
    proxy.authority = alone
    proxy.write_credentials()
    proxy.write_group(tls={"mode": "VERIFY_CA"})
    proxy.write_pool(connectionBorrowTimeout=1)
    proxy.start()
    with pytest.raises(psycopg.OperationalError):
        proxy.connect()

    def told_why() -> bool:
        failures = proxy.events("backend_failed")
        return any("CaUsedAsEndEntity" in failure["message"] for failure in failures)

    wait_until(told_why, "the log says why")


def test_the_proxys_certificate_is_replaced_while_clients_stay(
    make_postgres: PostgresFactory,
    make_proxy: ProxyFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    proxy = make_proxy(make_postgres())
    before = proxy.connect(sslmode="verify-full", sslrootcert=proxy.authority.ca)
    fresh = make_authority(tmp_path_factory.mktemp("fresh"))
    old = proxy.authority
    proxy.authority = fresh
    proxy.write_credentials()
    proxy.wait_config()
    with proxy.connect(sslmode="verify-full", sslrootcert=fresh.ca) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        proxy.connect(sslmode="verify-full", sslrootcert=old.ca)
    assert before.execute("SELECT 1").fetchone() == (1,)
    before.close()
