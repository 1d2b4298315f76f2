"""Group Replication elects another primary: every acknowledged commit is in the group.

Three servers in single-primary mode, of a version that has the plugin (`MYSQL_SERVER`); the proxy
finds the primary by asking them, or is told by whoever watches the group.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from tests.fix_mysql import MySQLFactory, MySQLTemplates
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.answers import port
from tests.mysql.ledger import COLUMNS, GONE, STATE_LOST, UNKNOWN, Ledger, many
from tests.mysql_servers import MYSQL, PASSWORDS, MySQL
from tests.servers import HOST, free_port, wait_until

NAME = "8f0d3a52-6c1e-4b57-9a8e-1f2d3c4b5a69"
CHANNEL = "group_replication_recovery"
# A group waits for a silent member before it goes on without it, and a client for the group.
PATIENCE = 90
Step = Callable[[MySQL], None]


class Group:
    """Three servers, each with a port for the others."""

    def __init__(self, make: MySQLFactory) -> None:
        ports = [free_port() for _ in range(3)]
        seeds = ",".join(f"{HOST}:{number}" for number in ports)
        self.members = [
            make(
                f"db-{number}",
                # Else a server forgets what it has acknowledged when it is killed.
                innodb_flush_log_at_trx_commit=2,
                plugin_load_add="group_replication.so",
                report_host=HOST,
                loose_group_replication_group_name=NAME,
                loose_group_replication_start_on_boot="OFF",
                loose_group_replication_local_address=f"{HOST}:{own}",
                loose_group_replication_group_seeds=seeds,
                loose_group_replication_ip_allowlist="127.0.0.1/8",
                loose_group_replication_member_expel_timeout=0,
            )
            for number, own in enumerate(ports)
        ]
        self.members[0].sql("SET GLOBAL group_replication_bootstrap_group = ON")
        for member in self.members:
            self.join(member)
            member.sql("SET GLOBAL group_replication_bootstrap_group = OFF")
        self.members[0].sql(f"CREATE TABLE app.notes ({COLUMNS})")

    def join(self, member: MySQL) -> None:
        """Have a server take part; it gets what it lacks, and is refused if it has more."""
        member.sql(
            "CHANGE REPLICATION SOURCE TO SOURCE_USER = 'replicator', SOURCE_PASSWORD = %s"
            f" FOR CHANNEL '{CHANNEL}'",
            PASSWORDS["replicator"],
        )
        member.sql("SET GLOBAL group_replication_recovery_get_public_key = ON")
        member.sql("START GROUP_REPLICATION")
        wait_until(lambda: states(member).count("ONLINE") == len(self.online()), "it has joined")

    def online(self) -> list[MySQL]:
        return [one for one in self.members if one.running and "ONLINE" in own_state(one)]

    def elected(self, among: list[MySQL]) -> MySQL | None:
        """The primary that these members know, if it is one of them."""
        found = [one for one in among if own_state(one) == "ONLINE PRIMARY"]
        return found[0] if found else None


def states(member: MySQL) -> list[str]:
    """Of all that a member takes for the group."""
    found = member.sql("SELECT member_state FROM performance_schema.replication_group_members")
    return [str(state) for (state,) in found]


def own_state(member: MySQL) -> str:
    """State and role of a member, as it says itself."""
    rows = member.sql(
        "SELECT member_state, member_role FROM performance_schema.replication_group_members"
        " WHERE member_id = @@server_uuid"
    )
    return " ".join(rows[0]) if rows else ""


@pytest.fixture
def group(mysql_templates: MySQLTemplates) -> Iterator[Group]:
    factory = MySQLFactory(MYSQL, mysql_templates.of(MYSQL))
    try:
        yield Group(factory)
    finally:
        factory.close()


@pytest.fixture(params=["asked", "told"])
def proxy(
    request: pytest.FixtureRequest, group: Group, make_mysql_proxy: MySQLProxyFactory
) -> MySQLProxy:
    """A proxy over the group, which asks for the primary or is told it by an election."""
    proxy = make_mysql_proxy(*group.members, start=False)
    if request.param == "asked":
        proxy.epoch = 0
        proxy.write_group(writerElection=None)
    proxy.write_pool(connectionBorrowTimeout=PATIENCE)
    proxy.start()
    for one in group.members[1:]:
        proxy.wait_target(one.name, role="READ_ONLY")
    return proxy


def killed(server: MySQL) -> None:
    server.kill9()


def frozen(server: MySQL) -> None:
    server.freeze()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mysql_kind", [MYSQL.name], indirect=True)
@pytest.mark.parametrize("fails", [killed, frozen])
def test_a_primary_that_fails_under_load_loses_no_acknowledged_commit(
    group: Group, proxy: MySQLProxy, fails: Step
) -> None:
    old, others = group.members[0], group.members[1:]
    asked = proxy.settings["targetGroup"]["writerElection"] is None
    with many(proxy) as ledgers:
        wait_until(lambda: min(len(one.acknowledged) for one in ledgers) > 50, "all commit")
        fails(old)
        wait_until(lambda: group.elected(others), "another one is elected", PATIENCE)
        new = group.elected(others)
        assert new is not None
        if not asked:
            proxy.elect(new.name)
        wait_until(lambda: at(new, new) > 200, "they commit there", PATIENCE)
        comes_back(group, old)
        reached = at(new, new)
        wait_until(lambda: at(new, new) > reached + 100, "they go on there")
    with contextlib.closing(proxy.client()) as client:
        assert port(client) == new.port
    are_true(group, ledgers)
    print({f"client {number}": told(one) for number, one in enumerate(ledgers)})


def at(member: MySQL, writer: MySQL) -> int:
    """How many rows a member has that were written at this one."""
    found = member.value("SELECT count(*) FROM app.notes WHERE port = %s", writer.port)
    return int(found)


def comes_back(group: Group, old: MySQL) -> None:
    """A former primary is taken in again: it has nothing that the group hasn't."""
    if old.running:
        old.thaw()
        wait_until(lambda: own_state(old) != "ONLINE PRIMARY", "it learns of it", PATIENCE)
        old.sql("STOP GROUP_REPLICATION")
    else:
        # As it does by itself where it joins by itself.
        old.start("--super-read-only")
    group.join(old)
    wait_until(lambda: len(group.online()) == len(group.members), "all take part", PATIENCE)


def are_true(group: Group, ledgers: list[Ledger]) -> None:
    """All members have the same rows: each acknowledged commit once, and nothing else."""
    every = "SELECT client, number, port FROM app.notes ORDER BY client, number"
    wait_until(lambda: len({tuple(one.sql(every)) for one in group.members}) == 1, "all agree")
    rows = group.members[0].sql(every)
    for number, ledger in enumerate(ledgers):
        mine = [turn for client, turn, _ in rows if client == number]
        assert len(mine) == len(set(mine)), "nothing is written twice"
        assert set(ledger.acknowledged) <= set(mine)
        assert set(mine) - set(ledger.acknowledged) <= ledger.unknown
        assert ledger.told <= {UNKNOWN, STATE_LOST, *GONE}


def told(ledger: Ledger) -> str:
    count, unknown = len(ledger.acknowledged), len(ledger.unknown)
    return f"{count} committed, {ledger.lost} lost, {unknown} unknown, {ledger.paused:.1f} s"
