"""Clients that write rows and keep books of what they were told: a program for a pod.

`python3 -m tests.e2e.ledger ORDER` (JSON, see `Order`) prints `ready` once every client has
committed, goes on until its standard input ends, and then prints its books as JSON. Clients with an
even number write in transactions, odd ones with a statement alone. Every attempt has a number of
its own, so that a row proves what became of that attempt. Only the standard library is used.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

from tests.raw_client import ClosedError, RawClient, error_fields, query

PATIENCE = 90.0
BEFORE_CONNECTING_AGAIN = 0.05


@dataclass(frozen=True)
class Order:
    host: str
    password: str
    run: str
    user: str = "app"
    database: str = "shop"
    writers: int = 8
    idle: int = 0
    pinned: int = 0
    think: float = 0.01


@dataclass(frozen=True)
class Failure:
    """An attempt that did not commit, as far as the client knows.

    `stage`: what it had no good answer to: `connect`, `first` (statement) or `later`.
    `then`: what the next statements got, after a failure on a connection that stayed.
    """

    client: int
    number: int
    at: float
    stage: str
    code: str
    text: str
    stayed: bool
    then: str = ""


@dataclass
class Books:
    committed: list[tuple[int, int, float]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    pinned: list[str] = field(default_factory=list)


class ToldError(Exception):
    """The server answered with an error, or with the end of the connection."""

    def __init__(self, code: str, text: str, *, stayed: bool) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.stayed = stayed


def say(client: RawClient, sql: str) -> str:
    """The command tag that a statement is answered with."""
    told: dict[str, str] = {}
    tag = ""
    try:
        client.send(query(sql))
        while True:
            kind, payload = client.read()
            if kind == b"E":
                told = error_fields(payload)
            elif kind == b"C":
                tag = payload[:-1].decode()
            elif kind == b"Z":
                break
    except (ClosedError, OSError) as error:
        raise ToldError(
            told.get("C", ""), told.get("M", "") or repr(error), stayed=False
        ) from error
    if told:
        raise ToldError(told["C"], told["M"], stayed=True)
    return tag


def outcome(client: RawClient, sql: str) -> str:
    """The code of the error that a statement gets; `ok` without one, `closed` after the end."""
    try:
        say(client, sql)
    except ToldError as error:
        return error.code or "closed"
    return "ok"


class Ledger:
    """All clients of one run, a thread for each."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._stop = threading.Event()
        self._books = Books()
        self._waiting_for = set(range(order.writers))
        self._lock = threading.Lock()

    def keep(self) -> Books:
        watchers = [self._watch(self._books.idle, "select 1") for _ in range(self._order.idle)]
        state = "create temporary table mine (number int)"
        watchers += [self._watch(self._books.pinned, state) for _ in range(self._order.pinned)]
        writers = [
            threading.Thread(target=self._write, args=(number,))
            for number in range(self._order.writers)
        ]
        for writer in writers:
            writer.start()
        sys.stdin.read()
        self._stop.set()
        for writer in writers:
            writer.join()
        for client, results in watchers:
            results.append(outcome(client, "select 1"))
            client.close()
        return self._books

    def _connect(self) -> RawClient:
        order = self._order
        client = RawClient(order.host, 5432)
        try:
            client.login(order.user, order.password, order.database)
        except BaseException:
            client.close()
            raise
        client.socket.settimeout(PATIENCE)
        return client

    def _watch(self, results: list[str], sql: str) -> tuple[RawClient, list[str]]:
        """A client that does one thing at the start and one at the end."""
        client = self._connect()
        say(client, sql)
        return client, results

    def _write(self, number: int) -> None:
        client: RawClient | None = None
        attempt = 0
        while not self._stop.wait(self._order.think):
            attempt += 1
            try:
                client = client or self._connect()
            except (AssertionError, ClosedError, OSError) as error:
                self._fail(number, attempt, "connect", ToldError("", repr(error), stayed=False))
                self._stop.wait(BEFORE_CONNECTING_AGAIN)
                continue
            if not self._attempt(client, number, attempt):
                client.close()
                client = None
        if client is not None:
            client.close()

    def _attempt(self, client: RawClient, number: int, attempt: int) -> bool:
        """Whether the connection can be used on."""
        insert = (
            "insert into ledger (run, client, number) "
            f"values ('{self._order.run}', {number}, {attempt})"
        )
        statements = [insert] if number % 2 else ["begin", insert, "commit"]
        stage = "first"
        tag = ""
        try:
            for sql in statements:
                tag = say(client, sql)
                stage = "later"
        except ToldError as error:
            then = self._go_on(client, insert, sql != statements[-1]) if error.stayed else ""
            self._fail(number, attempt, stage, error, then)
            return error.stayed
        if tag not in ("COMMIT", "INSERT 0 1"):
            told = ToldError("", f"answered with {tag}", stayed=True)
            self._fail(number, attempt, "later", told)
            return True
        with self._lock:
            self._books.committed.append((number, attempt, time.time()))
            self._commits(number)
        return True

    def _go_on(self, client: RawClient, insert: str, unfinished: bool) -> str:
        """As a client that doesn't look at errors: the rest of its script, then it rolls back."""
        then = outcome(client, insert) if unfinished else ""
        return f"{then} {outcome(client, 'rollback')}".strip()

    def _fail(self, number: int, attempt: int, stage: str, told: ToldError, then: str = "") -> None:
        failure = Failure(
            number, attempt, time.time(), stage, told.code, told.text, told.stayed, then
        )
        with self._lock:
            self._books.failures.append(failure)

    def _commits(self, number: int) -> None:
        if number in self._waiting_for:
            self._waiting_for.remove(number)
            if not self._waiting_for:
                print("ready", flush=True)


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    print(json.dumps(asdict(Ledger(order).keep())), flush=True)


if __name__ == "__main__":
    main()
