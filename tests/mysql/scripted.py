"""A client that says what its script says, and what of the answers may be compared."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from random import Random

from tests.mysql.comparable import Spoken, comparable
from tests.mysql.statements import Step
from tests.mysql_servers import DATABASE, PASSWORDS
from tests.raw_client import ClosedError
from tests.raw_mysql import (
    DEPRECATE_EOF,
    FOUND_ROWS,
    LOCAL_FILES,
    MULTI_STATEMENTS,
    QUERY_ATTRIBUTES,
    RESET_CONNECTION,
    SESSION_TRACK,
    STMT_CLOSE,
    STMT_PREPARE,
    OutOfStepError,
    Packet,
    RawMySQL,
)
from tests.servers import HOST

USER = "legacy"
NOBODYS = 4242
"""The id of a statement that no client has."""


@dataclass(frozen=True)
class Login:
    """As what a client logs in."""

    capabilities: int
    collation: int
    database: str

    @classmethod
    def under(cls, random: Random) -> Login:
        varied = [SESSION_TRACK, DEPRECATE_EOF, QUERY_ATTRIBUTES, FOUND_ROWS]
        capabilities = sum(one for one in varied if random.random() < 0.5)
        for likely in (MULTI_STATEMENTS, LOCAL_FILES):
            capabilities |= likely if random.random() < 0.9 else 0
        collation = random.choice([45, 45, 45, 8, 33, 63])
        return cls(capabilities, collation, random.choice([*[DATABASE] * 5, "second", ""]))


class ScriptedClient:
    """One connection, from its log-in to its parting words."""

    def __init__(self, login: Login, script: list[Step], parting: bytes) -> None:
        self.heard: list[list[Packet]] = []
        self._login = login
        self._script = iter(script)
        self._parting = parting
        self._raw: RawMySQL | None = None
        self._spoken = Spoken()

    def goes_on(self, port: int) -> bool:
        """Takes the next step; whether there may be another."""
        answer: list[Packet] = []
        try:
            if self._raw is None:
                self.heard.append(answer)
                self._raw = RawMySQL(HOST, port)
                answer += self._logs_in(self._raw)
                return True
            step = next(self._script, None)
            if step is None:
                self._leaves(self._raw)
                return False
            self.heard.append(answer)
            answer += self._says(self._raw, step)
        except (ClosedError, OSError, OutOfStepError) as error:
            answer.append(Packet("closed", repr(error).encode()))
            if self._raw is not None:
                self._raw.close()
            return False
        return True

    def _logs_in(self, raw: RawMySQL) -> list[Packet]:
        """What the server is called, what is spoken with it, and the OK."""
        login = self._login
        ok = raw.login(
            USER,
            PASSWORDS[USER],
            database=login.database,
            capabilities=login.capabilities,
            collation=login.collation,
        )
        self._spoken = Spoken(raw.agreed, b"MariaDB" in raw.version)
        greeting = Packet("greeting", raw.version + hex(raw.agreed).encode())
        return [greeting, comparable(ok, 0, self._spoken)]

    def _says(self, raw: RawMySQL, step: Step) -> list[Packet]:
        body = step.body
        if step.attributed is not None and raw.agreed & QUERY_ATTRIBUTES:
            body = step.attributed
        if step.text is not None:
            body = raw.text(step.text)
        elif step.slot is not None and step.command != STMT_PREPARE:
            body = struct.pack("<I", self._spoken.names.get(step.slot, NOBODYS)) + body
        raw.send(step.command, body, int(step.cut * len(body)))
        answer = raw.answer(step.command, step.file)
        told = [comparable(one, step.command, self._spoken) for one in answer]
        self._names_statements(step, answer)
        return told

    def _names_statements(self, step: Step, answer: list[Packet]) -> None:
        """Keeps what the server calls the client's statements."""
        names = self._spoken.names
        if step.command == RESET_CONNECTION:
            names.clear()
        elif step.slot is not None and step.command in (STMT_PREPARE, STMT_CLOSE):
            names.pop(step.slot, None)
            if answer and answer[0].kind == "prepared":
                names[step.slot] = int.from_bytes(answer[0].payload[1:5], "little")

    def _leaves(self, raw: RawMySQL) -> None:
        with contextlib.suppress(OSError):
            raw.socket.sendall(self._parting)
        raw.close()
