"""Somebody between the proxy and its database who says what he likes in the database's place."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable

from tests.mysql_servers import MySQL
from tests.servers import HOST, wait_until
from tests.tap import Between

# Says something to the proxy, for as long as that listens.
Play = Callable[[socket.socket], None]


def says(*parts: bytes) -> Play:
    return lambda proxy: proxy.sendall(b"".join(parts))


class Tamper(Between):
    """Passes connections on to a server, up to the packet of the proxy's that has a word: that
    is answered by the word's play, and what comes behind it is only written down."""

    def __init__(self, server: MySQL) -> None:
        super().__init__(_Connection)
        self.name = server.name
        self.server_at = (HOST, server.port)
        self.plays: dict[bytes, Play] = {}
        self.heard = bytearray()


class _Connection(socketserver.BaseRequestHandler):
    server: Tamper

    def setup(self) -> None:
        # What the database was sent, and what it has said, so far as it came back.
        self._sent = bytearray()
        self._back = bytearray()

    def handle(self) -> None:
        proxy: socket.socket = self.request
        with (
            contextlib.suppress(OSError),
            socket.create_connection(self.server.server_at) as database,
        ):
            back = threading.Thread(target=self._pass_back, args=(database, proxy), daemon=True)
            back.start()
            self._pass_on(proxy, database)
            with contextlib.suppress(OSError):
                database.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, proxy: socket.socket, database: socket.socket) -> None:
        while data := proxy.recv(65_536):
            found = [(data.index(word), word) for word in self.server.plays if word in data]
            at, word = min(found) if found else (len(data), b"")
            before = data[: _start(data, at)] if found else data
            self._sent += before
            database.sendall(before)
            if not found:
                continue
            # What that is answered comes first.
            wait_until(self._is_answered, "it is answered")
            with contextlib.suppress(OSError):
                self.server.plays[word](proxy)
            while more := proxy.recv(65_536):
                self.server.heard += more
            return

    def _is_answered(self) -> bool:
        """Commands begin with packets that are numbered 0, their answers with such of number 1."""
        return _numbers(self._back).count(1) == _numbers(self._sent).count(0)

    def _pass_back(self, database: socket.socket, proxy: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := database.recv(65_536):
                proxy.sendall(data)
                self._back += data
        with contextlib.suppress(OSError):
            proxy.shutdown(socket.SHUT_WR)


def _starts(data: bytes | bytearray) -> list[int]:
    """Where packets begin."""
    starts, start = [], 0
    while start < len(data):
        starts.append(start)
        start += 4 + int.from_bytes(data[start : start + 3], "little")
    return starts


def _start(data: bytes, at: int) -> int:
    """Where the packet begins that has this byte in it."""
    return max(start for start in _starts(data) if start <= at)


def _numbers(data: bytes | bytearray) -> list[int]:
    """Those of packets whose header is there."""
    return [data[start + 3] for start in _starts(data) if start + 3 < len(data)]
