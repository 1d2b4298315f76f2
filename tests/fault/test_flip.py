"""A change of writer: each client is told the truth, and nobody writes to the old one any more."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import DEADLINE, Postgres, wait_until

Connection = psycopg.Connection[Any]


@dataclass
class Pair:
    """A proxy over a primary, the writer, and its replica; `flip` makes the replica the writer."""

    proxy: Proxy
    old: Postgres
    new: Postgres

    def flip(self) -> None:
        """Promote the replica and name it; the old writer is left as it is."""
        self.new.promote()
        self.proxy.elect("db-1")

    def settled(self) -> None:
        """The new writer is open and the epoch acknowledged."""
        self.proxy.wait_writer("db-1")
        self.proxy.wait_acknowledged()


@pytest.fixture
def pair(make_postgres: PostgresFactory, make_proxy: ProxyFactory) -> Pair:
    old = make_postgres("db-0")
    old.psql("CREATE TABLE notes (id serial PRIMARY KEY, client int, number int, port int)")
    old.psql("GRANT ALL ON notes, notes_id_seq TO app")
    new = make_postgres.replica_of(old, "db-1")
    proxy = make_proxy(old, new)
    proxy.wait_target("db-1", role="READ_ONLY")
    return Pair(proxy, old, new)


def port(connection: Connection) -> int:
    row = connection.execute("SELECT current_setting('port')::int").fetchone()
    assert row is not None
    found: int = row[0]
    return found


def notes(server: Postgres) -> int:
    found: int = server.value("SELECT count(*) FROM notes")
    return found


def test_an_idle_client_notices_nothing(pair: Pair) -> None:
    with pair.proxy.connect() as connection:
        assert port(connection) == pair.old.port
        pair.flip()
        pair.settled()
        assert port(connection) == pair.new.port


def test_a_client_that_asks_on_and_on_writes_to_the_new_writer_without_reconnecting(
    pair: Pair,
) -> None:
    """A read that is struck by the change says so, and no more."""
    with pair.proxy.connect() as connection:
        connection.execute("INSERT INTO notes (number) VALUES (1)")
        pair.flip()

        def served_by_new() -> bool:
            try:
                return port(connection) == pair.new.port
            except psycopg.errors.SerializationFailure:
                return False

        wait_until(served_by_new, "the new writer serves it")
        connection.execute("INSERT INTO notes (number) VALUES (2)")
    assert notes(pair.new) == 2


def test_new_work_waits_for_a_writer_that_is_not_promoted_yet(pair: Pair) -> None:
    with pair.proxy.connect() as connection:
        connection.execute("SELECT 1")
        pair.proxy.elect("db-1")
        pair.proxy.wait_acknowledged()
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(port(connection)))
        thread.start()
        wait_until(lambda: pair.proxy.metric("dbproxy_clients_waiting") == 1, "it waits")
        pair.new.promote()
        thread.join(DEADLINE)
        assert answers == [pair.new.port]


def test_a_transaction_that_did_not_commit_is_aborted_on_a_connection_that_stays(
    pair: Pair,
) -> None:
    with pair.proxy.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO notes (number) VALUES (1)")
        pair.flip()
        pair.settled()
        with pytest.raises(psycopg.errors.SerializationFailure):
            connection.execute("INSERT INTO notes (number) VALUES (2)")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("INSERT INTO notes (number) VALUES (3)")
        assert connection.execute("COMMIT").statusmessage == "ROLLBACK"
        connection.execute("INSERT INTO notes (number) VALUES (4)")
    assert pair.new.psql("SELECT number FROM notes") == [(4,)]
    assert notes(pair.old) == 0


def test_the_rest_of_a_script_in_one_query_cannot_autocommit(pair: Pair) -> None:
    with pair.proxy.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO notes (number) VALUES (1)")
        pair.flip()
        pair.settled()
        with pytest.raises(psycopg.errors.SerializationFailure):
            connection.execute("SELECT 1")
        for _ in range(3):
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                connection.execute("INSERT INTO notes (number) VALUES (2)")
        connection.execute("ROLLBACK")
    assert notes(pair.new) == notes(pair.old) == 0


def test_a_statement_in_flight_is_ended_and_told_truthfully(pair: Pair) -> None:
    with pair.proxy.connect() as connection:
        told: list[psycopg.Error] = []

        def work() -> None:
            try:
                connection.execute("INSERT INTO notes (number) SELECT 1 FROM pg_sleep(30)")
            except psycopg.Error as error:
                told.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        active = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND usename = 'app'"
        wait_until(lambda: pair.old.psql(active), "it runs")
        pair.flip()
        thread.join(DEADLINE)
        assert [error.sqlstate for error in told] in (["40001"], ["08007"])
        if told[0].sqlstate == "40001":
            assert notes(pair.old) == 0
            assert port(connection) == pair.new.port


def test_what_a_client_has_set_goes_with_it_to_the_new_writer(pair: Pair) -> None:
    with pair.proxy.connect() as connection:
        connection.execute("SET work_mem = '5MB'")
        connection.execute("SET TIME ZONE 'Asia/Tokyo'")
        pair.flip()
        pair.settled()
        shown = "SELECT current_setting('work_mem'), current_setting('TimeZone')"
        assert connection.execute(shown).fetchone() == ("5MB", "Asia/Tokyo")


def test_a_pinned_client_is_closed(pair: Pair) -> None:
    connection = pair.proxy.connect()
    connection.execute("LISTEN news")
    pair.flip()
    pair.settled()
    with pytest.raises(psycopg.errors.AdminShutdown):
        connection.execute("SHOW work_mem")
    assert connection.closed
    connection.close()


def hang_commit(pair: Pair, connection: Connection) -> tuple[threading.Thread, list[Any]]:
    """A COMMIT that waits for a synchronous replica that will never answer."""
    told: list[Any] = []

    def work() -> None:
        try:
            told.append(connection.execute("COMMIT").statusmessage)
        except psycopg.Error as error:
            told.append(error.sqlstate)

    connection.execute("BEGIN")
    connection.execute("INSERT INTO notes (number) VALUES (1)")
    pair.old.configure(synchronous_standby_names="nobody")
    pair.old.reload()
    wait_until(lambda: pair.old.value("SHOW synchronous_standby_names") == "nobody", "reloaded")
    thread = threading.Thread(target=work)
    thread.start()
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    wait_until(lambda: pair.old.psql(waits), "the commit hangs")
    return thread, told


def test_a_commit_in_flight_is_told_its_true_outcome(pair: Pair) -> None:
    connection = pair.proxy.connect()
    thread, told = hang_commit(pair, connection)
    pair.flip()
    thread.join(DEADLINE)
    if told == ["COMMIT"]:
        assert notes(pair.old) == 1
    else:
        assert told == ["08007"]
        assert connection.closed
    connection.close()


def test_a_commit_whose_outcome_cannot_be_known_is_told_so(pair: Pair) -> None:
    connection = pair.proxy.connect()
    thread, told = hang_commit(pair, connection)
    pair.old.kill9()
    thread.join(DEADLINE)
    assert told == ["08007"]
    assert connection.closed
    connection.close()


def test_after_the_acknowledgement_no_byte_of_clients_reaches_the_old_writer(pair: Pair) -> None:
    stop = threading.Event()
    wrong: list[str] = []

    def work(client: int) -> None:
        connection = pair.proxy.connect()
        while not stop.is_set():
            try:
                connection.execute("INSERT INTO notes (client) VALUES (%s)", (client,))
            except psycopg.Error as error:
                if error.sqlstate not in ("40001", "08007"):
                    wrong.append(f"{error.sqlstate} {error}")
                if connection.closed:
                    connection = pair.proxy.connect()
        connection.close()

    threads = [threading.Thread(target=work, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: notes(pair.old) > 200, "all write")
    pair.flip()
    pair.proxy.wait_acknowledged()
    assert pair.old.backends() == 0
    left = notes(pair.old)
    wait_until(lambda: notes(pair.new) > left + 200, "all write to the new writer")
    stop.set()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert notes(pair.old) == left
    assert wrong == []


@dataclass
class Ledger:
    """What one client knows of its commits: the servers that acknowledged each number."""

    acknowledged: dict[int, int]
    unknown: set[int]
    told: set[str | None] = field(default_factory=set)
    aborted: int = 0
    paused: float = 0.0


def count_commits(proxy: Proxy, client: int, stop: threading.Event, ledger: Ledger) -> None:
    """Write numbers, one in each transaction, and note what is told of each."""
    connection = proxy.connect()
    number = 0
    while not stop.is_set():
        number += 1
        began = time.monotonic()
        try:
            connection.execute("BEGIN")
            row = connection.execute(
                "INSERT INTO notes (client, number, port)"
                " VALUES (%s, %s, current_setting('port')::int) RETURNING port",
                (client, number),
            ).fetchone()
            assert row is not None
            if connection.execute("COMMIT").statusmessage == "COMMIT":
                ledger.acknowledged[number] = row[0]
        except psycopg.errors.SerializationFailure:
            ledger.aborted += 1
            connection.execute("ROLLBACK")
        except psycopg.OperationalError as error:
            ledger.told.add(error.sqlstate)
            ledger.unknown.add(number)
            connection.close()
            connection = proxy.connect()
        ledger.paused = max(ledger.paused, time.monotonic() - began)
    connection.close()


def test_every_acknowledged_commit_is_in_the_database_that_acknowledged_it(pair: Pair) -> None:
    stop = threading.Event()
    ledgers = [Ledger({}, set()) for _ in range(8)]
    threads = [
        threading.Thread(target=count_commits, args=(pair.proxy, client, stop, ledger))
        for client, ledger in enumerate(ledgers)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(len(ledger.acknowledged) for ledger in ledgers) > 50, "all commit")
    pair.flip()
    pair.settled()
    wait_until(
        lambda: all(list(ledger.acknowledged.values())[-1] == pair.new.port for ledger in ledgers),
        "all commit on the new writer",
    )
    stop.set()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    for client, ledger in enumerate(ledgers):
        for server in (pair.old, pair.new):
            rows = server.psql(
                "SELECT number FROM notes WHERE client = %s AND port = %s", client, server.port
            )
            there = {row[0] for row in rows}
            told = {n for n, where in ledger.acknowledged.items() if where == server.port}
            assert told <= there
            assert there - told <= ledger.unknown
        assert ledger.told <= {"08007"}
        assert ledger.paused < 15


def test_pgbench_goes_on_over_a_flip(pair: Pair) -> None:
    pair.old.psql("ALTER DATABASE app SET default_transaction_isolation = 'read committed'")
    script = pair.proxy.home / "script.sql"
    script.write_text("BEGIN;\nINSERT INTO notes (number) VALUES (1);\nSELECT 1;\nCOMMIT;\n")
    bench = subprocess.Popen(
        [
            "pgbench",
            "-n",
            "-c",
            "8",
            "-T",
            "600",
            "--max-tries=10",
            "-f",
            str(script),
            pair.proxy.dsn(),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: notes(pair.old) > 100, "it writes")
    pair.flip()
    pair.settled()
    before = notes(pair.new)
    wait_until(lambda: notes(pair.new) > before + 100, "it writes to the new writer")
    # To pgbench its time is over.
    bench.send_signal(signal.SIGALRM)
    out, err = bench.communicate(timeout=DEADLINE)
    aborted = err.count("aborted in command")
    unknown = err.count("whether the transaction was committed is unknown")
    assert aborted == unknown, err
    assert "number of failed transactions: 0" in out, out + err


def test_flips_back_and_forth(pair: Pair) -> None:
    with pair.proxy.connect() as connection:
        pair.flip()
        pair.settled()
        assert port(connection) == pair.new.port
        pair.old.demote_to_replica_of(pair.new)
        pair.proxy.wait_target("db-0", role="READ_ONLY")
        pair.old.promote()
        pair.proxy.elect("db-0")
        pair.proxy.wait_writer("db-0")
        assert port(connection) == pair.old.port
        pair.proxy.wait_acknowledged()


def test_an_empty_writer_holds_all_writes(pair: Pair) -> None:
    with pair.proxy.connect() as connection:
        connection.execute("SELECT 1")
        pair.proxy.write_pool(connectionBorrowTimeout=1)
        pair.proxy.wait_config()
        pair.proxy.elect("")
        pair.proxy.wait_acknowledged()
        with pytest.raises(psycopg.errors.TooManyConnections):
            connection.execute("SELECT 1")
        assert pair.old.backends() == 0
        pair.proxy.write_pool(connectionBorrowTimeout=20)
        pair.proxy.wait_config()
        pair.proxy.elect("db-0")
        pair.proxy.wait_writer("db-0")
        assert port(connection) == pair.old.port
