"""PostgreSQL asked for health and role: real servers, in each state that they can be in."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import LiteralString

import pytest
from tests.certificates import Authority
from tests.fix_postgres import PostgresFactory
from tests.servers import PASSWORDS, Postgres, free_port
from tests.waiting import until

from dbproxy.dataplane import backend_login
from dbproxy.facts import Probe, ServerFacts
from dbproxy.probe.engines import standing as standing_module
from dbproxy.probe.engines.base import Attempt, ProbeSpec, failure_of, resolve
from dbproxy.probe.engines.postgres import PostgresProbe


def spec_of(server: Postgres, **changes: object) -> ProbeSpec:
    spec = ProbeSpec(
        name=server.name,
        host="127.0.0.1",
        port=server.port,
        user="monitor",
        passwords=(PASSWORDS["monitor"],),
        tls_mode="DISABLED",
        ca=None,
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


def probe_of(spec: ProbeSpec) -> PostgresProbe:
    return PostgresProbe(spec, backend_login)


async def ask(spec: ProbeSpec) -> Probe:
    probe = probe_of(spec)
    try:
        return await probe.ask([f"127.0.0.1:{spec.port}"])
    finally:
        await probe.close()


@pytest.fixture
async def standing(postgres: Postgres) -> AsyncIterator[PostgresProbe]:
    """A probe whose connection stands."""
    probe = probe_of(spec_of(postgres))
    assert (await probe.ask([f"127.0.0.1:{postgres.port}"])).state == "OK"
    yield probe
    await probe.close()


async def test_a_writer_tells_its_size_and_timeline(postgres: Postgres) -> None:
    server = (await ask(spec_of(postgres))).server
    assert server is not None
    assert replace(server, defaults="") == ServerFacts(
        in_recovery=False, max_connections=50, reserved_connections=3, timeline=1
    )


async def test_a_replica_tells_that_it_is_one_and_its_lag(make_postgres: PostgresFactory) -> None:
    replica = make_postgres.replica_of(make_postgres())
    server = (await ask(spec_of(replica))).server
    assert server is not None
    facts = ServerFacts(True, 50, 3, timeline=None, replay_lag=0.0)
    assert replace(server, defaults="") == facts


@pytest.mark.parametrize(
    "change",
    [
        "ALTER ROLE app SET work_mem = '5MB'",
        "ALTER ROLE app RESET work_mem",
        "ALTER DATABASE app SET work_mem = '5MB'",
        "ALTER ROLE app IN DATABASE app SET work_mem = '6MB'",
        "ALTER ROLE other RENAME TO another",
        "ALTER ROLE app VALID UNTIL '2040-01-01'",
        "ALTER ROLE app NOLOGIN",
    ],
)
async def test_what_new_sessions_begin_with_is_told_apart_from_what_they_began_with(
    make_postgres: PostgresFactory, change: LiteralString
) -> None:
    server = make_postgres()
    server.psql("ALTER ROLE app SET work_mem = '4MB'")
    spec = spec_of(server)

    async def told() -> str:
        found = (await ask(spec)).server
        assert found is not None
        return found.defaults

    before = await told()
    assert await told() == before
    server.psql(change)
    assert await told() != before


async def test_a_promoted_replica_has_the_higher_timeline_at_once(
    make_postgres: PostgresFactory,
) -> None:
    replica = make_postgres.replica_of(make_postgres())
    await asyncio.to_thread(replica.promote)
    server = (await ask(spec_of(replica))).server
    assert server is not None
    assert server.timeline == 2


async def test_the_standing_connection_is_used_again(
    standing: PostgresProbe, postgres: Postgres
) -> None:
    own = "SELECT pid FROM pg_stat_activity WHERE usename = 'monitor' ORDER BY backend_start DESC"
    newest = postgres.value(own)
    for _ in range(3):
        await standing.ask([f"127.0.0.1:{postgres.port}"])
    assert postgres.value(own) == newest


async def test_a_connection_that_was_ended_is_opened_again_within_one_probe(
    standing: PostgresProbe, postgres: Postgres
) -> None:
    postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='monitor'")
    assert (await standing.ask([f"127.0.0.1:{postgres.port}"])).state == "OK"


async def test_a_target_that_moved_is_asked_at_its_new_address(
    make_postgres: PostgresFactory,
) -> None:
    old, new = make_postgres("old"), make_postgres("new", max_connections=33)
    probe = probe_of(spec_of(old))
    await probe.ask([f"127.0.0.1:{old.port}"])
    found = await probe.ask([f"127.0.0.1:{new.port}"])
    await probe.close()
    assert found.server is not None
    assert found.server.max_connections == 33


async def test_a_refused_connection_is_unreachable_and_decisive() -> None:
    probe = probe_of(ProbeSpec("db", "127.0.0.1", 1, "u", ("p",), "DISABLED", None))
    found = await probe.ask([f"127.0.0.1:{free_port()}"])
    assert (found.reason, found.decisive) == ("UNREACHABLE", True)


async def test_a_wrong_password_is_an_auth_failure(postgres: Postgres) -> None:
    found = await ask(spec_of(postgres, passwords=("wrong",)))
    assert found.reason == "AUTH_FAILURE"
    assert "wrong" not in found.message


async def test_a_frozen_server_misses_its_deadline(
    make_postgres: PostgresFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_postgres()
    probe = probe_of(spec_of(server))
    addresses = [f"127.0.0.1:{server.port}"]
    assert (await probe.ask(addresses)).state == "OK"
    server.freeze()
    with monkeypatch.context() as impatient:
        impatient.setattr(standing_module, "QUERY_DEADLINE", 0.1)
        found = await probe.ask(addresses)
    assert (found.state, found.reason, found.decisive) == ("FAILED", "UNREACHABLE", False)
    server.thaw()
    assert (await probe.ask(addresses)).state == "OK"
    await probe.close()


async def test_a_full_server_is_not_taken_for_gone(make_postgres: PostgresFactory) -> None:
    server = make_postgres(max_connections=9, superuser_reserved_connections=3, max_wal_senders=0)
    clients = [server.connect("app") for _ in range(6)]
    found = await ask(spec_of(server))
    for client in clients:
        client.close()
    assert (found.reason, found.decisive) == ("CONNECTION_FAILED", False)


async def test_an_aborted_probe_sends_nothing_more_and_comes_back(postgres: Postgres) -> None:
    probe = probe_of(spec_of(postgres))
    address = [f"127.0.0.1:{postgres.port}"]
    asking = asyncio.ensure_future(probe.ask(address))
    await asyncio.sleep(0)
    probe.abort()
    assert (await asking).state == "FAILED"
    assert (await probe.ask(address)).state == "OK"
    await probe.close()


async def test_a_database_named_postgres_is_not_needed(make_postgres: PostgresFactory) -> None:
    server = make_postgres()
    server.psql("DROP DATABASE postgres WITH (FORCE)")
    assert (await ask(spec_of(server))).state == "OK"


@pytest.mark.parametrize("mode", ["PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
async def test_tls_is_used_in_every_mode_that_has_it(
    make_postgres: PostgresFactory, authority: Authority, mode: str
) -> None:
    server = make_postgres(tls=authority)
    server.set_hba("hostssl all monitor 127.0.0.1/32 scram-sha-256\n"
                   "host all postgres 127.0.0.1/32 scram-sha-256\n")  # fmt: skip
    server.restart()
    found = await ask(spec_of(server, tls_mode=mode, ca=authority.ca.read_text()))
    assert found.state == "OK"


async def test_a_certificate_of_another_name_fails_only_where_the_name_is_verified(
    make_postgres: PostgresFactory, authority: Authority
) -> None:
    server = make_postgres(tls=authority)
    spec = spec_of(server, host="db.example", ca=authority.ca.read_text())
    assert (await ask(replace(spec, tls_mode="VERIFY_CA"))).state == "OK"
    found = await ask(replace(spec, tls_mode="VERIFY_IDENTITY"))
    assert found.reason == "CONNECTION_FAILED"
    assert "db.example" in found.message


async def test_a_server_without_tls_serves_preferred_and_fails_required(
    postgres: Postgres,
) -> None:
    assert (await ask(spec_of(postgres, tls_mode="PREFERRED"))).state == "OK"
    assert (await ask(spec_of(postgres, tls_mode="REQUIRED"))).reason == "CONNECTION_FAILED"


async def test_a_login_works_with_the_newest_password_or_an_older_one(postgres: Postgres) -> None:
    probe = probe_of(spec_of(postgres))
    address = [f"127.0.0.1:{postgres.port}"]
    right = PASSWORDS["app"]
    assert (await probe.try_login(Attempt("app", (right,)), address)).message == ""
    old = await probe.try_login(Attempt("app", ("newer", right)), address)
    assert (old.ok, old.message) == (True, "with the previous password")
    wrong = await probe.try_login(Attempt("app", ("wrong",)), address)
    assert (wrong.ok, wrong.reason) == (False, "AUTH_FAILURE")


async def test_a_user_without_a_database_of_its_own_is_logged_in_all_the_same(
    make_postgres: PostgresFactory,
) -> None:
    server = make_postgres()
    server.psql("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    probe = probe_of(spec_of(server))
    login = await probe.try_login(Attempt("app", (PASSWORDS["app"],)), [f"127.0.0.1:{server.port}"])
    assert login.ok


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_our_own_lack_of_resources_is_no_fault_of_the_target(number: int) -> None:
    assert failure_of(OSError(number, "x")).local


def test_a_name_that_does_not_exist_is_decisive_and_a_resolver_that_is_down_is_not() -> None:
    assert failure_of(socket.gaierror(socket.EAI_NONAME, "unknown")).decisive
    assert not failure_of(socket.gaierror(socket.EAI_AGAIN, "later")).decisive


@pytest.mark.parametrize("host", ["db..example", ".db", "a" * 64 + ".example"])
async def test_a_name_that_cannot_be_one_does_not_resolve(host: str) -> None:
    with pytest.raises(socket.gaierror) as caught:
        await resolve(host, 5432)
    failure = failure_of(caught.value)
    assert (failure.reason, failure.decisive) == ("UNREACHABLE", True)
    assert failure.message == "the host name does not resolve: it is not a host name"


async def test_an_address_needs_no_resolver() -> None:
    assert await resolve("10.1.2.3", 5432) == ("10.1.2.3:5432",)
    assert await resolve("fd00::1", 5432) == ("[fd00::1]:5432",)
    assert "127.0.0.1:5432" in await resolve("localhost", 5432)


async def test_a_previous_password_is_used_while_the_newest_is_refused(postgres: Postgres) -> None:
    found = await ask(spec_of(postgres, passwords=("newest", PASSWORDS["monitor"])))
    assert found.state == "OK"
    assert found.message.startswith("the monitor's new password does not work: ")


async def test_the_standing_connection_stays_until_new_credentials_work(
    make_postgres: PostgresFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing_module, "RENEW_AGAIN", 0.0)
    server = make_postgres()
    address = [f"127.0.0.1:{server.port}"]
    probe = probe_of(spec_of(server))
    assert (await probe.ask(address)).state == "OK"
    probe.renew(spec_of(server, passwords=("renewed",)))
    for _ in range(2):
        found = await probe.ask(address)
        assert (found.state, found.message[:11]) == ("OK", "the monitor")
    await asyncio.to_thread(server.psql, "ALTER ROLE monitor PASSWORD 'renewed'")
    found = await probe.ask(address)
    assert found.state == "OK"
    await until(lambda: server.backends("monitor") == 1, "one connection is left")
    assert (await probe.ask(address)).message == ""
    await probe.close()
