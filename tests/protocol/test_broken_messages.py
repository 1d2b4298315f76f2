"""Messages whose frame is whole and whose contents are not: answered as by the database itself."""

from __future__ import annotations

import pytest
from tests.fix_proxy import Proxy
from tests.raw_client import SYNC, RawClient, bind, error_fields, execute, message, parse, query
from tests.servers import HOST, PASSWORDS, Postgres

BAD_UTF_8 = b"\xff\xfe"


def bind_value(value: bytes) -> bytes:
    size = len(value).to_bytes(4, "big")
    return message(b"B", b"\0\0" + b"\0\0" + b"\0\1" + size + value + b"\0\0")


SCRIPTS = {
    "query-nul-inside": [message(b"Q", b"SELECT 'a\0b'\0")],
    "query-nul-before-more": [message(b"Q", b"SELECT 1\0; SELECT 2\0")],
    "query-without-nul": [message(b"Q", b"SELECT 1")],
    "query-empty-body": [message(b"Q")],
    "query-bad-utf-8": [message(b"Q", b"SELECT '" + BAD_UTF_8 + b"'\0")],
    "call-cut-short": [message(b"F", b"\0\0\0")],
    "call-without-arguments": [message(b"F", b"\0\0\0\1")],
    "parse-nul-inside": [message(b"P", b"\0SELECT 'a\0b'\0\0\0"), SYNC],
    "parse-name-without-nul": [message(b"P", b"name"), SYNC],
    "parse-too-long": [message(b"P", b"\0SELECT 1\0\0\0xyz"), SYNC],
    "parse-cut-short": [message(b"P", b"\0SELECT 1\0\0\1"), SYNC],
    "parse-bad-utf-8": [message(b"P", b"\0SELECT '" + BAD_UTF_8 + b"'\0\0\0"), SYNC],
    "bind-name-without-nul": [parse("SELECT 1"), message(b"B", b"\0name"), SYNC],
    "bind-too-long": [parse("SELECT 1"), message(b"B", b"\0" * 8 + b"x"), SYNC],
    "bind-cut-short": [
        parse("SELECT $1::int"),
        message(b"B", b"\0\0\0\0\0\1\0\0\0\x09"),
        SYNC,
    ],
    "bind-nul-in-value": [parse("SELECT $1::text"), bind_value(b"a\0b"), execute(), SYNC],
    "bind-bad-utf-8": [parse("SELECT $1::text"), bind_value(BAD_UTF_8), execute(), SYNC],
    "describe-of-what": [parse("SELECT 1"), message(b"D", b"X\0"), SYNC],
    "describe-without-nul": [parse("SELECT 1"), message(b"D", b"S"), SYNC],
    "close-of-what": [message(b"C", b"X\0"), SYNC],
    "execute-cut-short": [parse("SELECT 1"), bind(), message(b"E", b"\0\0\0"), SYNC],
    "execute-too-long": [parse("SELECT 1"), bind(), message(b"E", b"\0\0\0\0\0x"), SYNC],
    "flush-with-body": [message(b"H", b"x"), SYNC],
    "flush-with-body-in-batch": [parse("SELECT 1"), message(b"H", b"x"), bind(), execute(), SYNC],
    "sync-with-body": [message(b"S", b"x")],
    "sync-with-body-ends-batch": [
        parse("CREATE TABLE undone ()"),
        bind(),
        execute(),
        message(b"S", b"x"),
    ],
    "sync-with-body-behind-error": [parse("nonsense"), message(b"S", b"x")],
    "query-behind-broken-part": [message(b"C", b"X\0"), query("SELECT 1"), SYNC],
    "broken-query-behind-error": [parse("nonsense"), message(b"Q", b"SELECT 1"), SYNC],
    "broken-query-ends-batch": [parse("SELECT 1"), bind(), execute(), message(b"Q", b"SELECT 1")],
}


def shown(client: RawClient) -> list[object]:
    """What is said up to ReadyForQuery: of an error its fields but the place in the source."""
    found: list[object] = []
    for kind, payload in client.until():
        fields = error_fields(payload) if kind == b"E" else {}
        found.append((kind, {field: fields[field] for field in "VCM"} if fields else payload))
    return found


def answers(port: int, script: list[bytes], *, begin: bool) -> list[object]:
    with RawClient(HOST, port).login("app", PASSWORDS["app"]) as client:
        if begin:
            client.ask("BEGIN")
        client.send(*script)
        found = shown(client)
        # The session lives, and nothing is out of step.
        client.send(parse("SELECT 42"), bind(), execute(), SYNC)
        found += shown(client)
        if begin:
            client.send(query("ROLLBACK"))
            found += shown(client)
        return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_broken_message_is_answered_as_by_the_database(
    proxy: Proxy, postgres: Postgres, name: str
) -> None:
    for begin in (False, True):
        direct = answers(postgres.port, SCRIPTS[name], begin=begin)
        assert answers(proxy.port, SCRIPTS[name], begin=begin) == direct


def test_a_nul_in_a_text_pins_no_connection(proxy: Proxy) -> None:
    with RawClient(HOST, proxy.port).login("app", PASSWORDS["app"]) as client:
        client.send(message(b"Q", b"SELECT 'a\0b'\0"))
        client.until()
        client.send(message(b"P", b"name\0SELECT 'a\0b'\0\0\0"), SYNC)
        client.until()
        assert client.value("SELECT 42") == "42"
        assert proxy.metric("dbproxy_sessions_pinned") == 0
