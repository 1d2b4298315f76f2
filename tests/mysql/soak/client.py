"""A client of the soak on MySQL: one life after the other, with settings of its own in each.

deeds.py has it do things. What it was told of its transactions is in its ledger, for the audit at
the end (test_soak.py).
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.mysql.soak.session import LOST, Answer, Session
from tests.raw_mysql import INIT_DB, QUERY, QUIT, RESET_CONNECTION
from tests.soak.client import LeftError
from tests.soak.ledger import ACKNOWLEDGED, UNDONE, UNKNOWN, Written
from tests.soak.session import EVENTS_KEPT, GoneError, RefusedError, WrongError

SHOWN = {
    "time_zone": "@@time_zone",
    "sql_mode": "@@sql_mode",
    "group_concat_max_len": "@@group_concat_max_len",
    "collation_connection": "@@collation_connection",
    "database": "DATABASE()",
}
"""What clients set, and how it is seen."""
SHOW = f"CONCAT_WS('|', {', '.join(SHOWN.values())})"
TABLE = """
CREATE TABLE app.soak (
    client INT, number INT, part INT, expected VARCHAR(400), actual VARCHAR(400)
) CHARSET utf8mb4
"""
OBJECTS = [
    TABLE,
    "CREATE TABLE app.ids (id INT AUTO_INCREMENT PRIMARY KEY, client INT)",
    "CREATE PROCEDURE app.twice(tag VARCHAR(40)) BEGIN SELECT tag; SELECT tag; END",
]
ZONES = ["+01:00", "-05:00", "+09:00", "SYSTEM"]
MODES = ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", ""]
COLLATIONS = ["utf8mb4_bin", "utf8mb4_unicode_ci", "latin1_bin"]


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
        self.settings = dict(defaults)
        self.tag = ""
        self.lives = 0
        self._port = port
        self._defaults = defaults

    # --- life -----------------------------------------------------------------------------------

    def run(self, deeds: Sequence[Deed], is_over: Callable[[], bool]) -> None:
        while not is_over():
            self.lives += 1
            self.tag = f"client-{self.number}.{self.lives}"
            self.settings = dict(self._defaults)
            try:
                with Session(self._port, self.random, self.events) as self.session:
                    self._live(deeds, is_over)
            except (GoneError, LeftError) as end:
                self.events.append(f"life {self.lives} ended: {end!r}")

    def _live(self, deeds: Sequence[Deed], is_over: Callable[[], bool]) -> None:
        self.session.login()
        while not is_over():
            (deed,) = self.random.choices(deeds, [one.weight for one in deeds])
            self.session.note(deed.does.__name__)
            deed.does(self)
            self.check()
        self.leave()

    # --- asking and setting ---------------------------------------------------------------------

    def ask(self, sql: str) -> Answer:
        """A statement's answer; one that a killed connection undid is asked again."""
        return self.repeat(lambda: self.session.ask(sql))

    def repeat(self, request: Callable[[], Answer]) -> Answer:
        alone = not self.session.in_transaction
        while True:
            try:
                return request()
            except RefusedError as refused:
                if str(refused) != str(LOST) or not alone:
                    raise

    def value(self, sql: str) -> str | None:
        ((found,),) = self.ask(sql).rows
        return found

    def check(self) -> None:
        """Everything that the client has set is there, and nothing that it hasn't."""
        answer = self.ask(f"SELECT '{self.tag}', {SHOW}")
        self.expect(answer.rows, [(self.tag, self.state())])

    def state(self) -> str:
        return "|".join(self.settings.values())

    def expect(self, got: object, wanted: object) -> None:
        if got != wanted:
            raise WrongError(f"got {got!r}, wanted {wanted!r}")

    def set_something(self) -> None:
        name = self.random.choice(list(SHOWN))
        if name == "database":
            self.settings[name] = self.random.choice(["app", "second"])
            self.ask(f"USE {self.settings[name]}")
        elif name == "collation_connection":
            collation = self.random.choice(COLLATIONS)
            self.settings[name] = collation
            self.ask(f"SET NAMES {collation.split('_')[0]} COLLATE {collation}")
        else:
            values = {"time_zone": ZONES, "sql_mode": MODES}
            numbers = [str(self.number + 100), str(self.random.randint(1000, 9999))]
            self.settings[name] = self.random.choice(values.get(name, numbers))
            quoted = f"'{self.settings[name]}'" if name in values else self.settings[name]
            self.ask(f"SET {name} = {quoted}")

    def move(self) -> None:
        """To another database, by command."""
        self.settings["database"] = self.random.choice(["app", "second"])
        self.repeat(lambda: self.session.command(INIT_DB, self.settings["database"].encode()))

    def reset(self) -> None:
        """COM_RESET_CONNECTION, after which MySQL speaks its own character set."""
        if self.session.in_transaction:
            return
        self.repeat(lambda: self.session.command(RESET_CONNECTION))
        database = self.settings["database"]
        self.settings = self._defaults | {"database": database}
        name = "collation_connection"
        collation = self._defaults[name]
        self.ask(f"SET NAMES {collation.split('_')[0]} COLLATE {collation}")

    # --- writing --------------------------------------------------------------------------------

    def begin_writing(self, parts: int) -> tuple[int, Written]:
        number = len(self.ledger)
        written = self.ledger[number] = Written(parts)
        return number, written

    def insert(self, number: int, parts: range) -> str:
        """SQL that writes these rows of a transaction."""
        rows = [f"({self.number}, {number}, {part}, '{self.state()}', {SHOW})" for part in parts]
        return f"INSERT INTO app.soak VALUES {', '.join(rows)}"

    def write(self, written: Written, request: Callable[[], object]) -> None:
        """A transaction that is one request."""
        written.fate = UNKNOWN
        try:
            request()
        except RefusedError as refused:
            written.fate = UNDONE
            if str(refused) != str(LOST):
                raise WrongError(f"refused by {refused}") from refused
            return
        written.fate = ACKNOWLEDGED

    # --- leaving --------------------------------------------------------------------------------

    def leave(self) -> None:
        """Go away, in the middle of something or not, politely or not."""
        number, written = self.begin_writing(2)
        sql = self.insert(number, range(2))
        texts = [
            sql,
            f"BEGIN; {sql}",
            "SELECT REPEAT('z', 9000) FROM information_schema.collations",
            "SELECT SLEEP(0.1)",
            "SET time_zone = '+13:00'; SET @owner = 'nobody'; SELECT GET_LOCK('nobody', 0)",
            "CREATE TEMPORARY TABLE app.own (tag TEXT)",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE app.soak",
            "",
        ]
        text = self.random.choice(texts)
        written.fate = UNKNOWN
        if text:
            self.session.send(QUERY, self.session.raw.text(text), f"last words {text[:60]}")
        elif self.random.random() < 0.5:
            self.session.send(QUIT, b"", "QUIT")
        else:
            with contextlib.suppress(OSError):
                self.session.raw.socket.sendall(b"\x20\0\0\0\3SELECT")
        if self.random.random() < 0.5:
            self.vanish()
        raise LeftError

    def vanish(self) -> None:
        self.session.note("resets the connection")
        self.session.reset_connection()
        raise LeftError
