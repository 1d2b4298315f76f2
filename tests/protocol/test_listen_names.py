"""Channels by every name, listened to by either protocol, kept or undone with their transactions.

Each test runs against the database itself first: what is wanted of the proxy is what that does.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import READ_ONLY, Proxy, ProxyFactory
from tests.protocol.listening import Door, asks, hears, join, kinds, notes, payloads
from tests.raw_client import SYNC, RawClient, bind, describe, error_fields, execute, parse, query
from tests.servers import Postgres

LONG = "a" * 60
CHANNELS = "SELECT pg_listening_channels()"


@pytest.fixture(params=["direct", "proxied"])
def door(request: pytest.FixtureRequest, postgres: Postgres, proxy: Proxy) -> Door:
    return postgres if request.param == "direct" else proxy


@pytest.fixture
def client(door: Door) -> Iterator[RawClient]:
    with join(door) as client:
        yield client


@pytest.fixture
def other(door: Door) -> Iterator[RawClient]:
    with join(door) as client:
        yield client


def channels(client: RawClient) -> list[str]:
    rows = [payload for kind, payload in asks(client, CHANNELS) if kind == b"D"]
    return [row[6:].decode() for row in rows]


def sqlstate(client: RawClient, text: str) -> str:
    return next(error_fields(payload)["C"] for kind, payload in client.ask(text) if kind == b"E")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("plain", "plain"),
        ("MixedCase", "mixedcase"),
        ('"MixedCase"', "MixedCase"),
        ('"two words; and more"', "two words; and more"),
        ('"a ""quoted"" word"', 'a "quoted" word'),
        ('"back\\slash\'s"', "back\\slash's"),
        ('"*"', "*"),
        ('"select"', "select"),
        ("kanäle_für_alle", "kanäle_für_alle"),
        ('"日本語"', "日本語"),
        ('U&"d\\0061t\\+000061"', "data"),
        ("/* a */ spaced -- b\n", "spaced"),
        (f"{LONG}123", f"{LONG}123"),
        (f"{LONG}1234", f"{LONG}123"),
        (f'"{LONG}ä1"', f"{LONG}ä1"),
        (f'"{LONG}12ä"', f"{LONG}12"),
        (f'"{"ä" * 40}"', "ä" * 31),
    ],
)
def test_a_channel_is_called_as_the_database_calls_it(
    client: RawClient, other: RawClient, written: str, name: str
) -> None:
    asks(client, f"LISTEN {written}")
    assert channels(client) == [name]
    asks(other, f"NOTIFY {written}, '1'")
    (heard,) = notes(asks(client, "SELECT 1"))
    assert (heard.channel, heard.payload) == (name, "1")
    asks(client, f"SELECT pg_notify('{name.replace(chr(39), chr(39) * 2)}', '2')")
    asks(client, f"UNLISTEN {written}")
    assert channels(client) == []
    asks(other, f"NOTIFY {written}, '3'")
    assert hears(client) == []


@pytest.mark.parametrize(
    "text", ["LISTEN", "LISTEN *", 'LISTEN ""', "LISTEN a.b", "LISTEN 1", "LISTEN 'a'", "UNLISTEN"]
)
def test_what_is_no_channel_is_refused(client: RawClient, other: RawClient, text: str) -> None:
    assert sqlstate(client, text) == "42601"
    assert channels(client) == []


def test_a_name_that_is_too_long_for_a_function_is_refused(client: RawClient) -> None:
    asks(client, f"LISTEN {LONG}1234")
    assert sqlstate(client, f"SELECT pg_notify('{LONG}1234', '')") == "22023"
    assert sqlstate(client, "SELECT pg_notify('', '')") == "22023"
    assert sqlstate(client, f"SELECT pg_notify('{LONG}123', repeat('x', 8000))") == "22023"
    assert payloads(asks(client, f"SELECT pg_notify('{LONG}123', repeat('x', 7999))")) == [
        "x" * 7999
    ]


@pytest.mark.parametrize("name", ["", "mine"])
def test_it_listens_by_the_extended_protocol(
    door: Door, client: RawClient, other: RawClient, name: str
) -> None:
    client.send(parse("LISTEN news", name), bind(name), describe(), execute(), SYNC)
    assert client.kinds() == b"12nCZ"
    asks(other, "NOTIFY news, '1'")
    assert hears(client) == ["1"]
    client.send(parse("UNLISTEN news", "no"), bind("no"), execute(), SYNC)
    assert client.kinds() == b"12CZ"
    asks(other, "NOTIFY news, '2'")
    assert hears(client) == []
    if name:
        client.send(bind(name), execute(), SYNC)
        assert client.kinds() == b"2CZ"
        asks(other, "NOTIFY news, '3'")
        assert hears(client) == ["3"]
    with join(door) as fresh:
        asks(other, "NOTIFY news, '4'")
        assert hears(fresh) == []


def test_a_batch_that_fails_has_not_listened(client: RawClient, other: RawClient) -> None:
    listens = parse("LISTEN news") + bind() + execute()
    client.send(listens, parse("SELECT 1/0"), bind(), execute(), SYNC)
    assert client.kinds() == b"12C1EZ"
    asks(other, "NOTIFY news, '1'")
    assert (hears(client), channels(client)) == ([], [])
    client.send(listens, parse("NOTIFY news, 'own'"), bind(), execute(), SYNC)
    assert client.kinds() == b"12C12CAZ"
    client.send(listens, parse("UNLISTEN news"), bind(), execute(), SYNC)
    assert client.kinds() == b"12C12CZ"
    assert channels(client) == []


UNDONE = [
    ("BEGIN; LISTEN news; ROLLBACK", []),
    ("BEGIN; LISTEN news; COMMIT", ["news"]),
    ("BEGIN; LISTEN news; SELECT 1/0; COMMIT", []),
    ("LISTEN news; SELECT 1/0", ["news"]),
    ("LISTEN news; UNLISTEN news", []),
    ("UNLISTEN news; LISTEN news", ["news"]),
    ("BEGIN; LISTEN news; COMMIT AND CHAIN; ROLLBACK", ["news"]),
    ("BEGIN; LISTEN news; ROLLBACK AND CHAIN; LISTEN more; COMMIT", ["more"]),
    ("BEGIN; SAVEPOINT a; LISTEN news; ROLLBACK TO a; COMMIT", []),
    ("BEGIN; SAVEPOINT a; LISTEN news; RELEASE a; COMMIT", ["news"]),
    ("BEGIN; SAVEPOINT a; LISTEN news; RELEASE a; ROLLBACK", []),
    ("BEGIN; LISTEN news; SAVEPOINT a; LISTEN more; ROLLBACK TO a; COMMIT", ["news"]),
    ("BEGIN; SAVEPOINT a; SAVEPOINT b; LISTEN news; RELEASE b; ROLLBACK TO a; COMMIT", []),
    ("BEGIN; LISTEN news; UNLISTEN *; LISTEN more; COMMIT", ["more"]),
    ("LISTEN news; BEGIN; UNLISTEN news; ROLLBACK", ["news"]),
    ("LISTEN news; BEGIN; UNLISTEN *; ROLLBACK", ["news"]),
    ("LISTEN news; BEGIN; UNLISTEN news; COMMIT", []),
    ("LISTEN news; BEGIN; SAVEPOINT a; UNLISTEN *; ROLLBACK TO a; COMMIT", ["news"]),
    ("LISTEN news; BEGIN; SAVEPOINT a; UNLISTEN news; RELEASE a; COMMIT", []),
    ("LISTEN news; BEGIN; UNLISTEN *; SAVEPOINT a; LISTEN more; ROLLBACK TO a; COMMIT", []),
    ("LISTEN news; BEGIN; UNLISTEN news; SELECT 1/0; ROLLBACK", ["news"]),
    ("LISTEN news; BEGIN; SAVEPOINT a; SELECT 1/0; ROLLBACK TO a; UNLISTEN *; COMMIT", []),
    ("LISTEN news; DISCARD ALL", []),
    ("LISTEN news; RESET ALL; DEALLOCATE ALL; CLOSE ALL", ["news"]),
    ("LISTEN news; DISCARD TEMP; DISCARD PLANS", ["news"]),
    ("LISTEN news; LISTEN news; UNLISTEN news", []),
    ("LISTEN news; LISTEN more; UNLISTEN news", ["more"]),
    ("BEGIN READ ONLY; LISTEN news; COMMIT", ["news"]),
    ("BEGIN; LISTEN news; PREPARE TRANSACTION 'never'", []),
]
SCRIPTS = [script for script, _ in UNDONE]


@pytest.mark.parametrize(("script", "wanted"), UNDONE, ids=SCRIPTS)
def test_it_is_kept_or_undone_with_its_transaction(
    client: RawClient, other: RawClient, script: str, wanted: list[str]
) -> None:
    for text in script.split("; "):
        client.ask(text)
    asks(other, "NOTIFY news, 'news'; NOTIFY more, 'more'")
    assert (hears(client), channels(client)) == (wanted, wanted)
    asks(client, "UNLISTEN *")
    asks(other, "NOTIFY news; NOTIFY more")
    assert (hears(client), channels(client)) == ([], [])


@pytest.mark.parametrize("script", SCRIPTS)
def test_one_text_of_many_statements_comes_to_the_same_as_without_a_proxy(
    postgres: Postgres, proxy: Proxy, script: str
) -> None:
    def outcome(door: Door) -> object:
        with join(door) as client, join(door) as other:
            told = kinds(client.ask(script)) + kinds(client.ask("ROLLBACK"))
            asks(other, "NOTIFY news, 'news'; NOTIFY more, 'more'")
            return told, hears(client), channels(client)

    assert outcome(proxy) == outcome(postgres)


def test_what_is_committed_within_its_transaction_is_not_told(
    client: RawClient, other: RawClient
) -> None:
    asks(client, "BEGIN; LISTEN news")
    asks(other, "NOTIFY news, 'before'")
    assert (hears(client), channels(client)) == ([], [])
    assert payloads(asks(client, "COMMIT")) == []
    asks(other, "NOTIFY news, 'after'")
    assert hears(client) == ["after"]


@pytest.mark.parametrize("end", ["UNLISTEN news", "UNLISTEN *"])
def test_what_is_committed_behind_its_end_in_a_transaction_is_not_told(
    client: RawClient, other: RawClient, end: str
) -> None:
    asks(client, "LISTEN news")
    for number in range(20):
        asks(client, f"BEGIN; {end}")
        asks(other, f"NOTIFY news, '{number}'")
        assert hears(client) == []
        assert payloads(asks(client, "COMMIT")) == []
        asks(client, "LISTEN news")


def test_what_was_committed_before_the_end_in_a_transaction_is_told(
    client: RawClient, other: RawClient
) -> None:
    asks(client, "LISTEN news")
    for number in range(50):
        asks(other, f"NOTIFY news, '{number}'")
        assert payloads(asks(client, "BEGIN")) == [str(number)]
        asks(client, "UNLISTEN news")
        asks(client, "COMMIT")
        asks(client, "BEGIN; LISTEN news; COMMIT")


def test_its_channels_are_those_that_it_listens_to(
    door: Door, client: RawClient, other: RawClient
) -> None:
    assert channels(client) == []
    asks(other, "LISTEN theirs")
    asks(client, "LISTEN one; LISTEN two; LISTEN one")
    assert channels(client) == ["one", "two"]
    assert channels(other) == ["theirs"]
    asks(client, "BEGIN; LISTEN three; UNLISTEN one")
    assert channels(client) == ["one", "two"]
    asks(client, "COMMIT")
    assert sorted(channels(client)) == ["three", "two"]
    count = "SELECT count(*) FROM pg_listening_channels() AS c WHERE c <> 'x'"
    assert client.value(count) == "2"
    client.send(parse(CHANNELS, "mine"), bind("mine"), execute(), SYNC)
    assert client.kinds() == b"12DDCZ"
    with join(door) as fresh:
        assert channels(fresh) == []
    asks(client, "UNLISTEN two")
    client.send(bind("mine"), execute(), SYNC)
    assert client.kinds() == b"2DCZ"


def test_its_channels_are_right_at_once_in_a_pipeline(client: RawClient) -> None:
    words = ["LISTEN a", CHANNELS, "LISTEN b", CHANNELS, "UNLISTEN a", CHANNELS, "UNLISTEN *"]
    client.send(*(query(text) for text in [*words, CHANNELS]))
    answers = [kinds(client.until()) for _ in range(8)]
    assert answers == [b"CZ", b"TDCZ", b"CZ", b"TDDCZ", b"CZ", b"TDCZ", b"CZ", b"TCZ"]


def test_a_listener_prepares_and_executes(client: RawClient, other: RawClient) -> None:
    """By SQL and by the protocol, in one go and one by one."""
    asks(client, "LISTEN news")
    asks(other, "NOTIFY news, '1'")
    assert payloads(asks(client, "PREPARE one AS SELECT 1")) == ["1"]
    assert kinds(asks(client, "EXECUTE one")) == b"TDCZ"
    client.send(parse("SELECT 2", "two"), SYNC, query("EXECUTE two"), query("EXECUTE nobody"))
    assert [client.kinds() for _ in range(3)] == [b"1Z", b"TDCZ", b"EZ"]
    words = ["PREPARE three AS SELECT 3", "EXECUTE three", "NOTIFY news, '2'", "DEALLOCATE three"]
    client.send(*(query(text) for text in words))
    assert [client.kinds() for _ in words] == [b"CZ", b"TDCZ", b"CAZ", b"CZ"]
    client.send(parse("NOTIFY news, '3'", "four"), SYNC, bind("four"), execute(), SYNC)
    assert [client.kinds() for _ in range(2)] == [b"1Z", b"2CAZ"]
    assert hears(client) == []


def test_a_statement_that_asks_for_its_channels_may_be_used_among_others(
    client: RawClient, other: RawClient
) -> None:
    asks(client, "LISTEN news")
    client.send(parse(CHANNELS, "mine"), bind("mine"), execute(), SYNC)
    assert client.kinds() == b"12DCZ"
    asks(other, "NOTIFY news, '1'")
    assert hears(client) == ["1"]
    used = [describe(b"S", "mine"), bind("mine"), describe(), execute()]
    client.send(*used, parse("SELECT 1", "mine"), SYNC, query("SELECT 2"))
    assert [client.kinds() for _ in range(2)] == [b"tT2TDCEZ", b"TDCZ"]
    client.send(*used, parse("SELECT 1"), bind(), execute(), SYNC)
    assert client.kinds() == b"tT2TDC12DCZ"
    assert channels(client) == ["news"]


def test_a_standby_refuses_to_listen(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    primary = make_postgres()
    standby = make_postgres.replica_of(primary)
    proxy = make_proxy(primary, standby)
    proxy.wait_target(standby.name)
    with standby.connect("app") as direct, proxy.connect(read_only=True) as client:
        for one in (direct, client):
            with pytest.raises(Exception, match="cannot execute LISTEN during recovery"):
                one.execute("LISTEN news")
            assert one.execute("UNLISTEN news").statusmessage == "UNLISTEN"
            assert one.execute("SELECT 1").fetchone() == (1,)
    assert proxy.metric("dbproxy_sessions_pinned", endpoint=READ_ONLY) == 0
