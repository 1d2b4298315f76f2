"""Commands and packets as they are, for what no driver lets a test say."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any

import pymysql

PREPARE, EXECUTE, LONG_DATA, CLOSE, RESET, FETCH = 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1C
RESET_CONNECTION = 0x1F
LONGLONG, BLOB, STRING = 0x08, 0xFC, 0xFD
CURSOR = 1
LAST_ROW_SENT, CURSOR_EXISTS = 0x80, 0x40


def telling(act: Callable[..., Any]) -> Callable[..., Any]:
    """What it answers, or the number and the text of the error."""

    @functools.wraps(act)
    def told(*args: Any, **options: Any) -> Any:
        try:
            return act(*args, **options)
        except pymysql.MySQLError as error:
            return error.args

    return told


class Raw:
    """A connection whose commands are sent and answered by the packet."""

    def __init__(self, connection: pymysql.connections.Connection[Any]) -> None:
        self.connection = connection

    def send(self, command: int, body: bytes = b"") -> None:
        self.connection._execute_command(command, body)

    def packet(self) -> bytes:
        """The next packet; an error is raised."""
        return bytes(self.connection._read_packet().get_all_data())

    def prepare(self, text: str) -> Statement:
        self.send(PREPARE, text.encode())
        _, number, columns, parameters = struct.unpack_from("<BIHH", self.packet())
        for count in (parameters, columns):
            for _ in range(count + (count > 0)):
                self.packet()
        return Statement(self, number, parameters)

    @telling
    def query(self, text: str) -> list[Any]:
        cursor = self.connection.cursor()
        cursor.execute(text)
        return list(cursor.fetchall())

    def close(self) -> None:
        self.connection.close()


class Statement:
    """A prepared statement, by the number that its client was told."""

    def __init__(self, raw: Raw, number: int, parameters: int) -> None:
        self.raw = raw
        self.number = number
        self.parameters = parameters

    def send(self, command: int, body: bytes = b"") -> None:
        self.raw.send(command, struct.pack("<I", self.number) + body)

    @telling
    def execute(self, *values: object, types: bool = True, flags: int = 0) -> list[bytes]:
        """The rows as they are sent, or what an OK says; with a cursor none."""
        self.send(EXECUTE, struct.pack("<BI", flags, 1) + bound(values, types))
        first = self.raw.packet()
        if first[0] == 0:
            return [first[:2]]
        for _ in range(first[0]):
            self.raw.packet()
        end = self.raw.packet()
        if status(end) & CURSOR_EXISTS:
            return []
        return self.rows()

    @telling
    def fetch(self, count: int) -> list[bytes]:
        self.send(FETCH, struct.pack("<I", count))
        return self.rows()

    def rows(self) -> list[bytes]:
        rows = []
        while not is_end(packet := self.raw.packet()):
            rows.append(packet)
        return rows

    def long_data(self, parameter: int, data: bytes) -> None:
        self.send(LONG_DATA, struct.pack("<H", parameter) + data)

    @telling
    def reset(self) -> bytes:
        self.send(RESET)
        return self.raw.packet()

    def close(self) -> None:
        self.send(CLOSE)


def bound(values: tuple[object, ...], types: bool) -> bytes:
    """Parameters: an `int`, a `str`, `None`, or `...`, which was sent before as long data."""
    if not values:
        return b""
    nulls = bytearray((len(values) + 7) // 8)
    kinds, data = b"", b""
    for place, value in enumerate(values):
        if value is None:
            nulls[place // 8] |= 1 << place % 8
            kinds += bytes((STRING, 0))
        elif value is ...:
            kinds += bytes((BLOB, 0))
        elif isinstance(value, int):
            kinds += bytes((LONGLONG, 0))
            data += struct.pack("<q", value)
        else:
            text = str(value).encode()
            kinds += bytes((STRING, 0))
            data += pymysql.connections._lenenc_int(len(text)) + text
    return bytes(nulls) + (b"\1" + kinds if types else b"\0") + data


def is_end(packet: bytes) -> bool:
    return packet[0] == 0xFE and len(packet) < 9


def status(end: bytes) -> int:
    return int(struct.unpack_from("<H", end, 3)[0])
