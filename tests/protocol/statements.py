"""Random scripts of a client: what sessions may say, in every mix, under a seed.

For test_likeness.py, which wants of each script that the proxy answers as the database does. A
script names only tables, channels and locks of its own client, so that what it is answered
depends on nobody else; and another's sequence, of which it must never hear.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

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

PLAIN = [
    "select 1, 'x', null",
    "select generate_series(1, 40)",
    "select repeat('y', 3000) from generate_series(1, 60)",
    "",
    ";;",
    "select",
    "bogus",
    "select 1/0",
    "select 1; select 'two'; select 3",
    "select 1; select 1/0; select 3",
    "values (1), (2)",
    "explain (costs off) select 1",
    "select current_user, session_user",
    "select pg_sleep(0.001)",
    "-- nothing but a comment",
    "/* begin; */ select 5 /* ; */",
    "do $$ begin raise notice 'told'; end $$",
    "do $$ begin perform 1/0; end $$",
]
TRANSACTIONS = [
    "begin",
    "begin",
    "start transaction read only",
    "begin isolation level serializable",
    "commit",
    "commit",
    "end",
    "rollback",
    "abort",
    "commit and chain",
    "rollback and no chain",
    "savepoint a",
    "rollback to a",
    "release a",
    "begin; select 1",
    "begin; select 1; commit; select 2",
    "select 1; commit",
    "rollback; begin; select 7",
    "insert into r{c} values (8); select 1/0",
    "prepare transaction 'never'",
    "set transaction read only",
    "set constraints all deferred",
]
SETTINGS = [
    "set work_mem = '3MB'",
    "set local work_mem = '5MB'",
    "show work_mem",
    "show work_mem",
    "reset work_mem",
    "reset all",
    "select set_config('work_mem', '6MB', false)",
    "select set_config('work_mem', '7MB', true)",
    "select current_setting('work_mem')",
    "set timezone to 'Asia/Tokyo'",
    "show timezone",
    "set datestyle to german",
    "select date '2026-11-21'",
    "set application_name to 'mine'",
    "set search_path to pg_catalog",
    "show search_path",
    "set session characteristics as transaction read only",
    "show transaction_read_only",
    "set datestyle = 'iso, ymd'",
    "set role nobody_of_that_name",
    "set role pal",
    "set session role other",
    "reset role",
    "select current_user, session_user, current_setting('is_superuser')",
    "show role",
    "set session authorization app",
    "reset session authorization",
    "set time zone -7",
    "set time zone local",
    "set intervalstyle to iso_8601; select interval '1 day'; show intervalstyle",
    "reset intervalstyle",
    "select 1.0::float8 / 3, interval '1 day'",
    "set extra_float_digits = -3",
    "set names 'latin1'",
    "set client_encoding to default",
    "show client_encoding",
    "set standard_conforming_strings = off",
    "set standard_conforming_strings to on",
    "select 'a\\b'",
    'set search_path to "$user", public, "Odd name"',
    "reset search_path",
    "set work_mem = '9MB'; savepoint a",
    "begin; set work_mem = '4321kB'; savepoint a; set work_mem = '8MB'",
    "set work_mem = '10MB'; select 1/0",
    "set work_mem = '11MB'; commit; set work_mem = '12MB'; select 1/0",
    "set work_mem = bogus",
    "set lock_timeout = 3000; set enable_seqscan = off",
    "show lock_timeout",
    "show enable_seqscan",
    "select set_config('lock_timeout', '4s', false), set_config('work_mem', null, false)",
    "select set_config('timezone', 'Europe/Berlin', false)",
    "select pg_advisory_unlock_all(); close all; unlisten *; reset all;",
    "show application_name",
    "reset application_name",
    "set application_name to default",
    "show session characteristics",
    "set default_transaction_isolation to serializable",
    "show transaction_isolation",
    "discard all",
    "discard plans",
    "discard temp",
    "discard sequences",
]
STATEFUL = [
    "create temp table t (a int)",
    "create temp table if not exists t (a int)",
    "insert into t values (1) returning a + 1",
    "select count(*) from t",
    "drop table t",
    "create temp table u on commit drop as select 1 as a",
    "select count(*) from u",
    "set my.own = 'mine'",
    "select coalesce(current_setting('my.own', true), '')",
    "prepare s as select $1::int + 1",
    "execute s(1)",
    "deallocate s",
    "deallocate all",
    "select name, statement from pg_prepared_statements order by 1",
    "declare c cursor for select generate_series(1, 10)",
    "declare c cursor with hold for select generate_series(1, 10)",
    "fetch 3 from c",
    "move 2 in c",
    "close c",
    "close all",
    "select name from pg_cursors where name <> '' order by 1",
    "listen ch{c}",
    "unlisten *",
    "notify ch{c}, 'news'",
    "select pg_notify('ch{c}', 'more')",
    "select pg_listening_channels()",
    "select pg_advisory_lock({c})",
    "select pg_try_advisory_lock({c})",
    "select pg_advisory_unlock({c})",
    "select pg_advisory_unlock_all()",
    "select pg_advisory_xact_lock({c})",
    "select count(*) from pg_locks where locktype = 'advisory' and objid = {c}",
    "select nextval('q{c}')",
    "select nextval('q{c}'); select currval('q{c}'), lastval()",
    "select setval('q{c}', 5)",
    "select currval('q{o}')",
    "insert into r{c} values (6); select currval('q{o}')",
]
ROWS = [
    "insert into r{c} values (1) returning a",
    "insert into r{c} select generate_series(1, 20)",
    "insert into r{c} values (null)",
    "update r{c} set a = a + 1 where a < 3",
    "delete from r{c} where a > 15",
    "truncate r{c}",
    "select count(*), sum(a) from r{c}",
    "select a from r{c} order by a for update",
    "lock table r{c}",
    "call p{c}()",
    "select f{c}()",
    "with gone as (delete from r{c} where a = 2 returning a) select count(*) from gone",
    "copy (select generate_series(1, 5)) to stdout",
    "copy (select a from r{c} order by a) to stdout",
    "vacuum r{c}",
    "select nextval('q{c}')",
]
STATEMENTS = [
    "select * from d{c}",
    "select * from d{c}",
    "select a as n1 from d{c}",
    "select $1::int + 1",
    "insert into d{c} values ($1)",
    "insert into d{c} values (default)",
    "alter table d{c} alter a type text",
    "alter table d{c} alter a type int using 7",
    "alter table d{c} add if not exists b int",
    "alter table d{c} drop if exists b",
    "deallocate all",
    "deallocate s",
    "deallocate prepare n1;",
    'deallocate "N"',
    "deallocate nobody1",
    "prepare s as select a from d{c}",
    "prepare n1 (int) as select $1 + 1",
    'prepare "N" as update d{c} set a = a returning *',
    "prepare mine as select date '01/02/2020', current_setting('datestyle')",
    "prepare mine (text) as insert into d{c} (a) values (default)",
    "prepare s as select nothing",
    "execute s",
    "execute s(1)",
    "execute n1(2)",
    "execute n1('x')",
    "execute n1(1 / 0)",
    'execute "N"',
    "execute mine",
    "explain (costs off) execute s",
    "deallocate mine",
]
"""What is worth a name, and what changes under it."""
KINDS = [(PLAIN, 3), (TRANSACTIONS, 5), (SETTINGS, 2), (STATEFUL, 1), (ROWS, 3), (STATEMENTS, 2)]
QUIET = [(PLAIN, 2), (TRANSACTIONS, 4), (SETTINGS, 3), (ROWS, 3), (STATEMENTS, 3)]
"""What most clients say: nothing of it pins, so that backends change hands."""
NAMES = [[""], ["", "", "s"], ["", "s", "n1", "N"], ["s", "n1"]]
"""What statements are called; several clients have the same names."""

SCHEMA = """
create table r{c} (a int not null);
create sequence q{c};
create table d{c} (a int);
create procedure p{c}() language plpgsql as
  $$ begin insert into r{c} values (30); commit; insert into r{c} values (31); end $$;
create function f{c}() returns bigint language sql as
  $$ insert into r{c} values (40); select count(*) from r{c} $$;
"""
RESET = """
truncate r{c}; alter sequence q{c} restart; drop table d{c}; create table d{c} (a int);
"""


BROKEN_REQUESTS = [
    message(b"Q", b"select 'a\0b'\0"),
    message(b"Q", b"rollback"),
    message(b"Q", b"select '\xff'\0"),
    message(b"F", b"\0\0"),
]
BROKEN_PARTS = [
    message(b"P", b"\0select 'a\0b'\0\0\0"),
    message(b"P", b"\0select '\xff'\0\0\0"),
    message(b"P", b"n\0rollback\0\0\0x"),
    message(b"B", b"p\0n"),
    message(b"D", b"S"),
    message(b"E", b"\0\0\0"),
    message(b"C", b"X\0"),
    message(b"H", b"x"),
]
"""Messages whose frame is whole and whose contents are not."""


@dataclass(frozen=True)
class Step:
    """What a client sends in one go, and how many ReadyForQuery it then waits for."""

    said: list[str]
    data: bytes
    ready: int


Part = tuple[str, bytes]
Request = tuple[list[str], bytes]
"""What is answered with one ReadyForQuery, in words and as it is sent."""


class Author:
    """Writes one client's script."""

    def __init__(self, seed: int, client: int) -> None:
        self._random = Random(f"{seed}/{client}")
        self._client = client
        self._kinds = KINDS if self._random.random() < 0.4 else QUIET
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
        return Step(said, b"".join(data for _, data in requests), len(requests))

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
