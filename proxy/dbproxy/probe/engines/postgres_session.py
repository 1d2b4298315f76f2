"""One session of the agent at a PostgreSQL server; `postgres` opens, asks and ends it.

The engine's own machine logs in, so that a probe refuses whatever the engine refuses: a password
goes in clear text to a verified server only. After `abort` nothing more reaches the server, not
even what the kernel still holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from dbproxy.probe.engines.base import ProbeSpec, split_address, tls_context

LONGEST_ANSWER = 1 << 20
MOST_ANSWERS = 100
FAREWELL_DEADLINE = 1.0
TERMINATE = b"X\0\0\0\x04"
ROW_DESCRIPTION, DATA_ROW, ERROR_RESPONSE, READY_FOR_QUERY = b"T", b"D", b"E", b"Z"


class BackendLogin(Protocol):
    """The part of `_core.BackendLogin` that is used here."""

    def first(self) -> bytes: ...
    def feed(
        self, data: bytes, verified: bool | None, certificate: bytes | None
    ) -> tuple[int, bytes, str, str, str]: ...


MakeLogin = Callable[[bytes], BackendLogin]


class ServerError(Exception):
    """What the server, or the engine's policy towards it, refused; `sqlstate` says what kind."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


@dataclass(frozen=True)
class Entry:
    """Who enters which database, and where ("address:port")."""

    address: str
    user: str
    password: str
    database: str
    scram_only: bool


class Session:
    """Made first, then opened, so that it can be aborted at any moment of its life."""

    def __init__(self, spec: ProbeSpec, make_login: MakeLogin) -> None:
        self._spec = spec
        self._make_login = make_login
        self._wire = _Wire()
        self._connecting: asyncio.Task[tuple[asyncio.Transport, _Wire]] | None = None
        self._verified: bool | None = None
        self._certificate: bytes | None = None
        self.address = ""
        self.aborted = False

    async def open(self, entry: Entry) -> None:
        """Connect and log in. Raises ServerError, OSError, ssl.SSLError or TimeoutError."""
        self.address = entry.address
        try:
            await self._connect(entry)
            await self._log_in(entry)
        except BaseException:
            self.abort()
            raise

    async def row(self, query: str) -> dict[str, str | None]:
        """The only row of a query in the simple protocol: texts by column (PostgreSQL, 55.7)."""
        text = query.encode() + b"\0"
        self._send(b"Q" + struct.pack("!I", len(text) + 4) + text)
        answers, size = [await self._message()], 0
        while answers[-1][0] != READY_FOR_QUERY:
            size += len(answers[-1][1])
            if len(answers) > MOST_ANSWERS or size > LONGEST_ANSWER:
                raise ConnectionError("the server's answer doesn't end")
            answers.append(await self._message())
        return _only_row(answers)

    def abort(self) -> None:
        """End it at once; what the kernel has not sent yet is thrown away."""
        self.aborted = True
        if self._connecting is not None:
            self._connecting.cancel()
        self._wire.abort()

    async def leave(self) -> None:
        """End it in good order."""
        try:
            self._send(TERMINATE)
            self._wire.close()
            async with asyncio.timeout(FAREWELL_DEADLINE):
                await self._wire.gone()
        except (OSError, TimeoutError):
            self.abort()
        except asyncio.CancelledError:
            self.abort()
            raise

    # --- logging in -------------------------------------------------------------------------

    async def _connect(self, entry: Entry) -> None:
        host, port = split_address(entry.address)
        loop = asyncio.get_running_loop()
        connecting = asyncio.ensure_future(loop.create_connection(lambda: self._wire, host, port))
        self._connecting = connecting
        try:
            await connecting
        except asyncio.CancelledError:
            if self.aborted:
                raise ConnectionAbortedError("the probe was called off") from None
            raise
        finally:
            connecting.cancel()
            self._connecting = None

    async def _log_in(self, entry: Entry) -> None:
        mode = self._spec.tls_mode
        login = self._make_login(
            json.dumps(
                {
                    "user": entry.user,
                    "database": entry.database,
                    "password": entry.password,
                    "settings": [["application_name", self._spec.application_name]],
                    "tls_wanted": mode != "DISABLED",
                    "tls_required": mode not in ("DISABLED", "PREFERRED"),
                    "scram_only": entry.scram_only,
                }
            ).encode()
        )
        self._send(login.first())
        while True:
            await self._wire.more()
            state = await self._feed(login)
            if state == "TLS":
                await self._start_tls()
                state = await self._feed(login)
            if state == "READY":
                return

    async def _feed(self, login: BackendLogin) -> str:
        buffer = self._wire.buffer
        while True:
            used, out, state, sqlstate, message = login.feed(
                bytes(buffer), self._verified, self._certificate
            )
            del buffer[:used]
            if state == "FAILED":
                raise ServerError(sqlstate, message)
            self._send(out)
            if state != "WORKING":
                return state
            # It derives a key piece by piece, so that everybody else gets a turn.
            await asyncio.sleep(0)

    async def _start_tls(self) -> None:
        mode = self._spec.tls_mode
        context = tls_context("REQUIRED" if mode == "PREFERRED" else mode, self._spec.ca)
        tls = await self._wire.start_tls(context, self._spec.host)
        self._verified = mode.startswith("VERIFY")
        self._certificate = tls.getpeercert(binary_form=True)

    # --- bytes ------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        if self.aborted:
            raise ConnectionAbortedError("the probe was called off")
        self._wire.send(data)

    async def _message(self) -> tuple[bytes, bytes]:
        buffer = self._wire.buffer
        while True:
            if len(buffer) >= 5:
                (length,) = struct.unpack_from("!I", buffer, 1)
                if not 4 <= length <= LONGEST_ANSWER:
                    raise ConnectionError("the server sent no message of the PostgreSQL protocol")
                if len(buffer) > length:
                    tag, body = bytes(buffer[:1]), bytes(buffer[5 : length + 1])
                    del buffer[: length + 1]
                    return tag, body
            await self._wire.more()


class _Wire(asyncio.Protocol):
    """The socket, in plain or under TLS; what it received waits in `buffer`.

    No stream of asyncio: those keep what came before TLS began, as if it were from inside of it.
    """

    def __init__(self) -> None:
        self.buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._ended: BaseException | None = None
        # Set while there is something fresh, or the end.
        self._news = asyncio.Event()
        self._fresh = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._fresh = True
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = exc or ConnectionResetError("the server closed the connection")
        self._news.set()

    async def more(self) -> None:
        """Wait for bytes that nobody has looked at yet; raises what ended the connection."""
        await self._news.wait()
        if self._fresh:
            self._fresh = False
            if self._ended is None:
                self._news.clear()
        elif self._ended is not None:
            raise self._ended

    async def gone(self) -> None:
        while self._ended is None:
            self._news.clear()
            await self._news.wait()

    def send(self, data: bytes) -> None:
        if self._transport is None or self._ended is not None:
            raise self._ended or ConnectionResetError("there is no connection")
        if data:
            self._transport.write(data)

    async def start_tls(self, context: ssl.SSLContext, name: str) -> ssl.SSLObject:
        """From here on everything is encrypted. The caller has seen that nothing waits unread."""
        transport = self._transport
        if transport is None:
            raise ConnectionResetError("there is no connection")
        transport.pause_reading()
        loop = asyncio.get_running_loop()
        over = await loop.start_tls(transport, self, context, server_hostname=name)
        if over is None:
            raise ConnectionResetError("the server closed the connection")
        self._transport = over
        tls: ssl.SSLObject = over.get_extra_info("ssl_object")
        return tls

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            # A reset instead of a goodbye: the kernel sends nothing more (socket(7), SO_LINGER).
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _only_row(answers: Iterable[tuple[bytes, bytes]]) -> dict[str, str | None]:
    names: list[str] = []
    rows: list[list[str | None]] = []
    try:
        for tag, body in answers:
            if tag == ERROR_RESPONSE:
                raise _server_error(body)
            if tag == ROW_DESCRIPTION:
                names = _columns(body)
            elif tag == DATA_ROW:
                rows.append(_values(body))
    except struct.error as error:
        raise ConnectionError("the server sent a broken message") from error
    if len(rows) != 1 or len(names) != len(rows[0]):
        raise ConnectionError(f"the server answered with {len(rows)} rows where one is due")
    return dict(zip(names, rows[0], strict=True))


def _columns(body: bytes) -> list[str]:
    (count,) = struct.unpack_from("!H", body)
    names: list[str] = []
    rest = body[2:]
    for _ in range(count):
        name, _, rest = rest.partition(b"\0")
        names.append(name.decode(errors="replace"))
        rest = rest[18:]
    return names


def _values(body: bytes) -> list[str | None]:
    (count,) = struct.unpack_from("!H", body)
    values: list[str | None] = []
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at : at + length].decode(errors="replace"))
        at += max(0, length)
    return values


def _server_error(body: bytes) -> ServerError:
    """From the fields of an ErrorResponse (PostgreSQL, 55.8)."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return ServerError(fields.get(b"C", ""), fields.get(b"M", ""))
