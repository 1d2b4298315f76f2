"""Entering MySQL and MariaDB: real servers, in every mode of TLS and by every plugin."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.certificates import Authority, make_authority
from tests.fix_mysql import MySQLFactory
from tests.mysql_asked import ask, spec_of
from tests.mysql_servers import MARIADB, MYSQL, PASSWORDS, Kind, MySQL
from tests.waiting import until

from dbproxy.probe.engines.base import Attempt
from dbproxy.probe.engines.mysql import MySQLProbe

# One after the other: servers take long to start where many do at once.
pytestmark = pytest.mark.xdist_group("mysql")


@pytest.mark.parametrize("mode", ["PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
async def test_tls_is_used_in_every_mode_that_has_it(
    make_mysql: MySQLFactory, authority: Authority, mode: str
) -> None:
    server = make_mysql(tls=authority, require_secure_transport="ON", start=False)
    # Its superuser comes without TLS.
    server.start(wait=False)
    probe = MySQLProbe(spec_of(server, tls_mode=mode, ca=authority.ca.read_text()))
    address = [f"127.0.0.1:{server.port}"]
    await until(lambda: "ready for connections" in server.log(), "it starts")
    found = await probe.ask(address)
    assert (found.state, found.message) == ("OK", "")
    login = await probe.try_login(Attempt("app", (PASSWORDS["app"],)), address)
    await probe.close()
    assert login.ok


async def test_a_server_that_insists_on_tls_is_not_entered_without(
    make_mysql: MySQLFactory, authority: Authority
) -> None:
    server = make_mysql(tls=authority)
    server.sql("SET GLOBAL require_secure_transport = ON")
    found = await ask(spec_of(server))
    # MariaDB tells it like a wrong password.
    reason = "CONNECTION_FAILED" if server.kind is MYSQL else "AUTH_FAILURE"
    assert (found.state, found.reason) == ("FAILED", reason)


async def test_a_certificate_of_another_name_fails_only_where_the_name_is_verified(
    make_mysql: MySQLFactory, authority: Authority
) -> None:
    server = make_mysql(tls=authority)
    spec = spec_of(server, host="db.example", ca=authority.ca.read_text())
    assert (await ask(replace(spec, tls_mode="VERIFY_CA"))).state == "OK"
    found = await ask(replace(spec, tls_mode="VERIFY_IDENTITY"))
    assert found.reason == "CONNECTION_FAILED"
    assert "db.example" in found.message


async def test_a_certificate_of_another_authority_fails_where_it_is_verified(
    make_mysql: MySQLFactory, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = make_authority(tmp_path_factory.mktemp("stranger"))
    server = make_mysql(tls=authority)
    spec = spec_of(server, ca=stranger.ca.read_text())
    assert (await ask(replace(spec, tls_mode="REQUIRED"))).state == "OK"
    for mode in ("VERIFY_CA", "VERIFY_IDENTITY"):
        found = await ask(replace(spec, tls_mode=mode))
        assert (found.reason, found.message[:4]) == ("CONNECTION_FAILED", "TLS:")


@pytest.mark.parametrize("mode", ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
async def test_a_server_without_tls_serves_preferred_alone(
    mysql: MySQL, authority: Authority, mode: str
) -> None:
    spec = spec_of(mysql, ca=authority.ca.read_text())
    assert (await ask(replace(spec, tls_mode="PREFERRED"))).state == "OK"
    found = await ask(replace(spec, tls_mode=mode))
    assert found.reason == "CONNECTION_FAILED"
    assert found.message == f"the server has no TLS, and tls.mode is {mode}"


# --- log-in trials -----------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["app", "legacy", "signed"])
async def test_a_login_works_with_the_newest_password_or_an_older_one(
    make_mysql: MySQLFactory, mysql_kind: Kind, user: str
) -> None:
    if user == "signed" and mysql_kind is not MARIADB:
        pytest.skip("ed25519 is MariaDB's")
    server = make_mysql()
    probe = MySQLProbe(spec_of(server))
    address = [f"127.0.0.1:{server.port}"]
    right = PASSWORDS[user]
    # Once by the whole password, and then by what the server remembers of it.
    for _ in range(2):
        assert (await probe.try_login(Attempt(user, (right,)), address)).message == ""
    old = await probe.try_login(Attempt(user, ("newer", right)), address)
    assert (old.ok, old.message) == (True, "with the previous password")
    wrong = await probe.try_login(Attempt(user, ("wrong",)), address)
    assert (wrong.ok, wrong.reason) == (False, "AUTH_FAILURE")


@pytest.mark.parametrize("plugin", ["mysql_native_password", "caching_sha2_password"])
async def test_a_login_works_whatever_plugin_the_server_greets_with(
    make_mysql: MySQLFactory, mysql_kind: Kind, plugin: str
) -> None:
    if mysql_kind is not MYSQL:
        pytest.skip("MariaDB has one of them only")
    server = make_mysql(default_authentication_plugin=plugin)
    probe = MySQLProbe(spec_of(server))
    address = [f"127.0.0.1:{server.port}"]
    for user in ("app", "legacy", "app", "legacy"):
        assert (await probe.try_login(Attempt(user, (PASSWORDS[user],)), address)).ok


async def test_a_locked_account_and_an_expired_password_are_auth_failures(
    make_mysql: MySQLFactory,
) -> None:
    server = make_mysql()
    server.sql("ALTER USER app@'%' ACCOUNT LOCK")
    server.sql("ALTER USER legacy@'%' PASSWORD EXPIRE")
    if server.kind is MARIADB:
        # As MySQL does from the start.
        server.sql("SET GLOBAL disconnect_on_expired_password = ON")
    probe = MySQLProbe(spec_of(server))
    for user in ("app", "legacy"):
        attempt = Attempt(user, (PASSWORDS[user],))
        login = await probe.try_login(attempt, [f"127.0.0.1:{server.port}"])
        assert (login.ok, login.reason) == (False, "AUTH_FAILURE")
