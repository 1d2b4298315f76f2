"""One session of the agent at a MySQL or MariaDB server; `mysql` opens, asks and ends it.

aiomysql frames packets and reads results; logging in is ours, since aiomysql goes on in clear text
where a server says that it has no TLS, gives a password to whoever asks for it, and has neither
passwords of UTF-8 nor MariaDB's ed25519. After `abort` nothing more reaches the server, not even
what the kernel still holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import aiomysql
from pymysql import _auth
from pymysql.charset import charset_by_name
from pymysql.constants import CLIENT
from pymysql.err import MySQLError

from dbproxy.probe.engines.base import ProbeSpec, split_address, tls_context

T = TypeVar("T")
LONGEST_ANSWER = 1 << 20
FAREWELL_DEADLINE = 1.0
LARGEST_PACKET = 1 << 24
CHARSET = "utf8mb4"
# Of one log-in: a switch to another plugin, and what that one still wants to be told.
MOST_STEPS = 8
SCRAMBLE = 20
NATIVE, CACHING_SHA2 = "mysql_native_password", "caching_sha2_password"
ED25519, CLEAR = "client_ed25519", "mysql_clear_password"
# Of caching_sha2_password (MySQL's manual of the protocol, "Caching_sha2_password information").
FAST_SUCCESS, WANTS_ALL, ASK_FOR_KEY = 3, 4, b"\x02"
# Since MySQL 5.7 and MariaDB 10.2; what the engine does rests on it.
SESSION_TRACK = 1 << 23
# MySQL itself has 60 at most (SERVER_VERSION_LENGTH).
LONGEST_VERSION = 255
# Numbers of errors that the client's own side makes up.
OF_THE_CLIENT = range(2000, 3000)


class ServerError(Exception):
    """What the server, or our policy towards it, refused; `number` says what kind (0: ours)."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


@dataclass(frozen=True)
class Entry:
    """Who enters, and where ("address:port")."""

    address: str
    user: str
    password: str


class Session:
    """Made first, then opened, so that it can be aborted at any moment of its life."""

    def __init__(self, spec: ProbeSpec) -> None:
        self._spec = spec
        self._connection: _Connection | None = None
        self._doing: asyncio.Task[Any] | None = None
        self.address = ""
        self.aborted = False
        self.is_mariadb = False
        # As its greeting tells it, MariaDB's `5.5.5-` included; `@@version` may be another.
        self.version = ""

    async def open(self, entry: Entry) -> None:
        """Connect and log in. Raises ServerError, OSError, ssl.SSLError or TimeoutError."""
        self.address = entry.address
        self._connection = connection = _Connection(self._spec, entry)
        try:
            await self._run(connection._connect())
        except BaseException:
            self.abort()
            raise
        self.is_mariadb = connection.is_mariadb
        self.version = connection.server_version

    async def rows(self, query: str) -> list[dict[str, str | None]]:
        """All rows of a query: texts by column, whose names are in lower case."""
        assert self._connection is not None
        return await self._run(self._connection.rows(query))

    async def row(self, query: str) -> dict[str, str | None]:
        """The only row of a query."""
        rows = await self.rows(query)
        if len(rows) != 1:
            raise ConnectionError(f"the server answered with {len(rows)} rows where one is due")
        return rows[0]

    def abort(self) -> None:
        """End it at once; what the kernel has not sent yet is thrown away."""
        self.aborted = True
        if self._connection is not None:
            self._connection.abort()
        if self._doing is not None:
            self._doing.cancel()

    async def leave(self) -> None:
        """End it in good order."""
        assert self._connection is not None
        try:
            async with asyncio.timeout(FAREWELL_DEADLINE):
                await self._run(self._connection.leave())
        except (OSError, TimeoutError):
            self.abort()
        except asyncio.CancelledError:
            self.abort()
            raise

    async def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        """What the connection does, in a task that an abort ends, and with plain errors."""
        if self.aborted:
            doing.close()
            raise ConnectionAbortedError("the probe was called off")
        self._doing = task = asyncio.ensure_future(doing)
        try:
            return await task
        except asyncio.CancelledError:
            if self.aborted:
                raise ConnectionAbortedError("the probe was called off") from None
            raise
        except Exception as error:
            if self.aborted:
                raise ConnectionAbortedError("the probe was called off") from None
            raise _plain(error) from error
        finally:
            task.cancel()
            self._doing = None


def _plain(error: Exception) -> Exception:
    """What an error of the driver comes from: the network, TLS, the server or broken bytes."""
    if isinstance(error, MySQLError):
        if isinstance(error.__cause__, OSError):
            return error.__cause__
        number, *texts = error.args or (0,)
        if isinstance(number, int) and texts and number not in OF_THE_CLIENT:
            return ServerError(number, str(texts[0]))
        return ConnectionResetError("the server closed the connection")
    if isinstance(error, OSError | ServerError | MemoryError):
        return error
    return ConnectionError("the server sent a broken message")


class _Connection(aiomysql.Connection):  # type: ignore[misc]
    """The driver's connection, with a log-in of our own and an end to what it reads."""

    _reader: Any
    _writer: Any

    def __init__(self, spec: ProbeSpec, entry: Entry) -> None:
        host, port = split_address(entry.address)
        super().__init__(
            host=host,
            port=port,
            user=entry.user,
            charset=CHARSET,
            # Every value as the text that it came as.
            conv={},
            # It sends no SET of its own.
            autocommit=None,
            program_name=spec.application_name,
        )
        self.client_flag &= ~CLIENT.MULTI_STATEMENTS
        self._spec = spec
        self._secret = entry.password.encode()
        self._left = LONGEST_ANSWER
        self._tls = False

    @property
    def is_mariadb(self) -> bool:
        """MariaDB doesn't claim to be MySQL by this bit, whatever version it was told to show."""
        return not self.server_capabilities & CLIENT.LONG_PASSWORD

    async def rows(self, query: str) -> list[dict[str, str | None]]:
        self._left = LONGEST_ANSWER
        await self._execute_command(aiomysql.connection.COMMAND.COM_QUERY, query)
        await self._read_query_result()
        result = self._result
        names = [column[0].lower() for column in result.description or ()]
        return [dict(zip(names, map(_text, row), strict=True)) for row in result.rows or ()]

    def abort(self) -> None:
        if self._writer is not None:
            _reset_at_close(self._writer, True)
            self._writer.transport.abort()
        self.close()

    async def leave(self) -> None:
        writer = self._writer
        if writer is None:
            return
        _reset_at_close(writer, False)
        await self.ensure_closed()
        await writer.wait_closed()

    # --- what the driver calls ----------------------------------------------------------------

    def _set_keep_alive(self) -> None:
        # The first that it does once connected. In whichever way it ends from now on, but by
        # `leave`: a reset instead of a goodbye, the kernel sends nothing more.
        _reset_at_close(self._writer, True)
        super()._set_keep_alive()

    async def _read_bytes(self, count: int) -> bytes:
        self._left -= count
        if self._left < 0:
            raise ConnectionError("the server's answer doesn't end")
        data: bytes = await super()._read_bytes(count)
        return data

    async def _request_authentication(self) -> None:
        """Answer the greeting (MySQL's manual of the protocol, "Connection Phase")."""
        self._check_greeting()
        mode = self._spec.tls_mode
        with_tls = mode != "DISABLED" and bool(self.server_capabilities & CLIENT.SSL)
        if not with_tls and mode not in ("DISABLED", "PREFERRED"):
            raise ServerError(0, f"the server has no TLS, and tls.mode is {mode}")
        flags = self.client_flag | (CLIENT.SSL if with_tls else 0)
        charset = charset_by_name(CHARSET).id
        begin = struct.pack("<IIB23s", flags, LARGEST_PACKET, charset, b"")
        if with_tls:
            self.write_packet(begin)
            await self._start_tls()
        plugin, salt = self._server_auth_plugin, self.salt
        if plugin not in (NATIVE, CACHING_SHA2):
            plugin, proof = NATIVE, b""
        else:
            proof = self._proof(plugin, salt)
        attributes = b"".join(
            _with_length(word.encode()) for pair in self._connect_attrs.items() for word in pair
        )
        self.write_packet(
            begin
            + self._user.encode()
            + b"\0"
            + _with_length(proof)
            + plugin.encode()
            + b"\0"
            + _with_length(attributes)
        )
        await self._follow(plugin, salt)

    # --- logging in ---------------------------------------------------------------------------

    def _check_greeting(self) -> None:
        version = self.server_version
        # Clients of ours will read it.
        fits = 0 < len(version) <= LONGEST_VERSION
        if not (fits and version.isascii() and version.isprintable()):
            raise ConnectionError("the server's greeting tells no version")
        if not self.server_capabilities & SESSION_TRACK:
            told = f"the server ({version}) doesn't tell what changes in a session:"
            raise ServerError(0, f"{told} it must be MySQL 5.7, MariaDB 10.2 or later")
        # With '*' it tells of `last_gtid` where `last_insert_id` or `timestamp` was set (11.4.5,
        # 11.8.9; not 10.11.19): nobody could know what a session must be given back.
        if self.is_mariadb and re.match(r"(5\.5\.5-)?(1[1-9]|[2-9]\d)\.", version):
            told = f"the server ({version}) tells of other variables than those that were set:"
            raise ServerError(0, f"{told} it must be MariaDB 10.2 to 10.11")

    async def _start_tls(self) -> None:
        """On a socket of its own, so that bytes stuffed behind the greeting come to nobody."""
        mode = self._spec.tls_mode
        context = tls_context("REQUIRED" if mode == "PREFERRED" else mode, self._spec.ca)
        transport = self._writer.transport
        transport.pause_reading()
        if transport.get_write_buffer_size():
            raise ConnectionError("the server takes nothing")
        sock = transport.get_extra_info("socket").dup()
        transport.abort()
        try:
            self._reader, self._writer = await asyncio.open_connection(
                sock=sock, ssl=context, server_hostname=self._spec.host
            )
        except BaseException:
            sock.close()
            raise
        self._tls = True

    async def _follow(self, plugin: str, salt: bytes) -> None:
        """Do what the server asks for, until it is content."""
        for _ in range(MOST_STEPS):
            packet = await self._read_packet()
            if packet.is_ok_packet():
                return
            if packet.is_auth_switch_request():
                packet.advance(1)
                plugin = (packet.read_string() or b"mysql_old_password").decode()
                salt = packet.read_all()
                self.write_packet(self._proof(plugin, salt))
            elif packet.is_extra_auth_data() and plugin == CACHING_SHA2:
                packet.advance(1)
                if packet.read_uint8() == WANTS_ALL:
                    await self._tell_all(salt)
            else:
                break
        raise ConnectionError("the server sent no message of a log-in")

    def _proof(self, plugin: str, salt: bytes) -> bytes:
        if plugin == CLEAR:
            if not self._spec.tls_mode.startswith("VERIFY"):
                raise ServerError(
                    0, "the server wants the password in clear text, and nobody verified it"
                )
            return self._secret + b"\0"
        if plugin == NATIVE:
            return bytes(_auth.scramble_native_password(self._secret, salt[:SCRAMBLE]))
        if plugin == CACHING_SHA2:
            return bytes(_auth.scramble_caching_sha2(self._secret, salt[:SCRAMBLE]))
        if plugin == ED25519:
            return bytes(_auth.ed25519_password(self._secret, salt[:32]))
        raise ServerError(0, f"the server wants {plugin}, which is not supported")

    async def _tell_all(self, salt: bytes) -> None:
        """The whole password, for a server that hasn't its digest in memory: under TLS as it is,
        else by the server's key."""
        if self._tls:
            self.write_packet(self._secret + b"\0")
            return
        self.write_packet(ASK_FOR_KEY)
        packet = await self._read_packet()
        if not packet.is_extra_auth_data():
            raise ConnectionError("the server sent no key")
        packet.advance(1)
        key = packet.read_all()
        self.write_packet(_auth.sha2_rsa_encrypt(self._secret, salt[:SCRAMBLE], key))


def _reset_at_close(writer: asyncio.StreamWriter, on: bool) -> None:
    """Whether closing the socket throws away what is unsent (socket(7), SO_LINGER)."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))


def _with_length(data: bytes) -> bytes:
    """A length-encoded string."""
    if len(data) < 251:
        return bytes((len(data),)) + data
    return b"\xfc" + struct.pack("<H", len(data)) + data


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
