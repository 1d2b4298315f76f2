"""MySQL and MariaDB asked for health and role: real servers, in each state that they can be in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pymysql
import pytest
from tests.fix_mysql import MySQLFactory
from tests.mysql_asked import ask, asked_until, spec_of, told
from tests.mysql_servers import MYSQL, PASSWORDS, MySQL
from tests.servers import free_port
from tests.waiting import until

from dbproxy.facts import Probe
from dbproxy.probe.engines import standing as standing_module
from dbproxy.probe.engines.base import Attempt, ProbeSpec
from dbproxy.probe.engines.mysql import MySQLProbe

# One after the other: servers take long to start where many do at once.
pytestmark = pytest.mark.xdist_group("mysql")


@pytest.fixture
async def standing(mysql: MySQL) -> AsyncIterator[MySQLProbe]:
    """A probe whose connection stands."""
    # Those of other tests may be there for a while.
    mysql.end_connections("monitor")
    probe = MySQLProbe(spec_of(mysql))
    try:
        assert (await probe.ask([f"127.0.0.1:{mysql.port}"])).state == "OK"
        assert len(mysql.connections("monitor")) == 1
        yield probe
    finally:
        await probe.close()


# --- role, lag and what else a server tells --------------------------------------------------


async def test_a_writer_tells_its_size_its_version_and_which_it_is(mysql: MySQL) -> None:
    server = await told(mysql)
    assert (server.in_recovery, server.usable_connections, server.replay_lag) == (False, 50, None)
    with mysql.connect() as connection:
        assert server.version == connection.get_server_info()
    assert server.version.startswith("8.0." if mysql.kind is MYSQL else "5.5.5-10.")
    own = "SELECT @@server_uuid" if mysql.kind is MYSQL else "SELECT @@server_id"
    assert server.server_id == str(mysql.value(own))


async def test_what_a_server_has_run_is_told_by_its_gtids(make_mysql: MySQLFactory) -> None:
    server = make_mysql()
    before = (await told(server)).gtid
    server.sql("CREATE TABLE app.things (id int)")
    after = await told(server)
    assert after.gtid != before
    assert after.server_id in after.gtid


async def test_a_flip_of_read_only_is_seen_by_the_connection_that_stands(
    standing: MySQLProbe, mysql: MySQL
) -> None:
    address = [f"127.0.0.1:{mysql.port}"]
    mysql.set_read_only()
    found = await standing.ask(address)
    mysql.set_read_only(False)
    assert found.server is not None
    assert found.server.in_recovery
    assert found.message == "it is read-only, and replicates from nobody that the monitor sees"
    back = (await standing.ask(address)).server
    assert back is not None
    assert not back.in_recovery


async def test_a_replica_tells_that_it_is_one_and_its_lag(make_mysql: MySQLFactory) -> None:
    primary = make_mysql()
    replica = make_mysql.replica_of(primary)
    # What its primary wrote before, it may still be applying.
    found = await asked_until(lambda it: it.server is None or it.server.replay_lag == 0, replica)
    assert (found.state, found.message) == ("OK", "")
    assert found.server is not None
    assert found.server.in_recovery
    assert not (await told(primary)).in_recovery


async def test_a_replica_that_applies_late_tells_how_late(make_mysql: MySQLFactory) -> None:
    primary = make_mysql()
    replica = make_mysql.replica_of(primary, delay=600)
    primary.sql("CREATE TABLE app.things (id int)")

    def is_late(found: Probe) -> bool:
        assert found.server is not None
        assert found.server.replay_lag is not None
        return found.server.replay_lag >= 2

    await asked_until(is_late, replica)


async def test_a_replica_whose_applier_stopped_is_in_an_invalid_state_until_it_runs_again(
    make_mysql: MySQLFactory,
) -> None:
    replica = make_mysql.replica_of(make_mysql())
    replica.sql(replica.kind.stop_applier)
    found = await ask(spec_of(replica))
    assert (found.state, found.reason) == ("FAILED", "INVALID_REPLICATION_STATE")
    assert found.message == ("its replication has stopped (sql thread: nobody started it again)")
    replica.sql(replica.kind.start_replica)
    back = await asked_until(lambda it: (it.state, it.message) == ("OK", ""), replica)
    assert back.server is not None
    assert back.server.in_recovery


async def test_a_replica_that_cannot_apply_is_told_by_the_error_without_the_statement(
    make_mysql: MySQLFactory,
) -> None:
    primary = make_mysql()
    replica = make_mysql.replica_of(primary)
    primary.sql("CREATE TABLE app.things (secret int PRIMARY KEY)")
    await until(lambda: replica.sql("SHOW TABLES FROM app"), "the table is there")
    # A row of the replica alone, so that the same one of the primary fails there.
    replica.set_read_only(False)
    replica.sql("INSERT INTO app.things VALUES (1)")
    replica.set_read_only()
    primary.sql("INSERT INTO app.things VALUES (1)")
    running = "replica_sql_running" if replica.kind is MYSQL else "slave_sql_running"

    def stopped() -> bool:
        row = {name.lower(): value for name, value in replica.replication().items()}
        return bool(row[running] == "No")

    await until(stopped, "the applier stops")
    found = await ask(spec_of(replica))
    assert found.reason == "INVALID_REPLICATION_STATE"
    assert found.message == "its replication has stopped (sql thread: error 1062)"


async def test_a_replica_whose_primary_is_gone_is_a_replica_of_unknown_lag(
    make_mysql: MySQLFactory,
) -> None:
    primary = make_mysql()
    replica = make_mysql.replica_of(primary)
    primary.kill9()
    found = await asked_until(lambda it: bool(it.message), replica)
    assert (found.state, found.message[:32]) == ("OK", "its replication is not connected")
    assert found.server is not None
    assert (found.server.in_recovery, found.server.replay_lag) == (True, None)


async def test_a_promoted_replica_is_a_writer_whatever_is_left_of_its_replication(
    make_mysql: MySQLFactory,
) -> None:
    replica = make_mysql.replica_of(make_mysql())
    replica.sql(replica.kind.stop_applier)
    replica.set_read_only(False)
    server = await told(replica)
    assert (server.in_recovery, server.replay_lag) == (False, None)


async def test_a_monitor_that_may_see_nothing_still_tells_the_role(
    make_mysql: MySQLFactory,
) -> None:
    replica = make_mysql.replica_of(make_mysql())
    login = {"user": "app", "passwords": (PASSWORDS["app"],)}
    found = await ask(spec_of(replica, **login))
    assert found.state == "OK"
    assert found.message.startswith("the monitor may not see replication: grant it ")
    assert found.server is not None
    assert (found.server.in_recovery, found.server.replay_lag) == (True, None)


@pytest.mark.parametrize(
    "change",
    [
        "SET GLOBAL sort_buffer_size = 300000",
        "SET GLOBAL init_connect = 'SET @x = 1'",
        "RENAME USER legacy@'%' TO another@'%'",
        "DROP USER legacy@'%'",
    ],
)
async def test_what_new_sessions_begin_with_is_told_apart_from_what_they_began_with(
    make_mysql: MySQLFactory, change: str
) -> None:
    server = make_mysql()
    before = (await told(server)).defaults
    server.sql("CREATE TABLE app.things (id int)")
    server.set_read_only()
    server.set_read_only(False)
    assert (await told(server)).defaults == before
    server.sql(change)
    assert (await told(server)).defaults != before


# --- the standing connection -------------------------------------------------------------------


async def test_the_standing_connection_is_used_again(standing: MySQLProbe, mysql: MySQL) -> None:
    (own,) = mysql.connections("monitor")
    for _ in range(3):
        await standing.ask([f"127.0.0.1:{mysql.port}"])
    assert mysql.connections("monitor") == [own]


async def test_a_connection_that_was_ended_is_opened_again_within_one_probe(
    standing: MySQLProbe, mysql: MySQL
) -> None:
    (own,) = mysql.connections("monitor")
    mysql.sql(f"KILL {own}")
    await until(lambda: not mysql.connections("monitor"), "it is gone")
    assert (await standing.ask([f"127.0.0.1:{mysql.port}"])).state == "OK"
    assert len(mysql.connections("monitor")) == 1


async def test_a_closed_probe_leaves_nothing_behind(mysql: MySQL) -> None:
    await told(mysql)
    await until(lambda: not mysql.connections("monitor"), "its connection is gone")


async def test_a_previous_password_is_used_while_the_newest_is_refused(mysql: MySQL) -> None:
    found = await ask(spec_of(mysql, passwords=("newest", PASSWORDS["monitor"])))
    assert found.state == "OK"
    assert found.message.startswith("the monitor's new password does not work: ")


async def test_the_standing_connection_stays_until_new_credentials_work(
    make_mysql: MySQLFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing_module, "RENEW_AGAIN", 0.0)
    server = make_mysql()
    address = [f"127.0.0.1:{server.port}"]
    probe = MySQLProbe(spec_of(server))
    assert (await probe.ask(address)).state == "OK"
    probe.renew(spec_of(server, passwords=("renewed",)))
    for _ in range(2):
        found = await probe.ask(address)
        assert (found.state, found.message[:11]) == ("OK", "the monitor")
    server.sql("ALTER USER monitor@'%' IDENTIFIED BY 'renewed'")
    assert (await probe.ask(address)).state == "OK"
    await until(lambda: len(server.connections("monitor")) == 1, "one connection is left")
    assert (await probe.ask(address)).message == ""
    await probe.close()


async def test_an_aborted_probe_is_gone_at_once_and_comes_back(mysql: MySQL) -> None:
    probe = MySQLProbe(spec_of(mysql))
    address = [f"127.0.0.1:{mysql.port}"]
    for turns in (1, 2, 3, 5, 10):
        asking = asyncio.ensure_future(probe.ask(address))
        for _ in range(turns):
            await asyncio.sleep(0)
        probe.abort()
        assert (await asking).state == "FAILED"
    await until(lambda: not mysql.connections("monitor"), "its connections are gone")
    assert (await probe.ask(address)).state == "OK"
    await probe.close()


# --- failures ----------------------------------------------------------------------------------


async def test_a_refused_connection_is_unreachable_and_decisive() -> None:
    port = free_port()
    probe = MySQLProbe(ProbeSpec("db", "127.0.0.1", port, "u", ("p",), "DISABLED", None))
    found = await probe.ask([f"127.0.0.1:{port}"])
    assert (found.reason, found.decisive) == ("UNREACHABLE", True)


async def test_a_server_that_went_down_is_gone_and_is_asked_again_once_it_is_back(
    make_mysql: MySQLFactory,
) -> None:
    server = make_mysql()
    probe = MySQLProbe(spec_of(server))
    address = [f"127.0.0.1:{server.port}"]
    assert (await probe.ask(address)).state == "OK"
    server.kill9()
    found = await probe.ask(address)
    assert (found.state, found.reason, found.decisive) == ("FAILED", "UNREACHABLE", True)
    server.start()
    assert (await probe.ask(address)).state == "OK"
    await probe.close()


async def test_a_wrong_password_is_an_auth_failure(mysql: MySQL) -> None:
    found = await ask(spec_of(mysql, passwords=("wrong",)))
    assert found.reason == "AUTH_FAILURE"
    assert "wrong" not in found.message


async def test_a_frozen_server_misses_its_deadline(
    make_mysql: MySQLFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_mysql()
    probe = MySQLProbe(spec_of(server))
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


async def test_a_full_server_is_not_taken_for_gone(make_mysql: MySQLFactory) -> None:
    server = make_mysql(max_connections=10)
    probe = MySQLProbe(spec_of(server))
    address = [f"127.0.0.1:{server.port}"]
    with contextlib.ExitStack() as clients:
        taken: list[object] = []

        def all_taken() -> bool:
            # One that has ended counts until the server has cleared it away.
            with contextlib.suppress(pymysql.err.OperationalError):
                taken.append(clients.enter_context(server.connect("app")))
            return len(taken) == 10

        await until(all_taken, "all connections are taken")
        found = await probe.ask(address)
        assert (found.reason, found.decisive) == ("CONNECTION_FAILED", False)
        assert found.message == "Too many connections"
        login = await probe.try_login(Attempt("app", (PASSWORDS["app"],)), address)
        assert (login.ok, login.reason) == (False, "TOO_MANY_CONNECTIONS")
    await probe.close()
