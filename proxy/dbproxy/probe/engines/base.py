"""What every engine's probe offers, and what they share: name resolution and the naming of
failures.

`prober` and `logins` call these; nothing here decides what a failure means for clients.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from dbproxy.facts import HealthReason, Login, Probe

RESOLVE_DEADLINE = 3.0
# Ours to mend, whatever the target does: descriptors, memory, buffers, ports of our own.
LOCAL_ERRNOS = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL)
)


@dataclass(frozen=True)
class ProbeSpec:
    """How to reach and enter one target; `passwords` newest first."""

    name: str
    host: str
    port: int
    user: str
    passwords: tuple[str, ...]
    tls_mode: str
    ca: str | None
    application_name: str = "dbproxy"

    def same_but_for_login(self, other: ProbeSpec) -> bool:
        """Whether only user and passwords tell the two apart."""
        return replace(self, user=other.user, passwords=other.passwords) == other


@dataclass(frozen=True)
class Attempt:
    """One user to try: with which passwords, newest first. `scram_only`: no server that isn't
    verified may ask for less."""

    user: str
    passwords: tuple[str, ...]
    scram_only: bool = True


@dataclass(frozen=True)
class Failure:
    """Why a target could not be asked; see `facts.Probe`."""

    reason: HealthReason
    decisive: bool
    message: str
    local: bool = False


class TargetProbe(Protocol):
    """A standing connection to one target, opened again whenever it is lost."""

    async def ask(self, addresses: Sequence[str]) -> Probe:
        """Ask once, at one of these addresses; never raises for what the target does."""
        ...

    def renew(self, spec: ProbeSpec) -> None:
        """Enter by other credentials, and keep the connection that stands until they work."""
        ...

    def abort(self) -> None:
        """Drop the connection at once, sending nothing more; a probe under way fails."""
        ...

    async def close(self) -> None:
        """Close the connection in good order."""
        ...

    async def try_login(self, attempt: Attempt, addresses: Sequence[str]) -> Login:
        """Whether the user can log in with one of its passwords."""
        ...


def tls_context(mode: str, ca: str | None) -> ssl.SSLContext:
    """The client's side of TLS for REQUIRED, VERIFY_CA and VERIFY_IDENTITY."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "VERIFY_IDENTITY"
    if mode.startswith("VERIFY"):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=ca)
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """The addresses of a host name, in the resolver's order; OSError if there is none."""
    if is_address(host):
        return (join_address(host, port),)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(RESOLVE_DEADLINE):
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            # A label that is empty or too long.
            raise socket.gaierror(socket.EAI_NONAME, "it is not a host name") from error
    return tuple(dict.fromkeys(join_address(str(entry[4][0]), port) for entry in found))


def failure_of(error: BaseException) -> Failure:
    """What an error of the network, of TLS or of this process says about a target."""
    message = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return Failure("", decisive=False, message="out of memory", local=True)
    if isinstance(error, TimeoutError):
        return Failure("UNREACHABLE", decisive=False, message="no answer in time")
    if isinstance(error, socket.gaierror):
        told = f"the host name does not resolve: {error.strerror}"
        return Failure("UNREACHABLE", error.errno != socket.EAI_AGAIN, told)
    if isinstance(error, ssl.SSLError):
        told = getattr(error, "verify_message", "") or error.reason or "handshake failed"
        return Failure("CONNECTION_FAILED", decisive=True, message=f"TLS: {told}")
    if isinstance(error, OSError):
        if error.errno in LOCAL_ERRNOS:
            return Failure("", decisive=False, message=message, local=True)
        refused = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)
        if error.errno in refused:
            told = error.strerror or message
            return Failure("UNREACHABLE", decisive=True, message=told.lower())
        return Failure("CONNECTION_FAILED", decisive=True, message=message)
    return Failure("CONNECTION_FAILED", decisive=True, message=message)
