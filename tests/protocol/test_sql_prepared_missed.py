"""What a text among others, or a pinned client, does with a statement that can't be made just then:
it is told what the database says of that, and the name is taken until it is deallocated."""

from __future__ import annotations

import pytest
from tests.protocol.test_sql_prepared import Requests, Trio, client, told, trio, used
from tests.raw_client import SYNC, bind, error_fields, execute, parse, query

__all__ = ["trio"]

GONE = "DROP TABLE IF EXISTS gone"
TABLE = "CREATE TABLE gone (a int); GRANT ALL ON gone TO PUBLIC; ALTER TABLE gone OWNER TO app"
DROP, AGAIN = query("DROP TABLE gone"), query("CREATE TABLE gone AS SELECT 7 AS a")
MAKE = query("PREPARE s AS SELECT a FROM gone")
WITH = query("PREPARE s (int, text) AS SELECT a FROM gone WHERE a = $1 AND $2 <> ''")
NAMED = parse("select a from gone", "s") + SYNC
DATED = parse("select a, '1' from gone", "s") + SYNC
OTHER_READING = query("SET DateStyle = 'SQL, DMY'")
TOO = query("PREPARE q AS SELECT a + 1 FROM gone")
OTHER = query("SELECT 1; PREPARE other AS SELECT 1")
MISSED: list[Requests] = [
    [MAKE, DROP, query("SELECT 1; EXECUTE s"), query("EXECUTE s"), AGAIN, query("EXECUTE s")],
    [NAMED, DROP, query("SELECT 1; EXECUTE s"), AGAIN, query("SELECT 1; EXECUTE s"), used("s")],
    [MAKE, DROP, query("SELECT 1; EXPLAIN EXECUTE s"), query("EXPLAIN EXECUTE s; SELECT 1")],
    [MAKE, DROP, query("CREATE TEMP TABLE t AS EXECUTE s"), query("DISCARD ALL")],
    [MAKE, DROP, parse("execute s") + bind() + execute() + SYNC, query("SELECT 1; EXECUTE s")],
    [MAKE, DROP, OTHER, query("EXECUTE s"), query("EXECUTE other"), query("EXECUTE nothing")],
    [MAKE, DROP, OTHER, query("DEALLOCATE s"), query("EXECUTE s"), query("DEALLOCATE s")],
    [MAKE, DROP, OTHER, MAKE, AGAIN, query("EXECUTE s")],
    [MAKE, DROP, query("DEALLOCATE s; SELECT 1"), query("EXECUTE s"), AGAIN, MAKE, used("s")],
    [MAKE, DROP, query('SELECT 1; DEALLOCATE PREPARE "s"'), query("DEALLOCATE s")],
    [MAKE, DROP, query("DEALLOCATE s; SELECT 1/0"), query("EXECUTE s")],
    [MAKE, DROP, query("SELECT 1/0; DEALLOCATE s"), AGAIN, query("EXECUTE s")],
    [MAKE, DROP, query("DEALLOCATE nothing; SELECT 1 AS s"), AGAIN, query("EXECUTE s")],
    [MAKE, DROP, query("SELECT 1; PREPARE s AS SELECT 2"), AGAIN, query("EXECUTE s"), used("s")],
    [MAKE, DROP, query("DEALLOCATE s; PREPARE s AS SELECT 2; EXECUTE s"), query("EXECUTE s")],
    [MAKE, DROP, query("EXECUTE s; DEALLOCATE s"), query("SELECT 1; DEALLOCATE s"), used("s")],
    [MAKE, DROP, query("SELECT 1; DEALLOCATE ALL"), query("EXECUTE s"), AGAIN, MAKE],
    [
        MAKE,
        DROP,
        query("BEGIN"),
        query("DEALLOCATE s; SELECT 1"),
        query("ROLLBACK"),
        query("EXECUTE s"),
        query("DEALLOCATE s"),
    ],
    [MAKE, DROP, query("BEGIN"), query("EXECUTE s; DEALLOCATE s"), query("END"), AGAIN, used("s")],
    [MAKE, query("BEGIN"), DROP, query("SELECT 1; EXECUTE s"), query("ROLLBACK"), used("s")],
    [MAKE, query("BEGIN"), DROP, query("DEALLOCATE s; SELECT 1"), query("ROLLBACK"), used("s")],
    [MAKE, TOO, DROP, query("EXECUTE q; DEALLOCATE s"), query("DEALLOCATE q; EXECUTE s"), TOO],
    [MAKE, TOO, DROP, query("DEALLOCATE q; DEALLOCATE s; SELECT 1"), MAKE, AGAIN, MAKE, TOO],
    [MAKE, TOO, DROP, query("SELECT 1; EXECUTE q"), query("DEALLOCATE q; PREPARE q AS SELECT 5")],
    [DATED, OTHER_READING, DROP, query("DEALLOCATE s; SELECT 1"), used("s"), query("EXECUTE s")],
    [DATED, query("BEGIN"), OTHER_READING, DROP, query("SELECT 1; EXECUTE s"), query("END")],
    [DATED, query("BEGIN"), OTHER_READING, DROP, query("EXECUTE s; DEALLOCATE s"), query("END")],
    [
        query('PREPARE "a""B c" AS SELECT a FROM gone'),
        DROP,
        query('SELECT 1; EXECUTE "a""B c"'),
        query('EXECUTE "a""B c"; DEALLOCATE "a""B c"'),
        query('DEALLOCATE "a""B c"; SELECT 1'),
        query('EXECUTE "a""B c"'),
    ],
    [query("PREPARE mine AS SELECT a FROM gone"), DROP, OTHER, query("DEALLOCATE mine"), AGAIN],
    [
        WITH,
        DROP,
        query("EXECUTE s(1, 'x'); DEALLOCATE s"),
        query("EXECUTE s(1); DEALLOCATE s"),
        query("EXECUTE s('a', 'x'); DEALLOCATE s"),
    ],
]


@pytest.mark.parametrize("requests", MISSED, ids=range(len(MISSED)))
def test_what_cannot_be_made_is_answered_as_by_the_database(trio: Trio, requests: Requests) -> None:
    alone, server, proxy = trio
    for database in (alone, server):
        database.psql(GONE)
        database.psql(TABLE)
    with client(alone.port) as direct:
        wanted = told(direct, requests)
    with client(proxy.port) as proxied:
        for request, got, want in zip(requests, told(proxied, requests), wanted, strict=True):
            assert got == want, request


def test_what_cannot_be_made_in_a_failed_transaction_is_not_said_to_be_missing(trio: Trio) -> None:
    _, server, proxy = trio
    server.psql(GONE)
    server.psql(TABLE)
    with client(proxy.port) as proxied:
        for request in [MAKE, OTHER, query("BEGIN"), query("SELECT 1/0")]:
            told(proxied, [request])
        answer = told(proxied, [query("ROLLBACK; EXECUTE s")])[0]
        errors = [error_fields(payload)["C"] for kind, payload in answer if kind == b"E"]
        assert errors == ["25P02"]
        assert [kind for kind, _ in told(proxied, [query("EXECUTE s")])[0]] == [b"T", b"C", b"Z"]
