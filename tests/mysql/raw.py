"""Single packets of MySQL's protocol, for what no driver would ever send."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path

from tests.fix_mysql_proxy import MySQLProxy
from tests.mysql.answers import Connection
from tests.servers import HOST

DEADLINE = 20.0
QUERY, PING, QUIT = b"\x03", b"\x0e", b"\x01"
# PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH.
PLAIN = 0x0008_8200
SSL = 0x0800
Packet = tuple[int, bytes]


def packet(number: int, payload: bytes) -> bytes:
    """One packet; its payload must fit."""
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def query(text: str) -> bytes:
    return packet(0, QUERY + text.encode())


def response(user: str, proof: bytes = b"", *, capabilities: int = PLAIN) -> bytes:
    """What a client says to a greeting, without its header."""
    head = struct.pack("<IIB23x", capabilities, 1 << 24, 45)
    return head + user.encode() + b"\0" + bytes([len(proof)]) + proof + b"mysql_native_password\0"


def ssl_request(capabilities: int = PLAIN | SSL) -> bytes:
    return packet(1, struct.pack("<IIB23x", capabilities, 1 << 24, 45))


def error_code(payload: bytes) -> int:
    assert payload[:1] == b"\xff", payload
    return int(struct.unpack("<H", payload[1:3])[0])


class Raw:
    """One connection; nothing is sent that the test doesn't ask for."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(DEADLINE)
        self._buffer = b""
        self._driver: Connection | None = None

    @classmethod
    def to(cls, port: int) -> Raw:
        return cls(socket.create_connection((HOST, port), timeout=DEADLINE))

    @classmethod
    def of(cls, client: Connection) -> Raw:
        """A driver's, which has logged in with it and isn't used any more."""
        raw = cls(client._sock)
        # It would close the connection when it is gone.
        raw._driver = client
        return raw

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *failure: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Send as much of it as the other side takes before it closes."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(b"".join(parts))

    def read(self) -> Packet | None:
        """The next packet; nothing if the other side closed."""
        head = self._take(4)
        if head is None:
            return None
        payload = self._take(int.from_bytes(head[:3], "little"))
        return None if payload is None else (head[3], payload)

    def error(self) -> int:
        """The number of the error that the next packet is."""
        found = self.read()
        assert found is not None
        return error_code(found[1])

    def closed(self) -> list[Packet]:
        """Whatever comes before the other side closes, which it must do within the deadline."""
        found: list[Packet] = []
        while (one := self.read()) is not None:
            found.append(one)
        return found

    def _take(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            try:
                more = self.socket.recv(65_536)
            except ConnectionError:
                return None
            if not more:
                return None
            self._buffer += more
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken


def closed(proxy: MySQLProxy, reason: str) -> float:
    """How many clients were closed for that reason."""
    return proxy.metric("dbproxy_client_connections_closed_total", reason=reason)


def resident(proxy: MySQLProxy) -> int:
    """The process's memory, in MiB."""
    pages = int(Path(f"/proc/{proxy.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20
