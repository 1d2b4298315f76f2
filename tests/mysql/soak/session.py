"""One connection of the soak's clients on MySQL: asks, and says how a request has failed.

For client.py and deeds.py. A `GoneError` is an end that a client must expect where connections are
killed; a `WrongError` is what no client may ever see.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from socket import SO_LINGER, SOL_SOCKET

from tests.mysql_servers import DATABASE, PASSWORDS
from tests.raw_client import ClosedError
from tests.raw_mysql import (
    DEPRECATE_EOF,
    LOCAL_FILES,
    MULTI_STATEMENTS,
    QUERY,
    SESSION_TRACK,
    STMT_CLOSE,
    STMT_EXECUTE,
    STMT_PREPARE,
    OutOfStepError,
    Packet,
    RawMySQL,
    lenenc,
    status_of,
)
from tests.servers import HOST
from tests.soak.session import GoneError, RefusedError, WrongError

USER = "legacy"
# Far beyond what a busy machine needs: only a client that is forgotten waits so long.
DEADLINE = 120.0
LOST = 1213
# A commit of which nobody knows, a connection that was killed, or is gone with a session's state.
ENDS = {1053, 1158, 1927}
IN_TRANSACTION = 0x0001

Row = tuple[str | None, ...]


@dataclass
class Answer:
    """Rows of all results, and what the last OK says."""

    rows: list[Row] = field(default_factory=list)
    last_insert_id: int = 0
    affected: int = 0


def text_row(payload: bytes) -> Row:
    """A row of the text protocol."""
    found: list[str | None] = []
    at = 0
    while at < len(payload):
        if payload[at] == 0xFB:
            found.append(None)
            at += 1
            continue
        length, at = lenenc(payload, at)
        found.append(payload[at : at + length].decode())
        at += length
    return tuple(found)


def binary_row(payload: bytes, columns: int) -> Row:
    """A row of the binary protocol, all of whose columns are texts."""
    size = (columns + 9) // 8
    nulls = int.from_bytes(payload[1 : 1 + size], "little") >> 2
    at = 1 + size
    found: list[str | None] = []
    for column in range(columns):
        if nulls >> column & 1:
            found.append(None)
            continue
        length, at = lenenc(payload, at)
        found.append(payload[at : at + length].decode())
        at += length
    return tuple(found)


class Session:
    """A logged-in connection. `events` is what was said and heard last, for a failure's report."""

    def __init__(self, port: int, random: Random, events: deque[str]) -> None:
        self.events = events
        self.in_transaction = False
        self._random = random
        try:
            self.raw = RawMySQL(HOST, port)
        except OSError as error:
            raise GoneError(f"connecting: {error}") from error
        self.raw.socket.settimeout(DEADLINE)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()

    def login(self) -> None:
        varied = sum(one for one in (SESSION_TRACK, DEPRECATE_EOF) if self._random.random() < 0.5)
        capabilities = MULTI_STATEMENTS | LOCAL_FILES | varied
        try:
            self.raw.login(USER, PASSWORDS[USER], database=DATABASE, capabilities=capabilities)
        except (ClosedError, ConnectionError) as error:
            raise GoneError(f"logging in: {error!r}") from error

    def note(self, event: str) -> None:
        self.events.append(event)

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, sql: str, file: Sequence[bytes] = ()) -> Answer:
        """A text, of one statement or several."""
        return self._asks(QUERY, self.raw.text(sql), sql, file)

    def command(self, command: int, body: bytes = b"") -> Answer:
        return self._asks(command, body, f"command {command:#x} {body!r}")

    def prepare(self, sql: str) -> bytes:
        """The name of a prepared statement."""
        self.send(STMT_PREPARE, sql.encode(), f"PREPARE {sql}")
        answer = self._heard(STMT_PREPARE)
        self._read(answer, binary=False)
        return answer[0].payload[1:5]

    def execute(self, statement: bytes, *values: str) -> Answer:
        """With texts as parameters; its rows are texts."""
        body = statement + struct.pack("<BI", 0, 1)
        if values:
            body += bytes((len(values) + 7) // 8) + b"\1" + b"\xfd\0" * len(values)
            body += b"".join(bytes([len(value.encode())]) + value.encode() for value in values)
        self.send(STMT_EXECUTE, body, f"EXECUTE {values}")
        return self._read(self._heard(STMT_EXECUTE), binary=True)

    def close_statement(self, statement: bytes) -> None:
        self.send(STMT_CLOSE, statement, "CLOSE")

    def send(self, command: int, body: bytes, said: str) -> None:
        self.note(f"-> {said[:200]}")
        cut = self._random.randint(0, len(body)) if self._random.random() < 0.1 else 0
        try:
            self.raw.send(command, body, cut)
        except OSError as error:
            raise GoneError(f"sending: {error!r}") from error

    def _asks(self, command: int, body: bytes, said: str, file: Sequence[bytes] = ()) -> Answer:
        self.send(command, body, said)
        return self._read(self._heard(command, file), binary=False)

    def _heard(self, command: int, file: Sequence[bytes] = ()) -> list[Packet]:
        try:
            return self.raw.answer(command, file)
        except TimeoutError as error:
            raise WrongError(f"no answer within {DEADLINE:g} s") from error
        except OutOfStepError as error:
            raise WrongError(f"out of step: {error}") from error
        except (ClosedError, OSError) as error:
            raise GoneError(f"reading: {error!r}") from error

    def read_slowly(self, pauses: int) -> None:
        """Some packets of an answer that is on its way, with pauses."""
        try:
            for _ in range(pauses):
                self.raw.payload()
                time.sleep(0.01)
        except (ClosedError, OSError) as error:
            raise GoneError(f"reading: {error!r}") from error

    def _read(self, packets: list[Packet], *, binary: bool) -> Answer:
        found = Answer()
        columns = 0
        for kind, payload in packets:
            if kind == "error":
                self._refused(payload)
            elif kind == "head":
                columns = payload[0]
            elif kind == "row":
                found.rows.append(binary_row(payload, columns) if binary else text_row(payload))
            elif kind == "ok" or (kind == "end" and self.raw.agreed & DEPRECATE_EOF):
                self.in_transaction = bool(status_of(payload) & IN_TRANSACTION)
                found.affected, at = lenenc(payload, 1)
                found.last_insert_id, _ = lenenc(payload, at)
            elif kind == "end":
                self.in_transaction = bool(payload[3] & IN_TRANSACTION)
        self.note(f"<- {len(found.rows)} rows{' in transaction' * self.in_transaction}")
        return found

    def _refused(self, payload: bytes) -> None:
        code = int.from_bytes(payload[1:3], "little")
        self.note(f"<- {code} {payload[3:].decode(errors='replace')}")
        if code == LOST:
            self.in_transaction = False
        if code in ENDS:
            raise GoneError(str(code))
        raise RefusedError(str(code))

    def reset_connection(self) -> None:
        """Close as a process that dies does: its peer gets a RST."""
        linger = struct.pack("ii", 1, 0)
        self.raw.socket.setsockopt(SOL_SOCKET, SO_LINGER, linger)
        self.raw.close()
