"""A change of writer: each client is told the truth, and nobody writes to the old one any more."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pymysql
import pytest
from tests.certificates import Authority
from tests.fix_mysql import MySQLFactory, MySQLTemplates
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql.answers import Connection, last_words, port, refused, value
from tests.mysql.ledger import COLUMNS, GONE, LOST, STATE_LOST, UNKNOWN, WRITES, Ledger, many
from tests.mysql_servers import Kind, MySQL
from tests.servers import DEADLINE, wait_until

INTERRUPTED = 1317
pytestmark = pytest.mark.together


@dataclass
class Pair:
    """A proxy over the writer and a server that takes no writes; `flip` makes that the writer."""

    proxy: MySQLProxy
    old: MySQL
    new: MySQL

    def flip(self) -> None:
        """Let the other one write, and name it; the old writer is left as it is."""
        self.new.set_read_only(on=False)
        self.proxy.elect(self.new.name)

    def settled(self) -> None:
        """The new writer is open and the epoch acknowledged."""
        self.proxy.wait_writer(self.new.name)
        self.proxy.wait_acknowledged()


@pytest.fixture(scope="module")
def servers(mysql_kind: Kind, mysql_templates: MySQLTemplates) -> Iterator[tuple[MySQL, MySQL]]:
    """Two that know nothing of each other: whatever is in one was written there."""
    factory = MySQLFactory(mysql_kind, mysql_templates.of(mysql_kind))
    try:
        # Else a server forgets what it has acknowledged when it is killed.
        both = [factory(name, innodb_flush_log_at_trx_commit=2) for name in ("db-0", "db-1")]
        for server in both:
            server.sql(f"CREATE TABLE app.notes ({COLUMNS})")
        yield both[0], both[1]
    finally:
        factory.close()


@pytest.fixture(scope="module")
def only_proxy(
    mysql_kind: Kind, servers: tuple[MySQL, MySQL], authority: Authority
) -> Iterator[MySQLProxy]:
    factory = MySQLProxyFactory(mysql_kind, authority)
    try:
        yield factory(*servers)
    finally:
        factory.close()


@pytest.fixture
def pair(servers: tuple[MySQL, MySQL], only_proxy: MySQLProxy) -> Pair:
    """The module's, in which the first is the writer again."""
    for server, read_only in zip(servers, (False, True), strict=True):
        if not server.running:
            server.start()
        server.set_read_only(on=False)
        server.sql("TRUNCATE TABLE app.notes")
        server.set_read_only(on=read_only)
    only_proxy.elect("db-0")
    only_proxy.wait_writer("db-0")
    only_proxy.wait_acknowledged()
    only_proxy.wait_target("db-1", role="READ_ONLY")
    return Pair(only_proxy, *servers)


def notes(server: MySQL) -> int:
    return int(server.value("SELECT count(*) FROM app.notes"))


def has(server: MySQL, count: int) -> bool:
    return notes(server) == count


def write(client: Connection, number: int) -> None:
    value(client, WRITES.format(0, number))


def ended(client: Connection) -> bool:
    """The connection was closed by the proxy."""
    with contextlib.closing(client):
        return refused(client, "SELECT 1") in GONE


def test_an_idle_client_notices_nothing(pair: Pair) -> None:
    with contextlib.closing(pair.proxy.client()) as client:
        value(client, "SET time_zone = '+05:00'")
        assert port(client) == pair.old.port
        pair.flip()
        pair.settled()
        assert port(client) == pair.new.port
        assert value(client, "SELECT @@time_zone") == "+05:00"


def test_new_work_waits_for_a_writer_that_is_not_promoted_yet(pair: Pair) -> None:
    with contextlib.closing(pair.proxy.client()) as client:
        value(client, "SELECT 1")
        pair.proxy.elect("db-1")
        pair.proxy.wait_acknowledged()
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(port(client)))
        thread.start()
        wait_until(lambda: pair.proxy.metric("dbproxy_clients_waiting") == 1, "it waits")
        pair.new.set_read_only(on=False)
        thread.join(DEADLINE)
        assert answers == [pair.new.port]


@pytest.mark.parametrize("begin", ["BEGIN", "SET autocommit = 0"])
def test_a_transaction_that_did_not_commit_is_lost_on_a_connection_that_stays(
    pair: Pair, begin: str
) -> None:
    with contextlib.closing(pair.proxy.client()) as client:
        value(client, begin)
        write(client, 1)
        pair.flip()
        pair.settled()
        assert refused(client, WRITES.format(0, 2)) == LOST
        # As behind a deadlock: the whole transaction is gone, and the next statement begins anew.
        write(client, 3)
        value(client, "COMMIT")
    assert pair.new.sql("SELECT number FROM app.notes") == [(3,)]
    assert notes(pair.old) == 0


def test_a_rollback_finds_done_what_it_wants(pair: Pair) -> None:
    with contextlib.closing(pair.proxy.client()) as client:
        value(client, "BEGIN")
        write(client, 1)
        pair.flip()
        pair.settled()
        client.rollback()
        assert port(client) == pair.new.port
    assert notes(pair.old) == notes(pair.new) == 0


def test_a_commit_behind_the_loss_says_that_nothing_was_committed(pair: Pair) -> None:
    with contextlib.closing(pair.proxy.client()) as client:
        value(client, "BEGIN")
        write(client, 1)
        pair.flip()
        pair.settled()
        assert refused(client, "COMMIT") == LOST
        assert port(client) == pair.new.port
    assert notes(pair.old) == notes(pair.new) == 0


def test_a_statement_in_flight_is_ended_and_told_truthfully(pair: Pair) -> None:
    client, locks = pair.proxy.client(), pair.old.connect(database="app")
    told: list[int | None] = []
    text = WRITES.format(0, 1)
    value(locks, "LOCK TABLES notes WRITE")
    thread = threading.Thread(target=lambda: told.append(refused(client, text)))
    thread.start()
    runs = "SELECT 1 FROM information_schema.processlist WHERE info = %s"
    wait_until(lambda: pair.old.sql(runs, text), "it runs")
    pair.flip()
    thread.join(DEADLINE)
    locks.close()
    pair.settled()
    assert told[0] in (INTERRUPTED, LOST, UNKNOWN)
    assert told == [UNKNOWN] or notes(pair.old) == 0
    client.close()


def test_a_pinned_client_is_told_and_closed(pair: Pair) -> None:
    client = pair.proxy.client()
    value(client, "SELECT GET_LOCK('mine', 0)")
    pair.flip()
    pair.settled()
    assert last_words(client) == STATE_LOST
    client._force_close()


class HungCommit:
    """A COMMIT that waits for somebody who lets nobody commit."""

    def __init__(self, pair: Pair) -> None:
        self.client = pair.proxy.client()
        self.told: list[int | None] = []
        self._locks = pair.old.connect()
        value(self.client, "BEGIN")
        write(self.client, 1)
        value(self._locks, "FLUSH TABLES WITH READ LOCK")
        self._thread = threading.Thread(target=self._commit)
        self._thread.start()
        waits = "SELECT 1 FROM information_schema.processlist WHERE info = 'COMMIT'"
        wait_until(lambda: pair.old.sql(waits), "the commit hangs")

    def _commit(self) -> None:
        self.told.append(refused(self.client, "COMMIT"))

    def outcome(self) -> int | None:
        self._thread.join(DEADLINE)
        assert len(self.told) == 1
        return self.told[0]

    def unlock(self) -> None:
        with contextlib.suppress(pymysql.err.Error):
            self._locks.close()


def test_a_commit_in_flight_is_told_its_true_outcome(pair: Pair) -> None:
    commit = HungCommit(pair)
    pair.flip()
    told = commit.outcome()
    commit.unlock()
    pair.settled()
    assert told in (None, INTERRUPTED, LOST, UNKNOWN)
    if told == UNKNOWN:
        assert ended(commit.client)
        return
    wait_until(lambda: not pair.old.connections("app"), "the old writer is left")
    assert notes(pair.old) == (told is None)
    if told == INTERRUPTED:
        # That its transaction is gone as well is told with what it asks next.
        assert refused(commit.client, "SELECT 1") == LOST
    assert port(commit.client) == pair.new.port
    commit.client.close()


def test_a_commit_whose_outcome_cannot_be_known_is_told_so(pair: Pair) -> None:
    commit = HungCommit(pair)
    pair.old.kill9()
    assert commit.outcome() == UNKNOWN
    assert ended(commit.client)
    commit.unlock()


def are_true(pair: Pair, ledgers: list[Ledger]) -> None:
    """Every acknowledged commit is where it was acknowledged, and nothing else is anywhere."""
    for number, ledger in enumerate(ledgers):
        there: set[int] = set()
        for server in (pair.old, pair.new):
            rows = server.sql("SELECT number, port FROM app.notes WHERE client = %s", number)
            assert {port for _, port in rows} <= {server.port}
            mine = {turn for turn, _ in rows}
            assert len(mine) == len(rows)
            assert there.isdisjoint(mine), "nothing is written twice"
            there |= mine
            told = {turn for turn, at in ledger.acknowledged.items() if at == server.port}
            assert told <= mine
        assert set(ledger.acknowledged) <= there
        assert there - set(ledger.acknowledged) <= ledger.unknown
        # What a client has inserted last isn't known for it yet: it was told that this is gone.
        assert ledger.told <= {UNKNOWN, STATE_LOST, *GONE}
        assert ledger.paused < 15


def test_every_acknowledged_commit_is_in_the_database_that_acknowledged_it(pair: Pair) -> None:
    with many(pair.proxy) as ledgers:
        wait_until(lambda: min(len(one.acknowledged) for one in ledgers) > 50, "all commit")
        pair.flip()
        pair.settled()
        assert pair.old.connections("app") == []
        left = notes(pair.old)
        wait_until(lambda: notes(pair.new) > 200, "they commit on the new writer")
    assert notes(pair.old) == left, "after the acknowledgement nobody writes to the old writer"
    are_true(pair, ledgers)


def test_a_writer_that_is_killed_under_load_loses_no_acknowledged_commit(pair: Pair) -> None:
    with many(pair.proxy) as ledgers:
        wait_until(lambda: min(len(one.acknowledged) for one in ledgers) > 50, "all commit")
        pair.old.kill9()
        pair.flip()
        pair.settled()
        wait_until(lambda: notes(pair.new) > 200, "they commit on the new writer")
    pair.old.start()
    are_true(pair, ledgers)


def test_an_empty_writer_holds_all_writes(pair: Pair) -> None:
    with contextlib.closing(pair.proxy.client()) as client:
        value(client, "SELECT 1")
        pair.proxy.write_pool(connectionBorrowTimeout=1)
        pair.proxy.wait_config()
        pair.proxy.elect("")
        pair.proxy.wait_acknowledged()
        assert refused(client, "SELECT 1") == 9501
        assert pair.old.connections("app") == []
        pair.proxy.write_pool(connectionBorrowTimeout=20)
        pair.proxy.wait_config()
        pair.proxy.elect("db-0")
        pair.proxy.wait_writer("db-0")
        assert port(client) == pair.old.port


def test_a_replica_is_promoted_and_the_former_writer_follows_it(
    make_mysql: MySQLFactory, make_mysql_proxy: MySQLProxyFactory
) -> None:
    """Forth and back, replicating by GTIDs."""
    old = make_mysql("db-0")
    new = make_mysql.replica_of(old, "db-1")
    old.sql(f"CREATE TABLE app.notes ({COLUMNS})")
    proxy = make_mysql_proxy(old, new)
    proxy.wait_target("db-1", role="READ_ONLY")
    with (
        contextlib.closing(proxy.client()) as client,
        contextlib.closing(proxy.client(read_only=True)) as reader,
    ):
        for turn, (writer, other) in enumerate([(old, new), (new, old), (old, new)]):
            assert port(client) == writer.port
            write(client, turn)
            wait_until(partial(has, other, turn + 1), "it is replicated")
            assert value(reader, "SELECT COUNT(*) FROM notes") == turn + 1
            assert port(reader) == other.port
            writer.set_read_only()
            other.promote()
            writer.follow(other)
            proxy.elect(other.name)
            proxy.wait_writer(other.name)
            proxy.wait_acknowledged()
            proxy.wait_target(writer.name, role="READ_ONLY")
