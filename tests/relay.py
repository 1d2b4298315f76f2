"""Somebody between two who speak TLS, with a certificate of his own: why channels are bound."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import ssl
import threading

from tests.certificates import Authority
from tests.raw_client import SSL_REQUEST, special
from tests.servers import HOST


class Relay(socketserver.ThreadingTCPServer):
    """Ends the TLS of whoever comes, shows this certificate, and passes all on to a port in TLS."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, shown: Authority, port: int) -> None:
        super().__init__((HOST, 0), _Connection)
        self.to = (HOST, port)
        self.shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.shown.load_cert_chain(shown.certificate, shown.key)
        self.taken = ssl.create_default_context()
        self.taken.check_hostname = False
        self.taken.verify_mode = ssl.CERT_NONE
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port

    def __exit__(self, *failure: object) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        # Either side may leave at any moment.
        with contextlib.suppress(OSError), socket.create_connection(self.server.to) as plain:
            self.request.recv(8)
            self.request.sendall(b"S")
            plain.sendall(special(SSL_REQUEST))
            plain.recv(1)
            with (
                self.server.shown.wrap_socket(self.request, server_side=True) as here,
                self.server.taken.wrap_socket(plain) as there,
            ):
                while _passed(here, there) and _passed(there, here):
                    select.select([here, there], [], [])


def _passed(source: ssl.SSLSocket, sink: ssl.SSLSocket) -> bool:
    """Pass on all that is there; false at its end."""
    source.setblocking(False)
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        return False
    except ssl.SSLWantReadError:
        return True
    finally:
        source.setblocking(True)
