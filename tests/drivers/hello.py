"""What a driver says to MySQL or MariaDB before it is asked to do anything, as a Tap heard it.

The tap takes TLS out of the server's greeting, so that drivers which would rather have it speak
where they can be read. A program's first statement names what it selects `asked`: all before it
is the driver's own.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.tap import Tap

SSL, PROTOCOL_41 = 1 << 11, 1 << 9
QUERY_ATTRIBUTES, PLUGIN_AUTH_LENENC, CONNECT_WITH_DB = 1 << 27, 1 << 21, 1 << 3
# Those that change what a statement means or how it is answered; the others all drivers have, or
# don't matter to the proxy.
CAPABILITIES = {
    1 << 1: "FOUND_ROWS",
    1 << 5: "COMPRESS",
    1 << 7: "LOCAL_FILES",
    1 << 8: "IGNORE_SPACE",
    1 << 10: "INTERACTIVE",
    1 << 16: "MULTI_STATEMENTS",
    1 << 17: "MULTI_RESULTS",
    1 << 18: "PS_MULTI_RESULTS",
    1 << 20: "CONNECT_ATTRS",
    1 << 22: "EXPIRED_PASSWORDS",
    1 << 23: "SESSION_TRACK",
    1 << 24: "DEPRECATE_EOF",
    1 << 25: "OPTIONAL_METADATA",
    1 << 26: "ZSTD",
    QUERY_ATTRIBUTES: "QUERY_ATTRIBUTES",
}
QUERY, PREPARE = 3, 22
COMMANDS = {
    1: "COM_QUIT",
    2: "COM_INIT_DB",
    9: "COM_STATISTICS",
    14: "COM_PING",
    17: "COM_CHANGE_USER",
    23: "COM_STMT_EXECUTE",
    24: "COM_STMT_SEND_LONG_DATA",
    25: "COM_STMT_CLOSE",
    26: "COM_STMT_RESET",
    27: "COM_SET_OPTION",
    28: "COM_STMT_FETCH",
    31: "COM_RESET_CONNECTION",
}
FIRST_ASKED = "asked"


@dataclass(frozen=True)
class Hello:
    """A log-in, and the commands between it and the work."""

    flags: int
    collation: int
    plugin: str
    commands: tuple[str, ...]

    @property
    def capabilities(self) -> str:
        return ", ".join(name for bit, name in CAPABILITIES.items() if self.flags & bit)


class HelloTap(Tap):
    """Between a program and its database."""

    def opened(self, there: socket.socket, here: socket.socket) -> None:
        """Pass on the greeting, without the server's offer of TLS."""
        head = _exactly(there, 4)
        body = bytearray(_exactly(there, int.from_bytes(head[:3], "little")))
        # Behind version, thread, half of the scramble and a filler.
        at = body.index(0, 1) + 1 + 4 + 8 + 1
        (flags,) = struct.unpack_from("<H", body, at)
        struct.pack_into("<H", body, at, flags & ~SSL)
        here.sendall(head + body)

    @property
    def hello(self) -> Hello | None:
        """Of the first connection that did the program's work; None: none did."""
        for said in self.said:
            found = _hello(bytes(said))
            if found is not None:
                return found
        return None


def _exactly(source: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = source.recv(size - len(found))
        if not more:
            raise ConnectionError("the server said less than its greeting")
        found += more
    return found


def _packets(said: bytes) -> Iterator[tuple[int, bytes]]:
    """Each packet's number and content, of those that are whole."""
    at = 0
    while at + 4 <= len(said):
        size = int.from_bytes(said[at : at + 3], "little")
        yield said[at + 3], said[at + 4 : at + 4 + size]
        at += 4 + size


def _hello(said: bytes) -> Hello | None:
    packets = list(_packets(said))
    if not packets:
        return None
    flags, collation, plugin = _log_in(packets[0][1])
    commands: list[str] = []
    for number, content in packets[1:]:
        # Anything else is a part of the log-in.
        if number == 0 and content:
            command = _command(content, flags)
            if FIRST_ASKED in command:
                return Hello(flags, collation, plugin, tuple(commands))
            commands.append(command)
    return None


def _log_in(content: bytes) -> tuple[int, int, str]:
    flags, _, collation = struct.unpack_from("<IIB", content)
    at = content.index(0, 32) + 1
    # A proof is never so long that its length takes more than this byte.
    at += 1 + content[at]
    if flags & CONNECT_WITH_DB:
        at = content.index(0, at) + 1
    plugin = content[at : content.index(0, at)] if at < len(content) else b""
    return flags, collation, plugin.decode(errors="replace")


def _command(content: bytes, flags: int) -> str:
    code, text = content[0], content[1:]
    if code == QUERY and flags & QUERY_ATTRIBUTES:
        # No attributes, in one set.
        text = text.removeprefix(b"\x00\x01")
    if code in {QUERY, PREPARE}:
        words = " ".join(text.decode(errors="replace").split())
        return words if code == QUERY else f"COM_STMT_PREPARE {words}"
    name = COMMANDS.get(code, f"command {code}")
    return f"{name} {text.decode(errors='replace')}" if name == "COM_INIT_DB" else name
