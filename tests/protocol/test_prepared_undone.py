"""What a statement means never outlives what its transaction undid, nor settings of its batch."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import ProxyFactory
from tests.raw_client import SYNC, Message, RawClient, bind, execute, parse, query
from tests.servers import HOST, PASSWORDS

SCHEMA = """
CREATE TYPE paint AS ENUM ('red', 'blue'); ALTER TYPE paint OWNER TO app;
CREATE TABLE painted (colour paint); GRANT ALL ON painted TO app;
CREATE SCHEMA apart AUTHORIZATION app; CREATE TABLE apart.painted (colour text);
GRANT ALL ON apart.painted TO app;
"""
INSERT = "INSERT INTO painted VALUES ('red') RETURNING colour::text"
SUM = "SELECT (0.1::float8 + 0.2::float8)::text"
SWAP = [
    "ALTER TYPE paint RENAME VALUE 'red' TO 'other'",
    "ALTER TYPE paint RENAME VALUE 'blue' TO 'red'",
    "ALTER TYPE paint RENAME VALUE 'other' TO 'blue'",
]


def run(sql: str) -> bytes:
    return parse(sql) + bind() + execute()


def use(name: str) -> bytes:
    return bind(name) + execute()


INSERTED = (0, use("s") + SYNC)
SWAPPED = query("; ".join(SWAP))
SCRIPTS: dict[str, list[tuple[int, bytes]]] = {
    "transaction": [
        (0, parse(INSERT, "s") + SYNC),
        (1, query("BEGIN")),
        (1, SWAPPED),
        (1, parse(INSERT, "m") + SYNC),
        (1, query("ROLLBACK")),
        INSERTED,
    ],
    "savepoint": [
        (0, parse(INSERT, "s") + SYNC),
        (1, query("BEGIN; SAVEPOINT a")),
        (1, SWAPPED),
        (1, parse(INSERT, "m") + use("m") + SYNC),
        (1, query("ROLLBACK TO a")),
        (1, query("COMMIT")),
        INSERTED,
    ],
    "batch": [
        (0, parse(INSERT, "s") + SYNC),
        (1, b"".join(map(run, SWAP)) + parse(INSERT, "m") + run("SELECT 1/0") + SYNC),
        INSERTED,
    ],
    "own": [
        (0, parse(INSERT, "s") + SYNC),
        # The connection that has the statement is another's now.
        (1, query("BEGIN")),
        (0, query("BEGIN; SAVEPOINT a")),
        (0, SWAPPED),
        (0, query("ROLLBACK TO a")),
        INSERTED,
        (0, query("COMMIT")),
        INSERTED,
    ],
    "setting of the batch": [
        (0, parse(SUM, "s") + SYNC),
        (1, parse(SUM, "m") + run("SET extra_float_digits = 0") + use("m") + SYNC),
        (0, use("s") + SYNC),
        (1, use("m") + SYNC),
    ],
    "setting of its transaction": [
        (0, parse(SUM, "s") + SYNC),
        (1, query("BEGIN")),
        (1, parse(SUM, "m") + run("SET LOCAL extra_float_digits = 0") + use("m") + SYNC),
        (1, query("COMMIT")),
        (0, use("s") + SYNC),
    ],
    "discarded settings": [
        (0, query("SET search_path = apart")),
        (1, query("SET search_path = apart")),
        (1, run("DISCARD ALL") + run("BEGIN") + SYNC),
        (1, query("ROLLBACK")),
        (0, query("SHOW search_path")),
        (0, query("INSERT INTO painted VALUES ('red') RETURNING tableoid::regclass")),
        (1, query("SHOW search_path")),
    ],
}


# Both clients need a connection there: at once, or because one is pinned.
BOTH_HOLD = ("own", "discarded settings")


@pytest.mark.parametrize(
    ("script", "connections"),
    [(name, count) for name in SCRIPTS for count in (1, 2) if count == 2 or name not in BOTH_HOLD],
)
def test_answers_are_those_of_the_database(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, script: str, connections: int
) -> None:
    server = make_postgres(max_connections=7 + connections)
    server.psql(SCHEMA)
    proxy = make_proxy(server)
    told = [answers(port, SCRIPTS[script]) for port in (server.port, proxy.port)]
    assert told[1] == told[0]


def answers(port: int, script: list[tuple[int, bytes]]) -> list[list[Message]]:
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(HOST, port)) for _ in range(2)]
        for client in clients:
            client.login("app", PASSWORDS["app"])
        told = []
        for number, messages in script:
            clients[number].send(messages)
            told.append(clients[number].until())
        return told
