"""A recording forwarder between the proxy and a server: what anybody on the way could read."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Self

from tests.servers import HOST


class Between(socketserver.ThreadingTCPServer):
    """Stands between two, on a port of its own, as long as it is entered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__((HOST, 0), handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port

    def __exit__(self, *failure: object) -> None:
        self.shutdown()
        self.server_close()


class Tap(Between):
    """Passes connections on to a server; keeps what was said to it, connection by connection."""

    def __init__(self, port: int) -> None:
        super().__init__(_Connection)
        self.server_at = (HOST, port)
        self.said: list[bytearray] = []

    def opened(self, there: socket.socket, here: socket.socket) -> None:
        """A connection is there; whoever changes what a server says first does it here."""


class _Connection(socketserver.BaseRequestHandler):
    server: Tap

    def handle(self) -> None:
        said = bytearray()
        self.server.said.append(said)
        here: socket.socket = self.request
        with socket.create_connection(self.server.server_at) as there:
            self.server.opened(there, here)
            back = threading.Thread(target=_pass, args=(there, here, len), daemon=True)
            back.start()
            _pass(here, there, said.extend)
            back.join()


def _pass(source: socket.socket, sink: socket.socket, note: Callable[[bytes], object]) -> None:
    """Pass on all that comes, then the end of it."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            note(data)
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
