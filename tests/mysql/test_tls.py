"""TLS before the proxy and behind it, on MySQL and MariaDB: in all modes, and what a wrong
certificate gets."""

from __future__ import annotations

import contextlib

import pytest
from tests.certificates import Authority, make_authority
from tests.fix_mysql import MySQLFactory
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.answers import entering, value
from tests.mysql_servers import MySQL
from tests.servers import wait_until

NO_TLS = 3159


def encrypted(proxy: MySQLProxy, user: str = "app") -> bool:
    """Whether the database has the client's connection by TLS."""
    with contextlib.closing(proxy.client(user)) as client:
        asked = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
        with contextlib.closing(client.cursor()) as cursor:
            cursor.execute(asked)
            return bool(cursor.fetchone()[1])


def proxy_over(
    make_proxy: MySQLProxyFactory, server: MySQL, mode: str, *, own: Authority | None = None
) -> MySQLProxy:
    """A proxy that trusts `own`; its targets are not waited for."""
    proxy = make_proxy(server, start=False)
    if own is not None:
        proxy.authority = own
        proxy.write_credentials()
    proxy.write_group(tls={"mode": mode})
    proxy.start(ready=False)
    proxy.wait_ready()
    return proxy


@pytest.mark.parametrize("mode", ["PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
def test_every_mode_that_has_tls_uses_it(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory, authority: Authority, mode: str
) -> None:
    server = make_mysql(tls=authority, require_secure_transport="ON")
    proxy = proxy_over(make_mysql_proxy, server, mode)
    proxy.wait_writer()
    # By each plugin, whose rules of what may be said without TLS differ.
    for user in ("app", "legacy"):
        assert encrypted(proxy, user)


def test_disabled_uses_no_tls_even_where_there_is(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory, authority: Authority
) -> None:
    proxy = proxy_over(make_mysql_proxy, make_mysql(tls=authority), "DISABLED")
    proxy.wait_writer()
    assert not encrypted(proxy)


def test_preferred_goes_without_where_there_is_none(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    proxy = proxy_over(make_mysql_proxy, make_mysql(), "PREFERRED")
    proxy.wait_writer()
    assert not encrypted(proxy)


def test_required_refuses_a_database_without_tls(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    proxy = proxy_over(make_mysql_proxy, make_mysql(), "REQUIRED")
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
    make_mysql: MySQLFactory,
    make_mysql_proxy: MySQLProxyFactory,
    tmp_path_factory: pytest.TempPathFactory,
    mode: str,
    names: tuple[str, ...],
    opens: bool,
) -> None:
    own = make_authority(tmp_path_factory.mktemp("own"), names=names)
    proxy = proxy_over(make_mysql_proxy, make_mysql(tls=own), mode, own=own)
    if opens:
        proxy.wait_writer()
        assert encrypted(proxy)
    else:
        proxy.wait_target("db-0", "UNAVAILABLE", reason="CONNECTION_FAILED")


def test_a_certificate_of_another_ca_is_refused(
    make_mysql: MySQLFactory,
    make_mysql_proxy: MySQLProxyFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stranger = make_authority(tmp_path_factory.mktemp("stranger"))
    proxy = proxy_over(make_mysql_proxy, make_mysql(tls=stranger), "VERIFY_CA")
    proxy.wait_target("db-0", "UNAVAILABLE", reason="CONNECTION_FAILED")


def test_a_certificate_that_turns_wrong_is_refused_by_new_connections_too(
    make_mysql: MySQLFactory,
    make_mysql_proxy: MySQLProxyFactory,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = make_mysql(tls=authority)
    proxy = proxy_over(make_mysql_proxy, server, "VERIFY_CA")
    proxy.wait_writer()
    server.enable_tls(make_authority(tmp_path_factory.mktemp("stranger")))
    server.restart()
    proxy.write_pool(connectionBorrowTimeout=1)
    proxy.wait_config()
    wait_until(lambda: entering(proxy) is not None, "nobody comes in")
    proxy.wait_target("db-0", "UNAVAILABLE")


def test_clients_without_tls_are_refused_where_it_is_required(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    proxy = make_mysql_proxy(make_mysql(), requireTLS=True)
    assert entering(proxy, ssl_disabled=True) == NO_TLS
    with contextlib.closing(proxy.client(ssl={"ca": str(proxy.authority.ca)})) as client:
        assert value(client, "SELECT 1") == 1
