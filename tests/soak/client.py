"""A client of the soak: one life after the other, with settings and a name of its own in each.

deeds.py has it do things. What it was told of its transactions is in its ledger, for the audit at
the end (test_soak.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import LiteralString

from tests.raw_client import TERMINATE, bind, execute, parse, query
from tests.soak.ledger import ACKNOWLEDGED, UNDONE, UNKNOWN, Written
from tests.soak.session import (
    CHANGED,
    EVENTS_KEPT,
    SHOWN,
    Answer,
    GoneError,
    RefusedError,
    Session,
    Settings,
    WrongError,
    batch,
)

TABLE: LiteralString = f"""
CREATE TABLE soak (
    client int, number int, part int, expected text,
    actual text DEFAULT concat_ws('|', {SHOWN})
);
GRANT ALL ON soak TO PUBLIC;
"""
"""Each row tells what its client has set, as the client and as the database knows it."""
ZONES = ["Asia/Tokyo", "Europe/Berlin", "America/New_York", "UTC"]


class LeftError(Exception):
    """The client went away by its own will."""


@dataclass(frozen=True)
class Deed:
    """Something that a client does, and how often beside the others."""

    does: Callable[[Client], None]
    weight: int


class Client:
    """Lives many lives, one connection each, until it is told that time is up."""

    def __init__(self, number: int, port: int, seed: int, defaults: dict[str, str]) -> None:
        self.number = number
        self.random = Random(f"{seed}/{number}")
        self.ledger: dict[int, Written] = {}
        self.events: deque[str] = deque(maxlen=EVENTS_KEPT)
        self.session: Session
        self.settings = Settings(defaults)
        # The name of this life, and the cancel key of the one before.
        self.tag = ""
        self.old_key = b""
        self._port = port
        self._defaults = defaults
        self._lives = 0

    # --- life -----------------------------------------------------------------------------------

    def run(self, deeds: Sequence[Deed], is_over: Callable[[], bool]) -> None:
        while not is_over():
            self._lives += 1
            user = "app" if self.number % 3 else "other"
            try:
                with Session(self._port, user, self.random, self.events) as self.session:
                    self._live(deeds, is_over)
            except (GoneError, LeftError) as end:
                self.events.append(f"life {self._lives} ended: {end!r}")

    def _live(self, deeds: Sequence[Deed], is_over: Callable[[], bool]) -> None:
        try:
            self._log_in()
            while not is_over():
                (deed,) = self.random.choices(deeds, [one.weight for one in deeds])
                self.session.note(deed.does.__name__)
                deed.does(self)
                self.session.may_be_cancelled = False
                self.check()
            self.leave()
        finally:
            self.old_key = self.session.raw.key

    def _log_in(self) -> None:
        """A new life has a name of its own, set at log-in or by statement."""
        first = dict(self._defaults)
        self.tag = f"client-{self.number}.{self._lives}"
        options = {}
        if self.random.random() < 0.5:
            first["my.owner"] = self.tag
            options["options"] = f"-c my.owner={self.tag}"
        if self.random.random() < 0.3:
            first["work_mem"] = f"{self.number + 100}kB"
            options["options"] = f"{options.get('options', '')} -c work_mem={first['work_mem']}"
        if self.random.random() < 0.5:
            first["application_name"] = options["application_name"] = self.tag
        self.settings = Settings(first)
        self.session.login(**options)
        self.name_itself()

    # --- asking and setting ----------------------------------------------------------------------

    def ask(self, sql: str) -> Answer:
        """A statement's answer; one that a killed backend undid is asked again."""
        return self.repeat(lambda: self.session.ask(sql))

    def exchange(self, data: bytes, said: str) -> Answer:
        """The same of any request that may be made twice."""
        return self.repeat(lambda: self.session.exchange(data, said))

    def repeat(self, request: Callable[[], Answer]) -> Answer:
        alone = self.session.status == "I"
        while True:
            try:
                return request()
            except RefusedError as refused:
                if str(refused) != "40001" or not alone or self.session.status != "I":
                    raise

    def check(self) -> None:
        """Everything that the client has set is there, and nothing that it hasn't."""
        answer = self.ask(f"SELECT '{self.tag}', {SHOWN}")
        self.expect(answer.rows, [(self.tag, *self.settings.now())])
        for name in ("TimeZone", "application_name"):
            shown = dict(zip(CHANGED, self.settings.now(), strict=True))[name]
            if self.session.told.get(name, shown) != shown:
                raise WrongError(f"told {name} {self.session.told[name]!r} and not {shown!r}")

    def expect(self, got: object, wanted: object) -> None:
        if got != wanted:
            raise WrongError(f"got {got!r}, wanted {wanted!r}")

    def name_itself(self) -> None:
        if self.settings.now()[CHANGED.index("my.owner")] != self.tag:
            self.change("my.owner", self.tag)

    def reset(self, sql: str, *names: str) -> None:
        """A statement that resets these settings, or all of them."""
        self.ask(sql)
        self.settings.reset(names or CHANGED)
        self.check()
        self.name_itself()

    def change(self, name: str, value: str, *, local: bool = False) -> None:
        word = "LOCAL " if local else ""
        way = self.random.choice(["SET", "set_config"])
        if way == "SET":
            self.ask(f"SET {word}{name} = '{value}'")
        else:
            self.ask(f"SELECT set_config('{name}', '{value}', {str(local).lower()})")
        self.settings.set(name, value, local=local)

    def set_something(self, *, local: bool = False) -> None:
        name, value = self.random.choice(
            [
                ("work_mem", f"{self.random.randint(1, 50)}MB"),
                ("work_mem", f"{self.number + 200}kB"),
                ("TimeZone", self.random.choice(ZONES)),
                ("application_name", f"{self.tag}-{self.random.randint(1, 9)}"),
                ("lock_timeout", f"{self.number + 1}min"),
            ]
        )
        self.change(name, value, local=local)

    # --- writing --------------------------------------------------------------------------------

    def begin_writing(self, parts: int) -> tuple[int, Written]:
        number = len(self.ledger)
        written = self.ledger[number] = Written(parts)
        return number, written

    def insert(self, number: int, parts: str) -> str:
        """SQL that writes rows of a transaction; `parts` is SQL that gives their numbers."""
        expected = "|".join(value or "" for value in self.settings.now())
        return (
            f"INSERT INTO soak SELECT {self.number}, {number}, part, '{expected}'"
            f" FROM {parts} AS part"
        )

    def write(self, written: Written, data: bytes, said: str) -> None:
        """A transaction that is one request."""
        written.fate = UNKNOWN
        try:
            self.session.exchange(data, said)
        except RefusedError as refused:
            written.fate = UNDONE
            if str(refused) not in ("40001", "57014"):
                raise WrongError(f"refused by {refused}") from refused
            return
        written.fate = ACKNOWLEDGED

    # --- leaving --------------------------------------------------------------------------------

    def leave(self) -> None:
        """Go away, in the middle of something or not, politely or not."""
        session = self.session
        number, written = self.begin_writing(2)
        sql = self.insert(number, "generate_series(0, 1)")
        data = self.random.choice(
            [
                b"",
                TERMINATE,
                query(sql),
                batch(sql),
                query(sql)[:-9],
                parse(sql) + bind() + execute(),
                query(f"BEGIN; {sql}"),
                query("COPY soak FROM STDIN"),
                query("SELECT repeat('z', 9000) FROM generate_series(1, 3000)"),
                query("SELECT pg_sleep(0.1)"),
                query("SET work_mem = '63MB'; SET my.owner = 'nobody'"),
            ]
        )
        written.fate = UNKNOWN
        session.send(data, f"last words {data[:100]!r}")
        if self.random.random() < 0.5:
            self.reset_connection()
        raise LeftError

    def reset_connection(self) -> None:
        self.session.note("resets the connection")
        self.session.reset_connection()
        raise LeftError
