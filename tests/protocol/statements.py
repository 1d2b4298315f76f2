"""Random scripts of a client: what sessions may say, in every mix, under a seed.

For test_likeness.py, which wants of each script that the proxy answers as the database does. A
script names only tables, channels and locks of its own client, so that what it is answered
depends on nobody else; and another's sequence, of which it must never hear.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.protocol.repertoire import (
    BROKEN_PARTS,
    BROKEN_REQUESTS,
    CHANNELS,
    EARS,
    KINDS,
    NAMES,
    QUIET,
)
from tests.raw_client import (
    FLUSH,
    SYNC,
    TERMINATE,
    bind,
    cstring,
    describe,
    execute,
    message,
    parse,
    query,
)


@dataclass(frozen=True)
class Step:
    """What a client sends in one go, and how many ReadyForQuery it then waits for.

    Before it somebody else has notified these channels.
    """

    said: list[str]
    data: bytes
    ready: int
    news: list[str]


Part = tuple[str, bytes]
Request = tuple[list[str], bytes]
"""What is answered with one ReadyForQuery, in words and as it is sent."""


class Author:
    """Writes one client's script."""

    def __init__(self, seed: int, client: int) -> None:
        self._random = Random(f"{seed}/{client}")
        self._client = client
        self._kinds = self._random.choices([KINDS, QUIET, EARS], [3, 5, 2])[0]
        self._names = self._random.choice(NAMES)

    def script(self, steps: int = 24) -> list[Step]:
        return [self._step() for _ in range(self._random.randint(1, steps))]

    def parting(self) -> bytes:
        """With what the client leaves: nothing of it lasts."""
        table = f"r{self._client}"
        words = [
            b"",
            TERMINATE,
            query("select 1")[:7],
            parse("select 1") + bind(),
            parse(f"insert into {table} values (9)") + bind() + execute(),
            query(f"begin; insert into {table} values (9)"),
            query(f"copy {table} from stdin") + message(b"d", b"9\n"),
            query(f"copy {table} from stdin") + message(b"d", b"9\n")[:6],
            query("select repeat('z', 9000) from generate_series(1, 3000)"),
            query("select pg_sleep(0.02)"),
        ]
        return self._random.choice(words)

    def _step(self) -> Step:
        requests: list[Request] = []
        for _ in range(self._random.choice([1, 1, 1, 2, 5])):
            writes = [self._query, self._batch, self._copy, self._suspended, self._broken]
            requests += self._random.choices(writes, [10, 10, 2, 1, 1])[0]()
        said = [one for words, _ in requests for one in words]
        return Step(said, b"".join(data for _, data in requests), len(requests), self._news())

    def _news(self) -> list[str]:
        often = 0.5 if self._kinds is EARS else 0.05
        count = self._random.choice([1, 1, 2, 5]) if self._random.random() < often else 0
        chosen = self._random.choices(CHANNELS, k=count)
        return [channel.replace("{c}", str(self._client)) for channel in chosen]

    def _sql(self) -> str:
        texts, weights = zip(*self._kinds, strict=True)
        chosen: list[str] = self._random.choices(texts, weights)[0]
        sql = self._random.choice(chosen).replace("{c}", str(self._client))
        return sql.replace("{o}", str(self._client ^ 1))

    def _query(self) -> list[Request]:
        sql = self._sql()
        return [([f"Q {sql}"], query(sql))]

    def _broken(self) -> list[Request]:
        """What is refused unread, by itself."""
        data = self._random.choice(BROKEN_REQUESTS)
        return [([repr(data)], data)]

    def _copy(self) -> list[Request]:
        """COPY FROM, by either protocol, with the data sent ahead of the server's answer.

        None is left in the unnamed statement: PostgreSQL 15 dies of one that is executed again
        and met by other messages than data.
        """
        sql = f"copy r{self._client} from stdin"
        end = self._random.choice([message(b"c"), message(b"f", cstring("no more"))])
        rows = b"".join(
            message(b"d", self._random.choice([b"3\n", b"44\n5", b"\n", b"bad\n"]))
            for _ in range(self._random.randint(0, 3))
        )
        if self._random.random() < 0.5:
            return [([f"Q {sql}", repr(rows + end)], query(sql) + rows + end)]
        extended = parse(sql) + bind() + execute() + rows + end + SYNC
        after = joined([("P select 1", parse("select 1")), ("S", SYNC)])
        return [([f"P {sql}", repr(rows + end), "S"], extended), after]

    def _suspended(self) -> list[Request]:
        """A portal that is read on in later batches of its transaction."""
        first = [("B", bind()), ("E 2", execute(rows=2)), ("S", SYNC)]
        on = [("E 3", execute(rows=3)), ("S", SYNC)]
        sql = self._sql()
        requests = [[(f"Q {word}", query(word))] for word in ("rollback", "begin")]
        requests += [[(f"P {sql}", parse(sql)), *first], on, on]
        return [joined(parts) for parts in requests]

    def _batch(self) -> list[Request]:
        """Extended messages up to a Sync: often a sensible row of them, sometimes any."""
        parts = self._sensible() if self._random.random() < 0.6 else self._any()
        return [joined([*parts, ("S", SYNC)])]

    def _sensible(self) -> list[Part]:
        parts: list[Part] = []
        for _ in range(self._random.choice([1, 1, 2, 3])):
            sql = self._sql()
            name = self._random.choice(self._names)
            if not name or self._random.random() < 0.4:
                parts.append((f"P {name!r} {sql}", parse(sql, name)))
            if name and self._random.random() < 0.3:
                parts.append((f"D {name!r}", describe(b"S", name)))
            parts.append((f"B {name!r}", bind(name)))
            if self._random.random() < 0.5:
                parts.append(("D", describe()))
            parts.append(("E", execute()))
        return parts

    def _any(self) -> list[Part]:
        """Any messages, but none that executes what wasn't bound in the same batch.

        PostgreSQL 15 dies of executing a portal that an aborted transaction left behind.
        """
        random = self._random
        parts: list[Part] = []
        bound = None
        for _ in range(random.randint(0, 6)):
            name = random.choice(self._names)
            portal = random.choice(["", "", "p"])
            of, which = random.choice([(b"S", name), (b"P", portal)])
            if random.random() < 0.02:
                data = random.choice(BROKEN_PARTS)
                parts.append((repr(data), data))
            match random.choice("PPBBBDDEEECH" if bound is not None else "PPBBBDDCH"):
                case "P":
                    sql = self._sql()
                    parts.append((f"P {name!r} {sql}", parse(sql, name)))
                case "B":
                    bound = portal
                    parts.append((f"B {name!r} to {portal!r}", bind(name, portal)))
                case "E":
                    rows = random.choice([0, 0, 2])
                    parts.append((f"E {bound!r} {rows}", execute(bound or "", rows)))
                case "D":
                    parts.append((f"D {of!r} {which!r}", describe(of, which)))
                case "C":
                    parts.append((f"C {of!r} {which!r}", message(b"C", of + cstring(which))))
                case _:
                    parts.append(("H", FLUSH))
        return parts


def joined(parts: list[Part]) -> Request:
    return [word for word, _ in parts], b"".join(data for _, data in parts)
