"""Somebody between two who speak TLS, with a certificate of his own: why channels are bound."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import ssl

from tests.certificates import Authority
from tests.raw_client import SSL_REQUEST, special
from tests.servers import HOST
from tests.tap import Between


class Relay(Between):
    """Ends the TLS of whoever comes, shows this certificate, and passes all on to a port in TLS."""

    def __init__(self, shown: Authority, port: int) -> None:
        super().__init__(_Connection)
        self.to = (HOST, port)
        self.shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.shown.load_cert_chain(shown.certificate, shown.key)
        self.taken = ssl.create_default_context()
        self.taken.check_hostname = False
        self.taken.verify_mode = ssl.CERT_NONE
        self.shown.sslsocket_class = self.taken.sslsocket_class = _Socket


class _Socket(ssl.SSLSocket):
    """Closes itself where the other side reset before the handshake: wrapping leaves it open."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ConnectionError:
            self.close()
            raise


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
