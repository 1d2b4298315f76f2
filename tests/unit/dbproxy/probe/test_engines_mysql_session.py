"""The agent's sessions at MySQL servers that are not what they should be: hostile bytes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.certificates import Authority
from tests.scripted_server import SECRET, Play, Serve, Server

from dbproxy.facts import Probe
from dbproxy.probe.engines.base import Attempt
from dbproxy.probe.engines.mysql import MySQLProbe
from dbproxy.probe.engines.mysql_session import Entry, Session

SALT = bytes(range(1, 21))
SSL, SESSION_TRACK = 1 << 11, 1 << 23
# What MySQL 5.6 can do, and no more: protocol 4.1 with plugins, attributes and length-encoded data.
OLD = 0x807FF7FF & ~SSL
MODERN = OLD | SESSION_TRACK
# By LONG_PASSWORD a server says that it is MySQL.
MARIADB = MODERN & ~1


def packet(number: int, payload: bytes) -> bytes:
    return struct.pack("<I", len(payload))[:3] + bytes((number,)) + payload


def greeting(
    version: str = "8.0.31", flags: int = MODERN, plugin: str = "caching_sha2_password"
) -> bytes:
    begin = b"\x0a" + version.encode() + b"\0" + struct.pack("<I", 7) + SALT[:8] + b"\0"
    halves = struct.pack("<HBHHB", flags & 0xFFFF, 45, 2, flags >> 16, 21)
    return packet(0, begin + halves + bytes(10) + SALT[8:] + b"\0" + plugin.encode() + b"\0")


def ok(number: int) -> bytes:
    return packet(number, b"\0\0\0\x02\0\0\0")


def refusal(number: int, code: int, told: str) -> bytes:
    return packet(number, b"\xff" + struct.pack("<H", code) + b"#HY000" + told.encode())


def switch(number: int, plugin: str) -> bytes:
    return packet(number, b"\xfe" + plugin.encode() + b"\0" + SALT + b"\0")


def text(value: str) -> bytes:
    return bytes((len(value),)) + value.encode()


def result(row: Mapping[str, str | None]) -> bytes:
    """One row; of no columns, no row at all."""
    payloads = [bytes((len(row),))]
    for name in row:
        column = b"".join(map(text, ("def", "", "", "", name, name)))
        payloads.append(column + b"\x0c" + struct.pack("<HIBHB", 45, 255, 253, 0, 0) + bytes(2))
    payloads.append(b"\xfe\0\0\x02\0")
    payloads.append(b"".join(b"\xfb" if v is None else text(v) for v in row.values()))
    payloads.append(b"\xfe\0\0\x02\0")
    return b"".join(packet(number + 1, payload) for number, payload in enumerate(payloads))


def greets(*words: Any) -> Play:
    """A server that says no more than its greeting."""

    async def greet(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(greeting(*words))

    return greet


async def one(server: Server, reader: asyncio.StreamReader) -> bytes:
    """The client's next packet."""
    head = await reader.readexactly(4)
    payload = await reader.readexactly(head[0] | head[1] << 8 | head[2] << 16)
    server.heard += payload
    return payload


async def ask(server: Server, mode: str = "DISABLED") -> Probe:
    probe = MySQLProbe(server.spec(mode))
    found = await probe.ask([server.address])
    probe.abort()
    return found


async def test_a_server_without_session_tracking_is_refused_before_it_hears_anything(
    serve: Serve,
) -> None:
    server = await serve(greets("5.6.24", OLD, "mysql_native_password"))
    found = await ask(server)
    await server.ended.wait()
    assert (found.reason, found.decisive) == ("CONNECTION_FAILED", True)
    assert found.message == (
        "the server (5.6.24) doesn't tell what changes in a session:"
        " it must be MySQL 5.7, MariaDB 10.2 or later"
    )
    assert not server.heard


@pytest.mark.parametrize("version", ["11.4.5-MariaDB-log", "5.5.5-11.4.5-MariaDB"])
async def test_a_mariadb_that_tells_of_other_variables_is_refused(
    serve: Serve, version: str
) -> None:
    server = await serve(greets(version, MARIADB, "mysql_native_password"))
    found = await ask(server)
    await server.ended.wait()
    assert (found.reason, found.decisive) == ("CONNECTION_FAILED", True)
    assert found.message == (
        f"the server ({version}) tells of other variables than those that were set:"
        " it must be MariaDB 10.2 to 10.11"
    )
    assert not server.heard


@pytest.mark.parametrize("version", ["8.0.31", "5.5.5-10.11.19-MariaDB-log", "8.0.mysql_aurora.3"])
async def test_the_version_of_the_greeting_is_kept_to_the_letter(
    serve: Serve, version: str
) -> None:
    async def let_in(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(greeting(version))
        await one(server, reader)
        writer.write(ok(2))

    server = await serve(let_in)
    session = Session(server.spec("DISABLED"))
    await session.open(Entry(server.address, "monitor", SECRET))
    session.abort()
    assert session.version == version


@pytest.mark.parametrize("version", ["", "8.0\n31", "8.0.31-\x7f", "8.0.31-é", "8" * 256])
async def test_a_greeting_without_a_version_is_not_answered(serve: Serve, version: str) -> None:
    server = await serve(greets(version))
    found = await ask(server)
    await server.ended.wait()
    assert (found.state, found.message) == ("FAILED", "the server's greeting tells no version")
    assert not server.heard


@pytest.mark.parametrize("mode", ["DISABLED", "PREFERRED"])
@pytest.mark.parametrize(
    "plugin", ["mysql_clear_password", "sha256_password", "mysql_old_password"]
)
async def test_a_server_that_nobody_verified_gets_no_password_in_clear_text(
    serve: Serve, mode: str, plugin: str
) -> None:
    async def want(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(greeting())
        await one(server, reader)
        writer.write(switch(2, plugin))

    server = await serve(want)
    probe = MySQLProbe(server.spec(mode))
    found = await probe.ask([server.address])
    login = await probe.try_login(Attempt("app", (SECRET, SECRET + "-older")), [server.address])
    await server.ended.wait()
    assert SECRET.encode() not in server.heard
    assert (found.state, login.ok) == ("FAILED", False)
    assert login.message == found.message
    assert ("clear text" if "clear" in plugin else plugin) in found.message


@pytest.mark.parametrize("mode", ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
async def test_a_server_that_hides_its_tls_hears_nothing_where_tls_is_required(
    serve: Serve, authority: Authority, mode: str
) -> None:
    server = await serve(greets())
    probe = MySQLProbe(replace(server.spec(mode), ca=authority.ca.read_text()))
    found = await probe.ask([server.address])
    await server.ended.wait()
    assert (found.reason, found.decisive) == ("CONNECTION_FAILED", True)
    assert not server.heard


async def test_tls_that_fails_is_not_done_without_where_it_is_only_preferred(
    serve: Serve,
) -> None:
    async def break_tls(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(greeting(flags=MODERN | SSL))
        await one(server, reader)
        # As if it had been said under TLS, by who sits in between.
        writer.write(ok(2) + ok(3))

    server = await serve(break_tls)
    found = await ask(server, "PREFERRED")
    await server.ended.wait()
    assert (found.state, found.reason) == ("FAILED", "CONNECTION_FAILED")
    assert b"monitor" not in server.heard
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        result({"read_only": "0"}),
        result({"a": "1"}).replace(packet(4, text("1")), packet(4, b"\x09cut")),
        packet(1, b"\xfb/etc/passwd"),
        packet(1, b"\x01") + packet(2, b"\0"),
        packet(1, b"\xfe"),
        ok(1),
    ],
    ids=[
        "another row",
        "a row cut short",
        "a wish for a file",
        "no columns",
        "no result",
        "no row",
    ],
)
async def test_a_broken_answer_is_a_failure_of_the_target(serve: Serve, answer: bytes) -> None:
    async def answer_wrongly(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(greeting())
        await one(server, reader)
        writer.write(ok(2))
        while await one(server, reader):
            writer.write(answer)

    server = await serve(answer_wrongly)
    found = await asyncio.wait_for(ask(server), 30)
    assert (found.state, found.reason) == ("FAILED", "CONNECTION_FAILED")
    assert b"root:" not in server.heard


async def test_an_answer_without_end_is_not_read_to_its_end(serve: Serve) -> None:
    async def go_on(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(greeting())
        await one(server, reader)
        writer.write(ok(2))
        await one(server, reader)
        row = b"\xfc" + struct.pack("<H", 60_000) + bytes(60_000)
        writer.write(result({"a": "1"})[: -len(packet(5, b"\xfe\0\0\x02\0"))])
        for number in range(5, 30):
            writer.write(packet(number, row))

    found = await ask(await serve(go_on))
    assert (found.state, found.message) == ("FAILED", "the server's answer doesn't end")


async def test_an_abort_ends_a_login_trial_too_without_another_byte(serve: Serve) -> None:
    logging_in = asyncio.Event()

    async def stay_silent(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(greeting())
        await one(server, reader)
        server.heard.clear()
        logging_in.set()

    server = await serve(stay_silent)
    probe = MySQLProbe(server.spec("DISABLED"))
    trial = asyncio.ensure_future(
        probe.try_login(Attempt("app", (SECRET, "older")), [server.address])
    )
    await logging_in.wait()
    probe.abort()
    login = await trial
    await server.ended.wait()
    assert (login.ok, login.message) == (False, "the probe was called off")
    assert not server.heard
    assert server.connections == 1


async def test_an_abort_amid_a_tls_handshake_ends_it(serve: Serve) -> None:
    beginning = asyncio.Event()

    async def stay_silent(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(greeting(flags=MODERN | SSL))
        await one(server, reader)
        await reader.readexactly(5)
        beginning.set()

    server = await serve(stay_silent)
    probe = MySQLProbe(server.spec("REQUIRED"))
    asking = asyncio.ensure_future(probe.ask([server.address]))
    await beginning.wait()
    probe.abort()
    assert (await asking).state == "FAILED"
    await asyncio.wait_for(server.ended.wait(), 30)
    assert server.connections == 1


async def test_a_full_or_refusing_server_is_told_apart_by_its_number(serve: Serve) -> None:
    for code, reason, decisive in (
        (1040, "CONNECTION_FAILED", False),
        (1203, "CONNECTION_FAILED", False),
        (1130, "AUTH_FAILURE", True),
        (1129, "CONNECTION_FAILED", True),
    ):
        told = refusal(0, code, f"told {code}")

        async def refuse(
            server: Server,
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            told: bytes = told,
        ) -> None:
            writer.write(told)

        found = await ask(await serve(refuse))
        assert (found.reason, found.decisive) == (reason, decisive)
        assert found.message == f"told {code}"
