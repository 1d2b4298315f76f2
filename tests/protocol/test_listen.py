"""Who listens hears what the database would tell it, at the same place of its answers.

Each test runs against the database itself first: what is wanted of the proxy is what that does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.fix_proxy import Proxy
from tests.protocol.listening import (
    Door,
    asks,
    hears,
    is_quiet,
    join,
    kinds,
    notes,
    payloads,
    told_at_once,
)
from tests.raw_client import FLUSH, SYNC, RawClient, bind, describe, execute, parse, query
from tests.servers import Postgres

ROUNDS = 100
ENDS = ["UNLISTEN news", "UNLISTEN *", "DISCARD ALL"]


@pytest.fixture(params=["direct", "proxied"])
def door(request: pytest.FixtureRequest, postgres: Postgres, proxy: Proxy) -> Door:
    return postgres if request.param == "direct" else proxy


@pytest.fixture
def listener(door: Door) -> Iterator[RawClient]:
    with join(door) as client:
        asks(client, "LISTEN news")
        yield client


@pytest.fixture
def other(door: Door) -> Iterator[RawClient]:
    with join(door) as client:
        yield client


def test_a_notification_reaches_the_listeners_of_its_channel_and_nobody_else(
    door: Door, other: RawClient
) -> None:
    wanted = {"news": ["n1", "n2"], "sport": ["s1"], "both": ["n1", "s1", "n2"], "none": []}
    with ExitStack() as stack:
        clients = {name: stack.enter_context(join(door)) for name in wanted}
        asks(clients["news"], "LISTEN news")
        asks(clients["sport"], "LISTEN sport")
        asks(clients["both"], "LISTEN sport; LISTEN news")
        asks(other, "NOTIFY news, 'n1'")
        asks(other, "SELECT pg_notify('sport', 's1')")
        asks(other, "NOTIFY nobody, 'x'")
        asks(other, "NOTIFY news, 'n2'")
        assert {name: hears(client) for name, client in clients.items()} == wanted
        assert hears(other) == []


def test_a_notification_stays_in_its_database(door: Door, listener: RawClient) -> None:
    with join(door, database="second") as abroad:
        asks(abroad, "LISTEN news")
        asks(abroad, "NOTIFY news, 'abroad'")
        assert hears(listener) == []
        asks(listener, "NOTIFY news, 'at home'")
        assert hears(abroad) == []


def test_other_users_of_a_database_hear_it_too(door: Door, listener: RawClient) -> None:
    with join(door, "other") as stranger, join(door, application_name="its own") as peer:
        asks(stranger, "LISTEN news")
        asks(peer, "LISTEN news")
        asks(stranger, "NOTIFY news, 'hello'")
        assert [hears(one) for one in (listener, peer, stranger)] == [["hello"], ["hello"], []]


def test_the_notifiers_own_process_is_told(listener: RawClient, other: RawClient) -> None:
    pid = other.value("SELECT pg_backend_pid() FROM pg_notify('news', 'x')")
    (heard,) = notes(asks(listener, "SELECT 1"))
    assert (heard.pid, heard.channel, heard.payload) == (int(pid), "news", "x")


def test_an_idle_listener_is_told_at_once(listener: RawClient, other: RawClient) -> None:
    for number in range(ROUNDS):
        asks(other, f"NOTIFY news, '{number}'")
        assert told_at_once(listener).payload == str(number)
    assert is_quiet(listener)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("NOTIFY news, 'own'", b"CAZ"),
        ("NOTIFY news; SELECT 1", b"CTDCAZ"),
        ("NOTIFY news, 'a'; NOTIFY news, 'b'", b"CCAAZ"),
        ("NOTIFY news, 'a'; NOTIFY news, 'a'", b"CCAZ"),
        ("SELECT pg_notify('news', 'own')", b"TDCAZ"),
        ("BEGIN; NOTIFY news; COMMIT", b"CCCAZ"),
        ("BEGIN; NOTIFY news; ROLLBACK", b"CCCZ"),
        ("NOTIFY news; SELECT 1/0", b"CEZ"),
        ("NOTIFY elsewhere", b"CZ"),
        ("LISTEN more; NOTIFY more", b"CCAZ"),
        ("NOTIFY more; LISTEN more", b"CCAZ"),
        ("NOTIFY news; UNLISTEN news", b"CCZ"),
        ("UNLISTEN news; NOTIFY news", b"CCZ"),
        ("UNLISTEN news; LISTEN news; NOTIFY news", b"CCCAZ"),
        ("COMMIT; NOTIFY news", b"NCCAZ"),
    ],
)
def test_its_own_stands_before_the_end_of_its_request(
    listener: RawClient, text: str, wanted: bytes
) -> None:
    assert kinds(listener.ask(text)) == wanted
    assert hears(listener) == []


def test_its_own_stands_in_its_place_of_a_pipeline(listener: RawClient) -> None:
    asked = [query("NOTIFY news, '1'"), query("SELECT 1"), parse("NOTIFY news, '2'")]
    asked += [bind(), describe(), execute(), SYNC, query("UNLISTEN news"), query("NOTIFY news")]
    asked += [query("LISTEN news"), query("NOTIFY news, '3'"), query("")]
    listener.send(*asked)
    heard = b"".join(listener.kinds() for _ in range(8))
    assert heard == b"CAZTDCZ12nCAZCZCZCZCAZIZ"


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "COMMIT AND CHAIN"])
def test_nothing_is_told_within_a_transaction(
    listener: RawClient, other: RawClient, end: str
) -> None:
    asks(listener, "BEGIN")
    asks(other, "NOTIFY news, '1'")
    assert hears(listener) == []
    asks(listener, "NOTIFY news, 'own'")
    asks(listener, "SAVEPOINT a")
    asks(other, "NOTIFY news, '2'")
    assert hears(listener) == []
    assert is_quiet(listener)
    own = ["own"] if end == "COMMIT" else []
    answer = asks(listener, end)
    if end == "COMMIT AND CHAIN":
        assert payloads(answer) == []
        answer, own = asks(listener, "ROLLBACK"), ["own"]
    assert kinds(answer) == b"C" + b"A" * (2 + len(own)) + b"Z"
    assert payloads(answer) == ["1", "2", *own]


def test_nothing_is_told_within_a_failed_transaction(listener: RawClient, other: RawClient) -> None:
    listener.ask("BEGIN; SELECT 1/0")
    asks(other, "NOTIFY news, '1'")
    for text in ("SELECT 1", "LISTEN more", "UNLISTEN news", "SELECT pg_listening_channels()"):
        assert kinds(listener.ask(text)) == b"EZ"
    answer = asks(listener, "COMMIT")
    assert (kinds(answer), payloads(answer)) == (b"CAZ", ["1"])
    asks(other, "NOTIFY news, '2'; NOTIFY more, '3'")
    assert hears(listener) == ["2"]


def test_nothing_is_told_within_a_batch(listener: RawClient, other: RawClient) -> None:
    listener.send(parse("SELECT 1"), bind(), execute(), FLUSH)
    assert kinds(listener.until(b"C")) == b"12DC"
    asks(other, "NOTIFY news, '1'")
    listener.send(parse("SELECT 2"), bind(), execute(), FLUSH)
    assert kinds(listener.until(b"C")) == b"12DC"
    listener.send(SYNC)
    assert listener.kinds() == b"AZ"


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_it_ends_it(listener: RawClient, other: RawClient, end: str) -> None:
    asks(listener, end)
    asks(other, "NOTIFY news, 'late'")
    assert hears(listener) == []
    assert is_quiet(listener)
    asks(listener, "LISTEN news")
    asks(other, "NOTIFY news, 'again'")
    assert hears(listener) == ["again"]


@pytest.mark.parametrize("end", ENDS)
def test_what_was_committed_before_its_end_is_not_lost(
    listener: RawClient, other: RawClient, end: str
) -> None:
    for number in range(ROUNDS):
        asks(other, f"NOTIFY news, '{number}'")
        assert payloads(asks(listener, end)) == [str(number)]
        asks(listener, "LISTEN news")


@pytest.mark.parametrize("peers", [0, 1])
def test_what_was_committed_before_its_begin_is_not_told(
    door: Door, listener: RawClient, other: RawClient, peers: int
) -> None:
    """Whether somebody else listens all the time, or nobody."""
    asks(listener, "UNLISTEN *")
    with ExitStack() as stack:
        peer = [stack.enter_context(join(door)) for _ in range(peers)]
        for one in peer:
            asks(one, "LISTEN news")
        for number in range(ROUNDS):
            asks(other, f"NOTIFY news, 'before {number}'")
            assert payloads(asks(listener, "LISTEN news")) == []
            asks(other, f"NOTIFY news, '{number}'")
            assert payloads(asks(listener, "UNLISTEN news")) == [str(number)]
        for one in peer:
            assert len(hears(one)) == 2 * ROUNDS


def test_one_that_ends_takes_it_from_nobody_else(
    door: Door, listener: RawClient, other: RawClient
) -> None:
    heard = []
    for number, end in enumerate([*ENDS, "leave"] * (ROUNDS // 4)):
        with join(door) as peer:
            asks(peer, "LISTEN news")
            asks(other, f"NOTIFY news, '{number}'")
            if end != "leave":
                assert payloads(asks(peer, end)) == [str(number)]
        asks(other, f"NOTIFY news, '{number} after'")
        heard += hears(listener)
    assert heard == [f"{n}{word}" for n in range(ROUNDS) for word in ("", " after")]


def test_all_are_told_in_the_order_of_commits(
    door: Door, listener: RawClient, other: RawClient
) -> None:
    """Also while the listener asks and is answered, and whoever notifies."""
    heard: list[str] = []
    theirs: list[str] = []
    with join(door) as third:
        asks(third, "LISTEN news")
        for number in range(0, 3 * ROUNDS, 3):
            asks(other, f"NOTIFY news, '{number}'")
            theirs += payloads(asks(third, f"NOTIFY news, '{number + 1}'"))
            heard += payloads(asks(listener, f"NOTIFY news, '{number + 2}'"))
        assert heard == [str(number) for number in range(3 * ROUNDS)]
        assert theirs + hears(third) == heard


def test_it_is_told_what_a_function_or_a_trigger_notifies(
    listener: RawClient, other: RawClient
) -> None:
    asks(other, "DO $$ BEGIN PERFORM pg_notify('news', 'done'); END $$")
    assert hears(listener) == ["done"]
    assert payloads(asks(listener, "DO $$ BEGIN NOTIFY news, 'own'; END $$")) == ["own"]


@pytest.mark.parametrize("pins", ["SELECT pg_advisory_lock(1)", "CREATE TEMP TABLE mine (a int)"])
def test_one_that_is_bound_to_its_connection_hears_each_once(
    listener: RawClient, other: RawClient, pins: str
) -> None:
    asks(listener, pins)
    asks(other, "NOTIFY news, '1'")
    assert payloads(asks(listener, "LISTEN more")) == ["1"]
    asks(other, "NOTIFY news, '2'; NOTIFY more, '3'")
    assert hears(listener) == ["2", "3"]
    assert payloads(asks(listener, "NOTIFY news, 'own'")) == ["own"]
    asks(listener, "UNLISTEN news")
    asks(other, "NOTIFY news, '4'; NOTIFY more, '5'")
    assert hears(listener) == ["5"]
    asks(listener, "SELECT pg_advisory_unlock_all(); DROP TABLE IF EXISTS pg_temp.mine")
    asks(other, "NOTIFY news, '6'; NOTIFY more, '7'")
    assert hears(listener) == ["7"]
    assert payloads(asks(listener, "DISCARD ALL")) == []
    asks(other, "NOTIFY news, '8'; NOTIFY more, '9'")
    assert hears(listener) == []


def test_nobody_inherits_what_another_listened_to(door: Door, other: RawClient) -> None:
    for number in range(ROUNDS):
        with join(door) as gone:
            asks(gone, "LISTEN news")
        with join(door) as fresh:
            asks(other, f"NOTIFY news, '{number}'")
            assert hears(fresh) == []
            assert kinds(asks(fresh, "SELECT pg_listening_channels()")) == b"TCZ"
