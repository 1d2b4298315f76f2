"""A client of MySQL's protocol that sends any command and hears every packet of its answer."""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from tests.raw_client import DEADLINE, ClosedError

QUIT, INIT_DB, QUERY, FIELD_LIST, STATISTICS, PING = 0x01, 0x02, 0x03, 0x04, 0x09, 0x0E
STMT_PREPARE, STMT_EXECUTE, STMT_SEND_LONG_DATA, STMT_CLOSE = 0x16, 0x17, 0x18, 0x19
STMT_RESET, SET_OPTION, STMT_FETCH, RESET_CONNECTION = 0x1A, 0x1B, 0x1C, 0x1F

FOUND_ROWS, CONNECT_WITH_DB, LOCAL_FILES, IGNORE_SPACE = 1 << 1, 1 << 3, 1 << 7, 1 << 8
MULTI_STATEMENTS, SESSION_TRACK = 1 << 16, 1 << 23
DEPRECATE_EOF, QUERY_ATTRIBUTES = 1 << 24, 1 << 27
# LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, results, PLUGIN_AUTH.
ALWAYS = 0x1 | 0x4 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 17 | 1 << 18 | 1 << 19

MORE_RESULTS, CURSOR_EXISTS, PS_OUT_PARAMS = 0x0008, 0x0040, 0x1000
FULL = 0xFFFFFF
LONGEST_EOF = 8
NOTHING = frozenset({STMT_SEND_LONG_DATA, STMT_CLOSE, QUIT})
"""Commands that nobody answers."""


class Packet(NamedTuple):
    """A payload, by what it is: ok, eof, error, head, column, row, end, prepared, file, text."""

    kind: str
    payload: bytes


class FarewellError(ClosedError):
    """The other side says why it goes, as if nothing had been asked."""


class OutOfStepError(Exception):
    """What no server sends there."""


def lenenc(payload: bytes, at: int) -> tuple[int, int]:
    """The number that stands there, and what comes behind it."""
    first = payload[at]
    if first < 0xFB:
        return first, at + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    return int.from_bytes(payload[at + 1 : at + 1 + size], "little"), at + 1 + size


def status_of(ok: bytes) -> int:
    """The status flags of an OK."""
    _, at = lenenc(ok, 1)
    _, at = lenenc(ok, at)
    return int.from_bytes(ok[at : at + 2], "little")


def native_proof(password: str, scramble: bytes) -> bytes:
    """What proves a password to `mysql_native_password`."""
    once = hashlib.sha1(password.encode()).digest()
    mask = hashlib.sha1(scramble + hashlib.sha1(once).digest()).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


class RawMySQL:
    """One connection; nothing is sent that the test doesn't ask for."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.version = b""
        self.agreed = 0
        self.thread = 0
        self._file = self.socket.makefile("rb", buffering=65_536)
        self._next = 0

    def __enter__(self) -> RawMySQL:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    # --- log-in ---------------------------------------------------------------------------------

    def login(
        self,
        user: str,
        password: str,
        *,
        database: str = "",
        capabilities: int = 0,
        collation: int = 45,
    ) -> Packet:
        """Log in by `mysql_native_password`; the OK that says so."""
        self._next = 0
        scramble, offered = self._greeting(self.payload())
        wanted = ALWAYS | capabilities | (CONNECT_WITH_DB if database else 0)
        self.agreed = wanted & offered
        proof = native_proof(password, scramble)
        response = struct.pack("<IIB23x", self.agreed, 1 << 24, collation) + user.encode() + b"\0"
        response += bytes([len(proof)]) + proof
        if database:
            response += database.encode() + b"\0"
        self._packet(response + b"mysql_native_password\0")
        answer = self.payload()
        if answer[0] == 0xFE:
            _, rest = answer[1:].split(b"\0", 1)
            self._packet(native_proof(password, rest[:20]))
            answer = self.payload()
        if answer[0] != 0:
            raise OutOfStepError(answer)
        return Packet("ok", answer)

    def _greeting(self, payload: bytes) -> tuple[bytes, int]:
        """The scramble, and what the server can do."""
        self.version, rest = payload[1:].split(b"\0", 1)
        self.thread = int.from_bytes(rest[:4], "little")
        low, high = int.from_bytes(rest[13:15], "little"), int.from_bytes(rest[18:20], "little")
        return rest[4:12] + rest[31:43], high << 16 | low

    # --- commands -------------------------------------------------------------------------------

    def send(self, command: int, body: bytes = b"", cut: int = 0) -> None:
        """A command; the first `cut` bytes by themselves."""
        self._next = 0
        data = self._framed(bytes([command]) + body)
        if cut:
            self.socket.sendall(data[:cut])
        self.socket.sendall(data[cut:])

    def ask(self, command: int, body: bytes = b"", file: Sequence[bytes] = ()) -> list[Packet]:
        self.send(command, body)
        return self.answer(command, file)

    def query(self, text: str) -> list[Packet]:
        return self.ask(QUERY, self.text(text))

    def text(self, text: str) -> bytes:
        """The body of a query without attributes."""
        head = b"\0\x01" if self.agreed & QUERY_ATTRIBUTES else b""
        return head + text.encode()

    def answer(self, command: int, file: Sequence[bytes] = ()) -> list[Packet]:
        """All packets of a command's answer; a file that is asked for has these parts."""
        found: list[Packet] = []
        if command in NOTHING:
            return found
        if command in (QUERY, STMT_EXECUTE):
            while self._result(found, file):
                pass
        elif command == STMT_PREPARE:
            self._prepared(found)
        elif command in (STMT_FETCH, FIELD_LIST):
            self._rows(found)
        else:
            payload = self.payload()
            kind = {0: "ok", 0xFE: "eof", 0xFF: "error"}.get(payload[0], "text")
            found.append(Packet(kind, payload))
        return found

    # --- answers --------------------------------------------------------------------------------

    def _result(self, found: list[Packet], file: Sequence[bytes]) -> bool:
        """One result; whether another follows."""
        payload = self.payload()
        if payload[0] == 0xFB:
            found.append(Packet("file", payload))
            for part in [*file, b""]:
                self._packet(part)
            payload = self.payload()
        if payload[0] == 0xFF:
            found.append(Packet("error", payload))
            return False
        if payload[0] == 0:
            found.append(Packet("ok", payload))
            return bool(status_of(payload) & MORE_RESULTS)
        found.append(Packet("head", payload))
        status = self._columns(found, lenenc(payload, 0)[0])
        if status & CURSOR_EXISTS:
            return bool(status & MORE_RESULTS)
        # MySQL says of a CALL's OUT parameters only here that more follows.
        more = status & PS_OUT_PARAMS and status & MORE_RESULTS
        end = self._rows(found)
        return end is not None and bool(more or end & MORE_RESULTS)

    def _columns(self, found: list[Packet], count: int) -> int:
        """Column definitions; the status that stands behind them, 0 if none does."""
        found += [Packet("column", self.payload()) for _ in range(count)]
        if not count or self.agreed & DEPRECATE_EOF:
            return 0
        found.append(Packet("eof", self.payload()))
        return int(struct.unpack_from("<H", found[-1].payload, 3)[0])

    def _rows(self, found: list[Packet]) -> int | None:
        """Rows up to their end, and the status that it tells; `None`: an error ends them."""
        deprecates = self.agreed & DEPRECATE_EOF
        while True:
            payload = self.payload()
            if payload[0] == 0xFF:
                found.append(Packet("error", payload))
                return None
            if payload[0] == 0xFE and len(payload) < (FULL if deprecates else LONGEST_EOF + 1):
                found.append(Packet("end", payload))
                if deprecates:
                    return status_of(payload)
                return int(struct.unpack_from("<H", payload, 3)[0])
            found.append(Packet("row", payload))

    def _prepared(self, found: list[Packet]) -> None:
        payload = self.payload()
        if payload[0] == 0xFF:
            found.append(Packet("error", payload))
            return
        found.append(Packet("prepared", payload))
        columns, parameters = struct.unpack_from("<HH", payload, 5)
        self._columns(found, parameters)
        self._columns(found, columns)

    # --- packets --------------------------------------------------------------------------------

    def payload(self) -> bytes:
        """One payload, of as many packets as it takes; their numbers follow one another."""
        parts = []
        while True:
            head = self._take(4)
            length = int.from_bytes(head[:3], "little")
            part = self._take(length)
            if head[3] == 0 and self._next == 1 and part[:1] == b"\xff":
                raise FarewellError(part)
            if head[3] != self._next:
                raise OutOfStepError(f"packet {head[3]} instead of {self._next}")
            self._next = (self._next + 1) % 256
            parts.append(part)
            if length < FULL:
                break
        if parts == [b""]:
            raise OutOfStepError("a packet of nothing")
        return b"".join(parts)

    def _take(self, count: int) -> bytes:
        try:
            taken = self._file.read(count) if count else b""
        except ConnectionError as error:
            raise ClosedError from error
        if len(taken) < count:
            raise ClosedError
        return taken

    def _packet(self, payload: bytes) -> None:
        self.socket.sendall(self._framed(payload))

    def _framed(self, payload: bytes) -> bytes:
        framed = b""
        for at in range(0, len(payload) + 1, FULL):
            part = payload[at : at + FULL]
            framed += struct.pack("<I", len(part))[:3] + bytes([self._next]) + part
            self._next = (self._next + 1) % 256
        return framed
