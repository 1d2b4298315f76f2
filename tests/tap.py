"""A recording forwarder between the proxy and a server: what anybody on the way could read."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable

from tests.servers import HOST, Postgres


class Tap(socketserver.ThreadingTCPServer):
    """Passes connections on to a server; keeps what was said to it, connection by connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, server: Postgres) -> None:
        super().__init__((HOST, 0), _Connection)
        self.server_at = (HOST, server.port)
        self.said: list[bytearray] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port

    def __exit__(self, *failure: object) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: Tap

    def handle(self) -> None:
        said = bytearray()
        self.server.said.append(said)
        here: socket.socket = self.request
        with socket.create_connection(self.server.server_at) as there:
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
