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
ANSI_QUOTES = 0x8000
SCHEMA = 1
TRANSACTION = 5
NAMING = {STMT_EXECUTE, STMT_FETCH, STMT_RESET}
"""Errors of these name a statement by its number."""
NO_STATEMENTS = {PING, INIT_DB, RESET_CONNECTION, STMT_RESET}
LONGEST_SHOWN = 4096
NO_VALUE = re.compile(
    rb"(\x03def\0{3}.@.*\x0c)[\x08\x3f]\0.{4}[\xfa-\xfd][\x10\x80\x90]\0.\0\0", re.DOTALL
)
"""A column of bytes, called by a user variable."""
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
    database: bytes = b""

    @property
    def is_late(self) -> bool:
        """Whether what a statement with rows has changed is told with a later one."""
        return self.is_mariadb or not self.agreed & DEPRECATE_EOF

    def reports(self, ok: bytes) -> bool:
        """Whether this OK tells what has changed."""
        return bool(self.agreed & SESSION_TRACK and status_of(ok) & STATE_CHANGED)

    def is_new(self, report: bytes) -> bool:
        """Whether it says what wasn't said before: of the database MySQL says so twice, in the OK
        of a statement behind which an error stands and later."""
        if report[0] != SCHEMA:
            return report[0] != TRANSACTION
        before, self.database = self.database, report
        return report != before


def comparable(told: Packet, command: int, spoken: Spoken) -> Packet:
    """A packet without what may differ."""
    kind, payload = told
    # MariaDB leaves it on where a routine's sql_mode is taken back, on that connection.
    quotes = ANSI_QUOTES if spoken.is_mariadb else 0
    if kind == "prepared":
        payload = payload[:1] + bytes(4) + payload[5:]
    elif kind == "error":
        slots = {b"(%d)" % name: b"(%d)" % slot for slot, name in spoken.names.items()}
        if command in NAMING:
            payload = re.sub(rb"\(\d+\)", lambda found: slots.get(found[0], found[0]), payload)
    elif kind == "column":
        payload = unset(in_any_collation(payload))
    elif kind == "text":
        # How busy the server is.
        payload = b""
    elif kind in ("eof", "end") and len(payload) == 5:
        # It has no room for what has changed: MariaDB says there that something has.
        payload = without_flag(payload, 3, STATE_CHANGED | quotes)
        if command == SET_OPTION:
            payload = payload[:1] + bytes(2) + payload[3:]
    elif kind in ("ok", "end"):
        payload = without_flag(payload, flags_at(payload), quotes)
        if spoken.reports(payload):
            payload = without_its_own(payload, spoken)
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


def unset(column: bytes) -> bytes:
    """A column of a user variable that has no value, whatever its type is.

    Where another client's trigger may have set it, it is NULL for who asks for the first time amid
    a transaction; one that was never set has another type.
    """
    found = NO_VALUE.fullmatch(column)
    return found[1] if found else column


def flags_at(ok: bytes) -> int:
    """Where the status flags of an OK stand."""
    _, at = lenenc(ok, 1)
    _, at = lenenc(ok, at)
    return at


def without_flag(told: bytes, at: int, flag: int) -> bytes:
    """An answer without a status flag; `at`: where its flags stand."""
    (status,) = struct.unpack_from("<H", told, at)
    return told[:at] + struct.pack("<H", status & ~flag) + told[at + 2 :]


def without_its_own(ok: bytes, spoken: Spoken) -> bytes:
    """An OK without what a server reports at a time of its own.

    What a statement with rows has changed is told late where an EOF ends them, and by MariaDB
    always, with some later change; with which depends on what it is to report. MySQL reports
    transactions begun by name, whatever is set, and late where an error ends them; its status flags
    say it at once.
    """
    at = flags_at(ok)
    length, text = lenenc(ok, at + 4)
    _, start = lenenc(ok, text + length)
    reports = [one for one in parted(ok[start:]) if spoken.is_new(one) and not spoken.is_late]
    if reports:
        return ok[: text + length] + b"".join(reports)
    return without_flag(ok[: text + length] if length else ok[: at + 4], at, STATE_CHANGED)


def without_warnings(told: bytes) -> bytes:
    """The OK of a command that isn't a statement: it says how many warnings the one before had."""
    at = flags_at(told)
    return told[: at + 2] + bytes(2) + told[at + 4 :]


def parted(changes: bytes) -> list[bytes]:
    """What a server reports, one by one."""
    found = []
    while changes:
        length, at = lenenc(changes, 1)
        found.append(changes[: at + length])
        changes = changes[at + length :]
    return found
