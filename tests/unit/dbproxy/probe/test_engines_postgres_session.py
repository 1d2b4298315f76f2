"""The agent's sessions at servers that are not what they should be: bytes from a hostile one."""

from __future__ import annotations

import asyncio
import ssl
import struct
from dataclasses import replace

import pytest
from tests.certificates import Authority
from tests.scripted_server import SECRET, Serve, Server

from dbproxy.dataplane import backend_login
from dbproxy.facts import ServerFacts
from dbproxy.probe.engines.base import Attempt
from dbproxy.probe.engines.postgres import PostgresProbe


def message(tag: bytes, body: bytes = b"") -> bytes:
    return tag + struct.pack("!I", len(body) + 4) + body


def the_row(*values: str | None) -> bytes:
    """The answer to the probe's query."""
    names = ("in_recovery", "max_connections", "reserved", "timeline", "lag", "defaults")
    count = struct.pack("!H", len(names))
    columns = b"".join(name.encode() + b"\0" + bytes(18) for name in names)
    fields = [
        struct.pack("!i", -1 if value is None else len(value)) + (value or "").encode()
        for value in values
    ]
    row = message(b"D", count + b"".join(fields))
    return message(b"T", count + columns) + row + message(b"Z", b"I")


SSL_REQUEST = struct.pack("!I", 80877103)
CLEARTEXT = message(b"R", struct.pack("!I", 3))
AUTHENTICATED = message(b"R", struct.pack("!I", 0)) + message(b"Z", b"I")


async def startup(server: Server, reader: asyncio.StreamReader) -> None:
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    server.heard += await reader.readexactly(length - 4)


async def refuse_tls_and_ask_for_the_password(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await startup(server, reader)
    if server.heard.endswith(SSL_REQUEST):
        writer.write(b"N")
        await startup(server, reader)
    writer.write(CLEARTEXT)


@pytest.mark.parametrize("mode", ["DISABLED", "PREFERRED"])
async def test_a_server_that_nobody_verified_gets_no_password_in_clear_text(
    serve: Serve, mode: str
) -> None:
    server = await serve(refuse_tls_and_ask_for_the_password)
    probe = PostgresProbe(server.spec(mode), backend_login)
    found = await probe.ask([server.address])
    login = await probe.try_login(Attempt("app", (SECRET, SECRET + "-older")), [server.address])
    await server.ended.wait()
    assert SECRET.encode() not in server.heard
    assert (found.state, login.ok) == ("FAILED", False)
    assert "clear-text" in found.message
    assert "clear-text" in login.message


async def refuse_tls_and_ask_for_md5(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await startup(server, reader)
    if server.heard.endswith(SSL_REQUEST):
        writer.write(b"N")
        await startup(server, reader)
    writer.write(message(b"R", struct.pack("!I", 5) + b"salt"))


@pytest.mark.parametrize("mode", ["DISABLED", "PREFERRED"])
async def test_a_server_that_nobody_verified_gets_no_md5_answer_of_a_user_of_scram(
    serve: Serve, mode: str
) -> None:
    server = await serve(refuse_tls_and_ask_for_md5)
    probe = PostgresProbe(server.spec(mode), backend_login)
    login = await probe.try_login(Attempt("app", (SECRET,)), [server.address])
    await server.ended.wait()
    assert b"md5" not in server.heard
    assert not login.ok
    assert "MD5" in login.message


async def test_bytes_stuffed_behind_the_answer_to_an_sslrequest_end_the_session(
    serve: Serve,
) -> None:
    async def stuff(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readexactly(8)
        writer.write(b"S" + AUTHENTICATED)

    server = await serve(stuff)
    probe = PostgresProbe(server.spec("REQUIRED"), backend_login)
    found = await probe.ask([server.address])
    await server.ended.wait()
    assert (found.reason, found.decisive) == ("CONNECTION_FAILED", True)
    assert not server.heard


@pytest.mark.parametrize(
    "answer",
    [
        message(b"D", b"\0\x01\0\0\0\xff") + message(b"Z", b"I"),
        message(b"T", b"\xff\xff") + message(b"Z", b"I"),
        message(b"C", b"SELECT 0\0") + message(b"Z", b"I"),
        b"D\xff\xff\xff\xff",
        message(b"N", b"\0") * 200,
        message(b"N", b"x" * 600_000) * 2,
        the_row("f", str(2**31), "3", "00000001", None),
        the_row("t", "100", "-3", None, "0"),
        the_row("t", "100", "101", None, "0"),
    ],
    ids=[
        "a value cut short",
        "columns that are not there",
        "no row",
        "too long",
        "without end",
        "too much",
        "more connections than there can be",
        "fewer than none reserved",
        "more reserved than there are",
    ],
)
async def test_a_broken_answer_is_a_failure_of_the_target(serve: Serve, answer: bytes) -> None:
    async def answer_wrongly(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await startup(server, reader)
        writer.write(AUTHENTICATED)
        await reader.readexactly(5)
        writer.write(answer)

    server = await serve(answer_wrongly)
    found = await PostgresProbe(server.spec("DISABLED"), backend_login).ask([server.address])
    assert (found.state, found.reason) == ("FAILED", "CONNECTION_FAILED")


async def test_a_right_answer_is_taken(serve: Serve) -> None:
    async def answer_rightly(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await startup(server, reader)
        writer.write(AUTHENTICATED)
        await reader.readexactly(5)
        writer.write(the_row("f", "100", "3", "0000000A", None, "7:8"))

    server = await serve(answer_rightly)
    probe = PostgresProbe(server.spec("DISABLED"), backend_login)
    found = await probe.ask([server.address])
    probe.abort()
    assert found.server == ServerFacts(False, 100, 3, 10, None, "7:8")


async def test_an_abort_ends_a_login_trial_too_without_another_byte(serve: Serve) -> None:
    logging_in = asyncio.Event()

    async def stay_silent(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await startup(server, reader)
        server.heard.clear()
        logging_in.set()

    server = await serve(stay_silent)
    probe = PostgresProbe(server.spec("DISABLED"), backend_login)
    trial = asyncio.ensure_future(
        probe.try_login(Attempt("app", (SECRET, "older")), [server.address])
    )
    await logging_in.wait()
    probe.abort()
    assert not (await trial).ok
    await server.ended.wait()
    assert not server.heard
    assert server.connections == 1


async def test_a_silent_first_address_leaves_time_for_the_second(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never_answer(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        return

    async def refuse(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await startup(server, reader)
        fields = b"SFATAL\0C28P01\0Mwrong password\0\0"
        writer.write(message(b"E", fields))

    monkeypatch.setattr("dbproxy.probe.engines.standing.CONNECT_DEADLINE", 4.0)
    silent, speaking = await serve(never_answer), await serve(refuse)
    probe = PostgresProbe(speaking.spec("DISABLED"), backend_login)
    found = await probe.ask([silent.address, speaking.address])
    assert found.reason == "AUTH_FAILURE"


async def test_a_verified_server_may_ask_for_the_password_in_clear_text(
    serve: Serve, authority: Authority
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    told = asyncio.Event()

    async def ask_under_tls(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        await writer.start_tls(context)
        await startup(server, reader)
        writer.write(CLEARTEXT)
        await reader.readuntil(SECRET.encode())
        told.set()

    server = await serve(ask_under_tls)
    spec = replace(server.spec("VERIFY_CA"), ca=authority.ca.read_text())
    probe = PostgresProbe(spec, backend_login)
    asking = asyncio.ensure_future(probe.ask([server.address]))
    await told.wait()
    probe.abort()
    await asking
