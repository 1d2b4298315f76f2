"""Log-ins that can't succeed are told why by the database, and are nobody else's business."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import psycopg
import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.servers import Postgres

BAD: dict[str, dict[str, Any]] = {
    "no such database": {"dbname": "nosuch"},
    "no such setting": {"options": "-c nosuchparameter=1"},
    "a bad value": {"options": "-c statement_timeout=banana"},
}


@pytest.fixture
def server(make_postgres: PostgresFactory) -> Postgres:
    return make_postgres()


@pytest.fixture
def proxy(server: Postgres, make_proxy: ProxyFactory) -> Proxy:
    return make_proxy(server)


def told(dsn: str) -> str:
    """What a log-in is refused with; nothing if it succeeds."""
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError as refusal:
        return str(refusal).rpartition("FATAL:")[2].strip()
    return ""


class Pest(threading.Thread):
    """Logs in in vain, again and again, until it is told to stop."""

    def __init__(self, dsn: str) -> None:
        super().__init__(daemon=True)
        self.answers: Counter[str] = Counter()
        self.heard = threading.Event()
        self._dsn = dsn
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            self.answers[told(self._dsn)] += 1
            self.heard.set()

    def stop(self) -> None:
        self._ended.set()
        self.join(60)
        assert not self.is_alive()


@pytest.mark.parametrize("wrong", BAD)
def test_a_bad_log_in_is_told_what_the_database_says_each_time(
    server: Postgres, proxy: Proxy, wrong: str
) -> None:
    said = told(server.dsn("app", **BAD[wrong]))
    assert said
    assert [told(proxy.dsn("app", **BAD[wrong])) for _ in range(4)] == [said] * 4


def test_bad_log_ins_stay_apart_from_good_ones_that_need_new_connections(
    server: Postgres, proxy: Proxy
) -> None:
    pests = {wrong: Pest(proxy.dsn("app", **how)) for wrong, how in BAD.items()}
    for pest in pests.values():
        pest.start()
    assert all(pest.heard.wait(60) for pest in pests.values())
    # Settings of their own: no idle connection fits them.
    for turn in range(12):
        with proxy.connect(options=f"-c my.turn={turn}") as client:
            assert client.execute("SHOW my.turn").fetchone() == (str(turn),)
    for wrong, pest in pests.items():
        pest.stop()
        assert set(pest.answers) == {told(server.dsn("app", **BAD[wrong]))}


def test_a_database_that_is_there_now_is_found(server: Postgres, proxy: Proxy) -> None:
    assert "does not exist" in told(proxy.dsn("app", dbname="later"))
    server.psql("CREATE DATABASE later")
    assert told(proxy.dsn("app", dbname="later")) == ""
