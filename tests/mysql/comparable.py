"""What of a packet may be compared, and where the proxy may answer otherwise than the database.

Each difference stands here with its reason; whatever isn't named here is the same.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field

from tests.raw_mysql import (
    DEPRECATE_EOF,
    INIT_DB,
    PING,
    RESET_CONNECTION,
    SESSION_TRACK,
    SET_OPTION,
    STMT_EXECUTE,
    STMT_FETCH,
    STMT_RESET,
    Packet,
    lenenc,
    status_of,
)

STATE_CHANGED = 0x4000
TRANSACTION = 5
NAMING = {STMT_EXECUTE, STMT_FETCH, STMT_RESET}
"""Errors of these name a statement by its number."""
NO_STATEMENTS = {PING, INIT_DB, RESET_CONNECTION, STMT_RESET}
LONGEST_SHOWN = 4096
UTF8MB4 = {45, 46, 224, 255}
LEFT_ELSEWHERE = b"The proxy can't tell this any more"
"""What the statement before has left is gone with its connection, and the proxy says so."""


def may_differ(got: list[Packet], wanted: list[Packet]) -> bool:
    """Whether the proxy says that it can't do as the database does."""
    return got != wanted and len(got) == 1 and LEFT_ELSEWHERE in got[0].payload


@dataclass
class Spoken:
    """What is spoken on a connection, and what its server calls the client's statements."""

    agreed: int = 0
    is_mariadb: bool = False
    names: dict[int, int] = field(default_factory=dict)

    @property
    def is_late(self) -> bool:
        """Whether what a statement with rows has changed is told with a later one."""
        return self.is_mariadb or not self.agreed & DEPRECATE_EOF

    def reports(self, ok: bytes) -> bool:
        """Whether this OK tells what has changed."""
        return bool(self.agreed & SESSION_TRACK and status_of(ok) & STATE_CHANGED)


def comparable(told: Packet, command: int, spoken: Spoken) -> Packet:
    """A packet without what may differ."""
    kind, payload = told
    if kind == "prepared":
        payload = payload[:1] + bytes(4) + payload[5:]
    elif kind == "error":
        slots = {b"(%d)" % name: b"(%d)" % slot for slot, name in spoken.names.items()}
        if command in NAMING:
            payload = re.sub(rb"\(\d+\)", lambda found: slots.get(found[0], found[0]), payload)
    elif kind == "column":
        payload = in_any_collation(payload)
    elif kind == "text":
        # How busy the server is.
        payload = b""
    elif kind in ("eof", "end") and len(payload) == 5:
        payload = without_a_change(payload)
        if command == SET_OPTION:
            payload = payload[:1] + bytes(2) + payload[3:]
    elif kind in ("ok", "end") and spoken.reports(payload):
        payload = without_its_own(payload, is_late=spoken.is_late)
    no_statement = command in NO_STATEMENTS if kind == "ok" else command == SET_OPTION
    if no_statement and kind in ("ok", "eof") and len(payload) > 5:
        payload = without_warnings(payload)
    if len(payload) > LONGEST_SHOWN:
        payload = b"%d bytes, %s" % (len(payload), hashlib.sha1(payload).hexdigest().encode())
    return Packet(kind, payload)


def in_any_collation(column: bytes) -> bytes:
    """A column whose texts are in utf8mb4, whatever its collation's number.

    After SET NAMES … COLLATE that is the collation's, and no server tells it: set again on another
    connection it is the character set's own.
    """
    at = 0
    for _ in range(6):
        length, at = lenenc(column, at)
        at += length
    (collation,) = struct.unpack_from("<H", column, at + 1)
    if collation in UTF8MB4:
        return column[: at + 1] + b"\xff\0" + column[at + 3 :]
    return column


def without_a_change(eof: bytes) -> bytes:
    """An EOF, which has no room for what has changed: MariaDB says there that something has."""
    (status,) = struct.unpack_from("<H", eof, 3)
    return eof[:3] + struct.pack("<H", status & ~STATE_CHANGED)


def without_its_own(ok: bytes, *, is_late: bool) -> bytes:
    """An OK without what a server reports at a time of its own.

    What a statement with rows has changed is told late where an EOF ends them, and by MariaDB
    always, with some later change; with which depends on what it is to report. MySQL reports
    transactions begun by name, whatever is set, and late where an error ends them; its status flags
    say it at once.
    """
    _, at = lenenc(ok, 1)
    _, at = lenenc(ok, at)
    length, text = lenenc(ok, at + 4)
    _, start = lenenc(ok, text + length)
    reports = [one for one in parted(ok[start:]) if one[0] != TRANSACTION and not is_late]
    if reports:
        return ok[:start] + b"".join(reports)
    status = struct.pack("<H", status_of(ok) & ~STATE_CHANGED)
    return ok[:at] + status + (ok[at + 2 : text + length] if length else ok[at + 2 : at + 4])


def without_warnings(told: bytes) -> bytes:
    """The OK of a command that isn't a statement: it says how many warnings the one before had."""
    _, at = lenenc(told, 1)
    _, at = lenenc(told, at)
    return told[: at + 2] + bytes(2) + told[at + 4 :]


def parted(changes: bytes) -> list[bytes]:
    """What a server reports, one by one."""
    found = []
    while changes:
        length, at = lenenc(changes, 1)
        found.append(changes[: at + length])
        changes = changes[at + length :]
    return found
