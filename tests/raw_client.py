"""A PostgreSQL client of single messages, for what no driver would ever send."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import os
import socket
import ssl
import struct
from collections.abc import Mapping
from types import TracebackType

PROTOCOL_3 = 196_608
SSL_REQUEST = 80_877_103
GSS_REQUEST = 80_877_104
CANCEL_REQUEST = 80_877_102
DEADLINE = 20.0

Message = tuple[bytes, bytes]


class ClosedError(Exception):
    """The other side closed the connection."""


def message(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(payload) + 4) + payload


def cstring(*texts: str | bytes) -> bytes:
    return b"".join((text.encode() if isinstance(text, str) else text) + b"\0" for text in texts)


def query(text: str) -> bytes:
    return message(b"Q", cstring(text))


def parse(text: str, name: str = "") -> bytes:
    return message(b"P", cstring(name, text) + struct.pack("!h", 0))


def bind(name: str = "", portal: str = "") -> bytes:
    return message(b"B", cstring(portal, name) + struct.pack("!hhh", 0, 0, 0))


def describe(kind: bytes = b"P", name: str = "") -> bytes:
    return message(b"D", kind + cstring(name))


def execute(portal: str = "", rows: int = 0) -> bytes:
    return message(b"E", cstring(portal) + struct.pack("!i", rows))


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")


def startup(user: str, database: str = "app", **options: str | bytes) -> bytes:
    return special(PROTOCOL_3, _parameters({"user": user, "database": database, **options}))


def _parameters(pairs: Mapping[str, str | bytes]) -> bytes:
    return b"".join(cstring(key, value) for key, value in pairs.items()) + b"\0"


def special(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!ii", len(body) + 8, code) + body


def error_fields(payload: bytes) -> dict[str, str]:
    """An ErrorResponse's fields by their letters."""
    parts = [part for part in payload.split(b"\0") if part]
    return {part[:1].decode(): part[1:].decode() for part in parts}


@functools.lru_cache(maxsize=64)
def salted_password(password: str, salt: bytes, rounds: int) -> bytes:
    """The slow part of SCRAM, which is the same for all log-ins with one verifier."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)


class RawClient:
    """One connection; nothing is sent that the test doesn't ask for."""

    def __init__(self, host: str, port: int, protocol: int = PROTOCOL_3) -> None:
        self.socket = socket.create_connection((host, port), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parameters: dict[str, str] = {}
        self.protocol = protocol
        self.certificate = b""
        # What a certificate's hash is taken for, if the log-in is to be bound to one.
        self.binding = b""
        self.key = b""
        self.negotiated = b""
        self._buffer = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def start_tls(self) -> RawClient:
        """Ask for TLS, and take whatever certificate is shown."""
        self.send(special(SSL_REQUEST))
        answer = self.byte()
        assert answer == b"S", answer
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        secured = context.wrap_socket(self.socket)
        self.socket, self.certificate = secured, secured.getpeercert(True) or b""
        return self

    @property
    def buffered(self) -> int:
        """Bytes that have come and weren't read."""
        return len(self._buffer)

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def byte(self) -> bytes:
        """One byte, as the answer to an SSLRequest is."""
        return self._take(1)

    def read(self) -> Message:
        head = self._take(5)
        return head[:1], self._take(struct.unpack("!i", head[1:])[0] - 4)

    def until(self, kind: bytes = b"Z") -> list[Message]:
        """All messages up to the first of this kind."""
        found: list[Message] = []
        while not found or found[-1][0] != kind:
            found.append(self.read())
        return found

    def kinds(self) -> bytes:
        """The kinds of all messages up to ReadyForQuery."""
        return b"".join(kind for kind, _ in self.until())

    def error(self) -> dict[str, str]:
        """The fields of the next message, which must be an ErrorResponse."""
        kind, payload = self.read()
        assert kind == b"E", (kind, payload)
        return error_fields(payload)

    def closed(self) -> list[Message]:
        """Whatever comes before the other side closes, which it must do within the deadline."""
        found: list[Message] = []
        try:
            while True:
                found.append(self.read())
        except ClosedError:
            return found

    def ask(self, text: str) -> list[Message]:
        """A simple query and all of its answer."""
        self.send(query(text))
        return self.until()

    def value(self, text: str) -> str:
        """The first column of the first row of a simple query."""
        row = next(payload for kind, payload in self.ask(text) if kind == b"D")
        length = struct.unpack("!i", row[2:6])[0]
        return row[6 : 6 + length].decode()

    def login(
        self,
        user: str,
        password: str,
        database: str = "app",
        **options: str | bytes,
    ) -> RawClient:
        """Log in by SCRAM-SHA-256, bound to the channel if so told; on return it is ready."""
        self.send(
            special(self.protocol, _parameters({"user": user, "database": database, **options}))
        )
        nonce = base64.b64encode(os.urandom(18)).decode()
        kind, payload = self.read()
        if kind == b"v":
            self.negotiated = payload
            kind, payload = self.read()
        assert (kind, payload[:4]) == (b"R", struct.pack("!i", 10)), (kind, payload)
        bare = f"n=,r={nonce}"
        header = b"p=tls-server-end-point,," if self.binding else b"n,,"
        mechanism = "SCRAM-SHA-256-PLUS" if self.binding else "SCRAM-SHA-256"
        first = header + bare.encode()
        self.send(message(b"p", cstring(mechanism) + struct.pack("!i", len(first)) + first))
        self.send(message(b"p", self._proof(password, bare, self._sasl(11), header + self.binding)))
        self._sasl(12)
        self._sasl(0)
        for kind, payload in self.until():
            if kind == b"S":
                name, value = payload.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif kind == b"K":
                self.key = payload
            else:
                assert kind in (b"N", b"Z"), (kind, payload)
        return self

    def _sasl(self, code: int) -> str:
        kind, payload = self.read()
        assert (kind, payload[:4]) == (b"R", struct.pack("!i", code)), (kind, payload)
        return payload[4:].decode()

    def _proof(self, password: str, bare: str, challenge: str, binding: bytes) -> bytes:
        fields = dict(part.split("=", 1) for part in challenge.split(","))
        salt, rounds = base64.b64decode(fields["s"]), int(fields["i"])
        salted = salted_password(password, salt, rounds)
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c={base64.b64encode(binding).decode()},r={fields['r']}"
        stored = hashlib.sha256(key).digest()
        signature = hmac.digest(stored, f"{bare},{challenge},{final}".encode(), "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            try:
                more = self.socket.recv(65_536)
            except ConnectionError as error:
                raise ClosedError from error
            if not more:
                raise ClosedError
            self._buffer += more
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken
