"""Random scripts of a client of MySQL's: what sessions may say, in every mix, under a seed.

For test_likeness.py, which wants of each script that the proxy answers as the database does. A
script names only tables, routines and locks of its own client, so that what it is answered depends
on nobody else.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.mysql.repertoire import (
    FILES,
    LOADS,
    PREPARED,
    Kinds,
    kinds,
    quiet,
)
from tests.mysql_servers import MYSQL, Kind
from tests.raw_mysql import (
    FIELD_LIST,
    INIT_DB,
    PING,
    QUERY,
    RESET_CONNECTION,
    SET_OPTION,
    STATISTICS,
    STMT_CLOSE,
    STMT_EXECUTE,
    STMT_FETCH,
    STMT_PREPARE,
    STMT_RESET,
    STMT_SEND_LONG_DATA,
)

LONGLONG, DOUBLE, NULL, BLOB = 8, 5, 6, 252
CURSOR = 1
SLOTS = 3
"""How many prepared statements a client has at most."""


@dataclass(frozen=True)
class Step:
    """One command. Of one that is of a prepared statement the body is what stands behind its id;
    `attributed`: for who has agreed on query attributes."""

    said: str
    command: int
    body: bytes = b""
    slot: int | None = None
    text: str | None = None
    file: tuple[bytes, ...] = ()
    cut: float = 0.0
    attributed: bytes | None = None


@dataclass
class Prepared:
    """A client's statement, as far as its author knows."""

    text: str
    # The server was told the types of its parameters.
    told: bool = False
    has_cursor: bool = False
    # MySQL is out of step once it executes without a cursor what it has executed with one.
    must_have_cursor: bool = False
    long: frozenset[int] = frozenset()


def value(kind: int, random: Random) -> bytes:
    """A parameter's value of that type."""
    if kind == LONGLONG:
        return struct.pack("<q", random.choice([0, 1, 2, -7, 2**40]))
    if kind == DOUBLE:
        return struct.pack("<d", random.choice([0.5, -1e10]))
    text = random.choice([b"", b"+01:00", b"three", b"3", "ü".encode()])
    return bytes([len(text)]) + text


def types_of(text: str) -> tuple[int, ...]:
    """The types of a text's parameters, the same in all executions: a server answers one by how the
    statement was executed before, the proxy as if it never was."""
    return tuple(Random(text).choices([LONGLONG, BLOB, DOUBLE, NULL], k=text.count("?")))


class Author:
    """Writes one client's script."""

    def __init__(self, kind: Kind, seed: int, client: int) -> None:
        self._random = Random(f"{seed}/{client}")
        self._kind = kind
        self._client = client
        self._kinds: Kinds = self._random.choices([kinds(kind), quiet(kind)], [3, 5])[0]
        self._slots: dict[int, Prepared] = {}
        # Of how many commands one is of the binary protocol.
        self._binary = self._random.choice([0.0, 0.0, 0.2, 0.6])

    def script(self, steps: int = 30) -> list[Step]:
        found: list[Step] = []
        for _ in range(self._random.randint(1, steps)):
            found += self._steps()
        return found

    def parting(self) -> bytes:
        """With what the client leaves, behind the last answer: nothing of it lasts."""
        insert = f"\3INSERT INTO t{self._client} (a) VALUES (9)".encode()
        words = [
            b"",
            b"\1\0\0\0\1",
            b"\x20\0\0\0\3SELECT",
            framed(b"\3BEGIN") + framed(insert),
            framed(b"\3SELECT SLEEP(0.02)"),
            framed(b"\3SELECT REPEAT('z', 70000) FROM mysql.help_topic LIMIT 90"),
            framed(f"\3LOAD DATA LOCAL INFILE 'f' INTO TABLE t{self._client} (a)".encode()),
        ]
        return self._random.choice(words)

    def _steps(self) -> list[Step]:
        if self._random.random() < self._binary:
            return self._of_a_statement()
        writes = [self._query, self._command, self._load]
        return self._random.choices(writes, [30, 3, 1])[0]()

    # --- by text --------------------------------------------------------------------------------

    def _sql(self) -> str:
        texts, weights = zip(*self._kinds, strict=True)
        chosen: list[str] = self._random.choices(texts, weights)[0]
        return self._own(self._random.choice(chosen))

    def _own(self, text: str) -> str:
        return text.replace("{c}", str(self._client))

    def _query(self) -> list[Step]:
        return [self._says(self._sql())]

    def _says(self, text: str, file: Sequence[bytes] = ()) -> Step:
        cut = self._random.random() if self._random.random() < 0.1 else 0.0
        return Step(text, QUERY, text=text, file=tuple(file), cut=cut)

    def _load(self) -> list[Step]:
        text = self._own(self._random.choice(LOADS))
        return [self._says(text, self._random.choice(FILES))]

    # --- by command -----------------------------------------------------------------------------

    def _command(self) -> list[Step]:
        table = f"t{self._client}".encode()
        option = bytes([self._random.randint(0, 1), 0])
        step = self._random.choice(
            [
                Step("PING", PING),
                Step("STATISTICS", STATISTICS),
                Step("INIT_DB second", INIT_DB, b"second"),
                Step("INIT_DB app", INIT_DB, b"app"),
                Step("INIT_DB nowhere", INIT_DB, b"nowhere"),
                Step(f"SET_OPTION {option!r}", SET_OPTION, option),
                Step("FIELD_LIST", FIELD_LIST, table + b"\0"),
                Step("FIELD_LIST nowhere", FIELD_LIST, b"nowhere\0%"),
                Step("RESET_CONNECTION", RESET_CONNECTION),
                Step("an unknown command", 0x99),
            ]
        )
        if step.command == RESET_CONNECTION:
            self._slots = {}
        return [step]

    # --- by prepared statements -----------------------------------------------------------------

    def _of_a_statement(self) -> list[Step]:
        slot = self._random.randrange(SLOTS)
        prepared = self._slots.get(slot)
        if prepared is None or self._random.random() < 0.1:
            return self._prepares(slot)
        does = self._random.choices(
            [self._executes, self._fetches, self._sends_long, self._resets, self._closes],
            [12, 4, 2, 1, 1],
        )[0]
        return does(slot, prepared)

    def _prepares(self, slot: int) -> list[Step]:
        again = [self._of(slot, "STMT_CLOSE", STMT_CLOSE)] if slot in self._slots else []
        text = self._own(self._random.choice(PREPARED))
        self._slots[slot] = Prepared(text)
        step = Step(f"STMT_PREPARE {slot}: {text}", STMT_PREPARE, text.encode(), slot)
        return [*again, step]

    def _executes(self, slot: int, prepared: Prepared) -> list[Step]:
        """With its types or those of before, with a cursor or without."""
        types = types_of(prepared.text)
        count = len(types)
        tells = not prepared.told or self._random.random() < 0.6
        nulls = {at for at, one in enumerate(types) if one == NULL}
        flags = CURSOR if prepared.must_have_cursor or self._random.random() < 0.25 else 0
        head = struct.pack("<BI", flags, 1)
        told, named = b"", b""
        if count:
            bits = sum(1 << at for at in nulls)
            told = named = bits.to_bytes((count + 7) // 8, "little") + bytes([tells])
            told += b"".join(bytes([one, 0]) for one in types) if tells else b""
            named += b"".join(bytes([one, 0, 0]) for one in types) if tells else b""
            named = bytes([count]) + named
        values = b""
        for at, one in enumerate(types):
            if at not in nulls and at not in prepared.long:
                values += value(one, self._random)
        before = [self._of(slot, "STMT_RESET", STMT_RESET)] if prepared.has_cursor else []
        bound = flags == CURSOR and self._kind is MYSQL
        self._slots[slot] = Prepared(prepared.text, True, flags == CURSOR, bound)
        said = f"STMT_EXECUTE {slot}: {prepared.text} {types if tells else ''} {flags}"
        body, attributed = head + told + values, head + named + values
        step = Step(said, STMT_EXECUTE, body, slot, attributed=attributed)
        return [*before, step]

    def _fetches(self, slot: int, prepared: Prepared) -> list[Step]:
        count = self._random.choice([1, 2, 100])
        step = self._of(slot, f"STMT_FETCH {count}", STMT_FETCH, struct.pack("<I", count))
        return [step] if prepared.has_cursor or self._random.random() < 0.2 else []

    def _sends_long(self, slot: int, prepared: Prepared) -> list[Step]:
        blobs = [at for at, one in enumerate(types_of(prepared.text)) if one == BLOB]
        if not blobs:
            return []
        at = self._random.choice(blobs)
        data = self._random.choice([b"", b"5", b"long" * 20_000])
        prepared.long |= {at}
        said = f"STMT_SEND_LONG_DATA {at} {data[:4]!r}"
        step = self._of(slot, said, STMT_SEND_LONG_DATA, struct.pack("<H", at) + data)
        return [step] * self._random.choice([1, 1, 2])

    def _resets(self, slot: int, prepared: Prepared) -> list[Step]:
        prepared.has_cursor = False
        prepared.long = frozenset()
        return [self._of(slot, "STMT_RESET", STMT_RESET)]

    def _closes(self, slot: int, prepared: Prepared) -> list[Step]:
        del self._slots[slot]
        return [self._of(slot, "STMT_CLOSE", STMT_CLOSE)]

    def _of(self, slot: int, said: str, command: int, body: bytes = b"") -> Step:
        return Step(f"{said} of {slot}", command, body, slot)


def framed(payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + payload
