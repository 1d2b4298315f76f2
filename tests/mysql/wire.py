"""The bytes that a server answers a text with, so that those of the proxy can be compared with
them."""

from __future__ import annotations

from typing import Any

import pymysql
from pymysql.constants import COMMAND

DEPRECATE_EOF = 1 << 24
MORE_RESULTS = 0x0008
OK, ERROR, END = 0x00, 0xFF, 0xFE


def _packet(connection: pymysql.connections.Connection[Any]) -> bytes:
    """One packet with its header."""
    header = connection._read_bytes(4)
    return bytes(header + connection._read_bytes(int.from_bytes(header[:3], "little")))


def _integer(payload: bytes, at: int) -> tuple[int, int]:
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(payload[at], 0)
    if not width:
        return payload[at], at + 1
    return int.from_bytes(payload[at + 1 : at + 1 + width], "little"), at + 1 + width


def _more(payload: bytes, deprecates: bool) -> bool:
    """Whether an OK, or the end of rows, says that another result follows."""
    at = 3
    if payload[0] == OK or deprecates:
        at = _integer(payload, _integer(payload, 1)[1])[1]
    return bool(int.from_bytes(payload[at : at + 2], "little") & MORE_RESULTS)


def packets(connection: pymysql.connections.Connection[Any], text: str) -> list[bytes]:
    """All packets of the answer."""
    connection._execute_command(COMMAND.COM_QUERY, text)
    deprecates = bool(connection.client_flag & DEPRECATE_EOF)
    found = []
    more = True
    while more:
        found.append(_packet(connection))
        payload = found[-1][4:]
        if payload[0] == ERROR:
            return found
        if payload[0] != OK:
            count = _integer(payload, 0)[0] + (0 if deprecates else 1)
            found += [_packet(connection) for _ in range(count)]
            while True:
                found.append(_packet(connection))
                payload = found[-1][4:]
                if payload[0] == ERROR:
                    return found
                if payload[0] == END:
                    break
        more = _more(payload, deprecates)
    return found
