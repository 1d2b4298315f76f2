"""Bad bytes of clients close who sent them, by a counted reason; memory stays bounded, and nobody
else notices."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Iterator

import pytest
from tests.fix_mysql_proxy import MySQLProxy
from tests.mysql.answers import Connection, value
from tests.mysql.raw import (
    PING,
    QUERY,
    SSL,
    Raw,
    closed,
    error_code,
    packet,
    query,
    resident,
    response,
    ssl_request,
)
from tests.mysql_servers import MySQL
from tests.servers import wait_until

pytestmark = pytest.mark.together
# Of the protocol, of a log-in, of what isn't supported.
REFUSALS = {1043, 1045, 1153, 1156, 1158, 1251, 1835}
# Far more than the proxy may keep for one client, far less than the flood.
ALLOWED = 48
FLOOD = 256 * 2**20


@pytest.fixture
def bystander(mysql_proxy: MySQLProxy) -> Iterator[Connection]:
    """Somebody else, in the middle of a transaction."""
    with contextlib.closing(mysql_proxy.client(ssl_disabled=True)) as client:
        value(client, "BEGIN")
        value(client, "SET @mine = 42")
        yield client
        assert value(client, "SELECT @mine") == 42
        value(client, "ROLLBACK")


@pytest.fixture
def raw(mysql_proxy: MySQLProxy) -> Iterator[Raw]:
    """A client that is logged in."""
    with Raw.of(mysql_proxy.client(ssl_disabled=True)) as client:
        yield client


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0" * 64,
        b"\xff" * 64,
        packet(1, b""),
        packet(1, b"\x0d"),
        packet(0, response("app")),
        packet(2, response("app")),
        packet(1, response("app")[:-30]),
        packet(1, response("app", capabilities=0x8200)[:33]),
        packet(1, struct.pack("<HHB", 0x8001, 0, 0) + b"app\0"),
        # Nobody waits for what can't be a log-in.
        b"\xff\xff\xff\x01" + b"x" * 1000,
    ],
)
def test_garbage_instead_of_a_log_in_closes_its_client(
    mysql_proxy: MySQLProxy, bystander: Connection, garbage: bytes
) -> None:
    with Raw.to(mysql_proxy.port) as client:
        greeting = client.read()
        assert greeting is not None
        assert greeting[1][0] == 10
        client.send(garbage)
        client.socket.shutdown(1)
        for _, payload in client.closed():
            assert error_code(payload) in REFUSALS


def test_bytes_behind_a_request_for_tls_close_their_client(
    mysql_proxy: MySQLProxy, bystander: Connection
) -> None:
    before = closed(mysql_proxy, "stuffed_bytes")
    with Raw.to(mysql_proxy.port) as client:
        client.read()
        client.send(ssl_request() + packet(2, response("app", capabilities=0x88200 | SSL)))
        assert [error_code(payload) for _, payload in client.closed()] == [1043]
    wait_until(lambda: closed(mysql_proxy, "stuffed_bytes") == before + 1, "it is counted")


def test_what_is_no_tls_behind_a_request_for_it_is_counted(
    mysql_proxy: MySQLProxy, bystander: Connection
) -> None:
    before = closed(mysql_proxy, "tls_failed")
    with Raw.to(mysql_proxy.port) as client:
        client.read()
        client.send(ssl_request())
        wait_until(lambda: True, "it is read apart")
        client.send(b"\x16\x03\x01\x00\x05hello" * 3)
        while client.socket.recv(1000):
            pass
    # Of bytes that came with the request it is the other reason.
    wait_until(
        lambda: closed(mysql_proxy, "tls_failed") + closed(mysql_proxy, "stuffed_bytes") > before,
        "it is counted",
    )


@pytest.mark.parametrize("number", [1, 2, 255])
def test_a_packet_whose_turn_it_is_not_closes_its_client_as_at_the_database(
    mysql_proxy: MySQLProxy, mysql: MySQL, bystander: Connection, number: int
) -> None:
    before = closed(mysql_proxy, "protocol_violation")
    with (
        Raw.of(mysql_proxy.client(ssl_disabled=True)) as through,
        Raw.of(mysql.connect("app", ssl_disabled=True)) as direct,
    ):
        told = []
        for client in (through, direct):
            client.send(packet(number, QUERY + b"SELECT 1"))
            told.append([error_code(payload) for _, payload in client.closed()])
        assert told[0] in (told[1], [1156])
    wait_until(lambda: closed(mysql_proxy, "protocol_violation") == before + 1, "it is counted")


# What every server answers with an error, or not at all, and goes on.
BROKEN = {
    "nothing": b"",
    "sleep": b"\0",
    "unknown command": b"\x6a",
    "connect": b"\x0b",
    "time": b"\x0f",
    "an empty text": QUERY,
    "a NUL in a text": QUERY + b"SELECT 'a\0b'",
    "a NUL behind a text": QUERY + b"SELECT 1\0",
    "bad UTF-8": QUERY + b"SELECT '\xff\xfe'",
    "an option of no length": b"\x1b",
    "an unknown option": b"\x1b\x07\0",
    "execute of nothing": b"\x17",
    "execute of what isn't there": b"\x17\x99\0\0\0\0\x01\0\0\0",
    "execute cut short": b"\x17\x99\0",
    "fetch of what isn't there": b"\x1c\x99\0\0\0\x01\0\0\0",
    "reset of what isn't there": b"\x1a\x99\0\0\0",
    "no database": b"\x02",
    "an unknown database": b"\x02nowhere",
    "prepare of nothing": b"\x16",
    "prepare of nonsense": b"\x16nonsense",
}


def answered(client: Raw, payload: bytes) -> list[object]:
    """What is told: of errors their number; and whether the session lives and is in step."""
    found: list[object] = []
    for part in (packet(0, payload), packet(0, PING)):
        client.send(part)
        one = client.read()
        if one is None:
            return [*found, "closed"]
        number, said = one
        is_error = said[:1] == b"\xff"
        found.append((number, error_code(said) if is_error else said[:1]))
        # Rows and columns, up to the end of them.
        while not is_error and said[:1] not in (b"\0", b"\xfe"):
            one = client.read()
            assert one is not None
            said = one[1]
    return found


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_command_is_answered_as_by_the_database(
    mysql_proxy: MySQLProxy, mysql: MySQL, bystander: Connection, name: str
) -> None:
    with (
        Raw.of(mysql_proxy.client(ssl_disabled=True)) as through,
        Raw.of(mysql.connect("app", ssl_disabled=True)) as direct,
    ):
        assert answered(through, BROKEN[name]) == answered(direct, BROKEN[name])


def test_garbage_in_a_transaction_rolls_it_back(
    mysql_proxy: MySQLProxy, mysql: MySQL, bystander: Connection
) -> None:
    mysql.sql("CREATE TABLE app.garbage (id INT)")
    try:
        client = mysql_proxy.client(ssl_disabled=True)
        value(client, "BEGIN")
        value(client, "INSERT INTO garbage VALUES (1)")
        with Raw.of(client) as raw:
            raw.send(packet(7, b"garbage"))
            raw.closed()
        # It locks nothing any more.
        mysql.sql("ALTER TABLE app.garbage ADD COLUMN n INT")
        assert mysql.value("SELECT COUNT(*) FROM app.garbage") == 0
    finally:
        mysql.sql("DROP TABLE app.garbage")


def test_half_a_command_holds_no_database_connection(
    mysql_proxy: MySQLProxy, bystander: Connection, raw: Raw
) -> None:
    text = query("SELECT 'half'")
    raw.send(text[:-3])
    with contextlib.closing(mysql_proxy.client(ssl_disabled=True)) as other:
        assert value(other, "SELECT 1") == 1
        borrowed = "dbproxy_database_connections_currently_borrowed"
        wait_until(lambda: mysql_proxy.metric(borrowed) <= 1, "only the bystander has one")
        raw.send(text[-3:])
        assert raw.read() == (1, b"\x01")


def test_who_leaves_in_the_middle_of_a_long_command_leaves_nothing(
    mysql_proxy: MySQLProxy, mysql: MySQL, bystander: Connection
) -> None:
    mysql.sql("CREATE TABLE app.half (t LONGTEXT)")
    try:
        for _ in range(5):
            with Raw.of(mysql_proxy.client(ssl_disabled=True)) as client:
                text = query("INSERT INTO half VALUES ('" + "x" * 3_000_000 + "')")
                client.send(text[:2_000_000])
        with contextlib.closing(mysql_proxy.client(ssl_disabled=True)) as client:
            assert value(client, "SELECT COUNT(*) FROM half") == 0
    finally:
        mysql.sql("DROP TABLE app.half")


def test_a_log_in_that_is_never_finished_holds_nobody_up(
    mysql_proxy: MySQLProxy, bystander: Connection
) -> None:
    with Raw.to(mysql_proxy.port) as client:
        client.read()
        client.send(packet(1, response("app"))[:20])
        with contextlib.closing(mysql_proxy.client(ssl_disabled=True)) as other:
            assert value(other, "SELECT 1") == 1


def test_random_bytes_never_bring_the_proxy_down(
    mysql_proxy: MySQLProxy, bystander: Connection
) -> None:
    chance = random.Random(20_261_127)
    for turn in range(60):
        garbage = chance.randbytes(chance.randrange(1, 200))
        kind = turn % 3
        if kind == 0:
            raw = Raw.to(mysql_proxy.port)
            raw.read()
        else:
            raw = Raw.of(mysql_proxy.client(ssl_disabled=True))
            if kind == 2:
                garbage = packet(0, garbage)
        with raw:
            raw.send(garbage)
            raw.socket.shutdown(1)
            raw.closed()
    assert mysql_proxy.running


# --- memory -------------------------------------------------------------------------------------


def flood(client: Raw, piece: bytes) -> int:
    """Send as much as the proxy takes without reading an answer; the bytes that it took."""
    client.socket.settimeout(2)
    sent = 0
    with contextlib.suppress(TimeoutError, ConnectionError):
        while sent < FLOOD:
            sent += client.socket.send(piece)
    return sent


@pytest.mark.parametrize(
    "what", [packet(0, PING), query("SELECT 1"), query("SELECT CONNECTION_ID()")]
)
def test_who_floods_and_reads_nothing_stays_small(
    mysql_proxy: MySQLProxy, raw: Raw, what: bytes
) -> None:
    resting = resident(mysql_proxy)
    taken = flood(raw, what * (65_536 // len(what)))
    assert taken < FLOOD, "the proxy reads on for a client that reads nothing"
    assert resident(mysql_proxy) - resting < ALLOWED


def test_who_asks_for_much_and_reads_nothing_stays_small(
    mysql_proxy: MySQLProxy, mysql: MySQL
) -> None:
    with Raw.of(mysql_proxy.client(ssl_disabled=True)) as client:
        resting = resident(mysql_proxy)
        rows = " UNION ALL ".join(["SELECT REPEAT('x', 16000000)"] * 12)
        client.send(query(rows))
        writing = "SELECT 1 FROM information_schema.processlist WHERE info = %s AND time >= 1"
        wait_until(lambda: mysql.sql(writing, rows), "the server waits for it")
        assert resident(mysql_proxy) - resting < ALLOWED


def test_an_endless_command_is_ended_by_the_database_and_stays_small(
    mysql_proxy: MySQLProxy, bystander: Connection, raw: Raw
) -> None:
    resting = resident(mysql_proxy)
    full = b"\xff" * 3
    most = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        for number in range(16):
            # The first packet is of a text; each says that another follows.
            body = (QUERY if number == 0 else b"x") + b"x" * (2**24 - 2)
            raw.socket.sendall(full + bytes([number]) + body)
            most = max(most, resident(mysql_proxy) - resting)
    assert most < ALLOWED
    # Either its words or, where those are lost behind what it hadn't read, the end.
    assert {error_code(payload) for _, payload in raw.closed()} <= {1153, 1158, 1213, 1053}
