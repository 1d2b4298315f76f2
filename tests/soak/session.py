"""One connection of the soak's clients: asks by every protocol, and knows what its session has set.

For deeds.py. `GoneError` is an end that a client must expect where backends are killed; a
`WrongError` is what no client may ever see.
"""

from __future__ import annotations

import itertools
import struct
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from socket import SO_LINGER, SOL_SOCKET
from typing import LiteralString

from tests.raw_client import (
    CANCEL_REQUEST,
    SYNC,
    ClosedError,
    RawClient,
    bind,
    cstring,
    error_fields,
    execute,
    message,
    parse,
    query,
    special,
)
from tests.servers import HOST, PASSWORDS

Row = tuple[str | None, ...]
EVENTS_KEPT = 40
# Far beyond what a busy machine needs: only a client that is forgotten waits so long.
DEADLINE = 90.0
# A backend that was killed, or a transaction's end that only the database knows.
ENDS = {"57P01", "57P02", "57P03", "08006", "08007"}
CHANGED: tuple[LiteralString, ...] = (
    "work_mem",
    "TimeZone",
    "application_name",
    "lock_timeout",
    "my.owner",
)
"""What clients set; the second and third of them are reported to clients."""
SHOWN: LiteralString = ", ".join(
    f"coalesce(current_setting('{name}', true), '')" for name in CHANGED
)


class GoneError(Exception):
    """The session is over, as it may be here."""


class WrongError(Exception):
    """What must not happen."""


class RefusedError(Exception):
    """An error that leaves the connection; its SQLSTATE is what the exception says."""


@dataclass
class Answer:
    """Everything up to ReadyForQuery, or up to where COPY data is asked for."""

    rows: list[Row] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


class Settings:
    """What a session's settings are, as PostgreSQL keeps and undoes them."""

    def __init__(self, first: Mapping[str, str]) -> None:
        self._first = dict(first)
        self._lasting = dict(first)
        self._local: dict[str, str] = {}
        self._marks: list[tuple[dict[str, str], dict[str, str]]] = []

    def now(self) -> Row:
        both = self._lasting | self._local
        return tuple(both[name] for name in CHANGED)

    def set(self, name: str, value: str, *, local: bool = False) -> None:
        if local:
            self._local[name] = value
        else:
            self._lasting[name] = value
            self._local.pop(name, None)

    def reset(self, names: Iterable[str] = CHANGED) -> None:
        for name in names:
            self.set(name, self._first[name])

    def mark(self) -> None:
        """At BEGIN, and at a savepoint."""
        self._marks.append((dict(self._lasting), dict(self._local)))

    def undo_to_mark(self) -> None:
        lasting, local = self._marks[-1]
        self._lasting, self._local = dict(lasting), dict(local)

    def end(self, *, kept: bool) -> None:
        if not kept:
            self._lasting = self._marks[0][0]
        self._local = {}
        self._marks = []


def values(payload: bytes) -> Row:
    """The columns of a DataRow."""
    found: list[str | None] = []
    at = 2
    for _ in range(struct.unpack_from("!h", payload)[0]):
        (length,) = struct.unpack_from("!i", payload, at)
        at += 4
        found.append(None if length < 0 else payload[at : at + length].decode())
        at += max(length, 0)
    return tuple(found)


class Session:
    """A logged-in connection. `events` is what was said and heard last, for a failure's report."""

    def __init__(self, port: int, user: str, random: Random, events: deque[str]) -> None:
        self._random = random
        self._port = port
        self._user = user
        self.events = events
        self.status = "I"
        self.told: dict[str, str] = {}
        # Whether a cancel of ours may still hit a statement of ours.
        self.may_be_cancelled = False
        try:
            self.raw = RawClient(HOST, port)
        except OSError as error:
            raise GoneError(f"connecting: {error}") from error
        self.raw.socket.settimeout(DEADLINE)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()

    def login(self, **options: str) -> None:
        try:
            self.raw.login(self._user, PASSWORDS[self._user], **options)
        except (ClosedError, ConnectionError) as error:
            raise GoneError(f"logging in: {error!r}") from error
        self.told = self.raw.parameters

    def note(self, event: str) -> None:
        self.events.append(event)

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, sql: str) -> Answer:
        """One statement, by the simple or the extended protocol."""
        if self._random.random() < 0.5:
            return self.exchange(query(sql), f"Q {sql}")
        return self.exchange(batch(sql), f"P {sql}")

    def exchange(self, data: bytes, said: str) -> Answer:
        self.send(data, said)
        return self.answer()

    def send(self, data: bytes, said: str) -> None:
        self.note(f"-> {said[:200]}")
        cut = self._random.randint(0, len(data)) if self._random.random() < 0.1 else 0
        try:
            self.raw.send(data[:cut])
            self.raw.send(data[cut:])
        except OSError as error:
            raise GoneError(f"sending: {error!r}") from error

    def answer(self, pauses: int = 0) -> Answer:
        """What one request is answered; raises `RefusedError` behind its ReadyForQuery. So often
        the client pauses while it reads."""
        found = Answer()
        refused = ""
        for count in itertools.count(1):
            if pauses and count % 20 == 0:
                pauses -= 1
                time.sleep(0.02)
            kind, payload = self.read()
            if kind == b"D":
                found.rows.append(values(payload))
            elif kind == b"C":
                found.tags.append(payload[:-1].decode())
            elif kind == b"S":
                name, value = payload.split(b"\0")[:2]
                self.told[name.decode()] = value.decode()
            elif kind == b"E":
                refused = self._error(payload)
            elif kind == b"Z":
                self.status = payload.decode()
                self.note(f"<- {len(found.rows)} rows {found.tags} {refused} {self.status}")
                break
            elif kind == b"G":
                return found
        if refused:
            raise RefusedError(refused)
        return found

    def read(self) -> tuple[bytes, bytes]:
        try:
            return self.raw.read()
        except TimeoutError as error:
            raise WrongError(f"no answer within {DEADLINE:g} s") from error
        except (ClosedError, OSError) as error:
            raise GoneError(f"reading: {error!r}") from error

    def _error(self, payload: bytes) -> str:
        fields = error_fields(payload)
        code = fields["C"]
        if fields["V"] != "ERROR":
            if code not in ENDS:
                raise WrongError(f"ended by {fields}")
            self.note(f"<- {fields['V']} {code}")
            raise GoneError(code)
        if code == "57014" and not self.may_be_cancelled:
            raise WrongError("another's cancel")
        self.note(f"<- {code} {fields['M']}")
        return code

    # --- what it ends by ------------------------------------------------------------------------

    def cancel(self, key: bytes) -> None:
        """Send a CancelRequest; on return whoever takes it has done with it."""
        try:
            with RawClient(HOST, self._port) as other:
                other.send(special(CANCEL_REQUEST, key))
                other.closed()
        except OSError as error:
            self.note(f"cancel: {error!r}")

    def reset_connection(self) -> None:
        """Close as a process that dies does: its peer gets a RST."""
        linger = struct.pack("ii", 1, 0)
        self.raw.socket.setsockopt(SOL_SOCKET, SO_LINGER, linger)
        self.raw.close()


def batch(*statements: str, name: str = "") -> bytes:
    """Statements in one extended batch."""
    parts = [parse(sql, name) + bind(name) + execute() for sql in statements]
    return b"".join(parts) + SYNC


def close_statement(name: str) -> bytes:
    return message(b"C", b"S" + cstring(name))
