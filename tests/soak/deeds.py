"""What the soak's clients do: every way of asking, setting, writing and leaving, under a seed.

Each deed checks at once what only its client can know.
"""

from __future__ import annotations

import time

from tests.raw_client import SYNC, bind, execute, message, parse, query
from tests.soak.client import Client, Deed
from tests.soak.ledger import ACKNOWLEDGED, UNDONE, UNKNOWN
from tests.soak.session import RefusedError, WrongError, batch, close_statement


def look(client: Client) -> None:
    count = client.random.choice([1, 3, 200])
    answer = client.ask(f"SELECT '{client.tag}', n FROM generate_series(1, {count}) AS n")
    client.expect(answer.rows, [(client.tag, str(n + 1)) for n in range(count)])


def read_slowly(client: Client) -> None:
    """A result beyond all buffers, taken in small pieces; and perhaps never to its end."""
    count = 3000
    sql = f"SELECT repeat('{client.tag}/', 40) FROM generate_series(1, {count})"
    client.session.send(query(sql), sql)
    if client.random.random() < 0.3:
        client.session.read()
        client.reset_connection()
    try:
        rows = client.session.answer(client.random.randint(1, 20)).rows
    except RefusedError as refused:
        if str(refused) != "40001":
            raise
        return
    client.expect(rows, [(f"{client.tag}/" * 40,)] * count)


def set_something(client: Client) -> None:
    client.set_something()


def reset_something(client: Client) -> None:
    one = client.random.choice(["work_mem", "TimeZone", "application_name"])
    everything = client.random.choice(["RESET ALL", "DISCARD ALL"])
    if client.random.random() < 0.5:
        client.reset(everything)
    else:
        client.reset(f"RESET {one}", one)


def transaction(client: Client) -> None:
    """Writes, settings and savepoints, kept or undone together."""
    number, written = client.begin_writing(client.random.randint(1, 4))
    client.settings.mark()
    try:
        client.ask("BEGIN")
        for part in range(written.parts):
            client.ask(client.insert(number, f"generate_series({part}, {part})"))
            if client.random.random() < 0.4:
                _within(client)
        if client.random.random() < 0.1:
            client.leave()
        if client.random.random() < 0.3:
            client.ask("ROLLBACK")
            client.settings.end(kept=False)
            return
        written.fate = UNKNOWN
        tags = client.ask("COMMIT").tags
    except RefusedError as refused:
        written.fate = UNDONE
        _undo(client, refused)
        return
    client.expect(tags, ["COMMIT"])
    client.settings.end(kept=True)
    written.fate = ACKNOWLEDGED


def _undo(client: Client, refused: RefusedError) -> None:
    """The transaction is lost: it must have ended with the backend that was killed."""
    if str(refused) not in ("40001", "25P02"):
        raise WrongError(f"refused by {refused}")
    if client.session.status != "I":
        client.ask("ROLLBACK")
    client.settings.end(kept=False)


def _within(client: Client) -> None:
    """Something in a transaction, in a savepoint or not."""
    if client.random.random() < 0.5:
        client.set_something(local=client.random.random() < 0.5)
        client.check()
        return
    client.ask("SAVEPOINT a")
    client.settings.mark()
    client.set_something(local=client.random.random() < 0.5)
    if client.random.random() < 0.5:
        _fail(client)
    client.ask("ROLLBACK TO a")
    client.settings.undo_to_mark()
    client.ask("RELEASE a")
    client.check()


def _fail(client: Client) -> None:
    try:
        client.ask("SELECT 1/0")
    except RefusedError as refused:
        if str(refused) != "22012":
            raise
        return
    raise WrongError("no error where one is due")


def write_at_once(client: Client) -> None:
    number, written = client.begin_writing(client.random.randint(1, 4))
    one_each = [
        client.insert(number, f"generate_series({part}, {part})") for part in range(written.parts)
    ]
    together = client.insert(number, f"generate_series(0, {written.parts - 1})")
    data, said = client.random.choice(
        [
            (query(together), together),
            (batch(together), f"P {together}"),
            (query("; ".join(one_each)), "; ".join(one_each)),
            (batch(*one_each), f"P {one_each}"),
        ]
    )
    client.write(written, data, said)


def pipeline(client: Client) -> None:
    """Requests on the heels of each other: those behind a lost one are nobody's guess."""
    begun = [client.begin_writing(2) for _ in range(client.random.randint(2, 6))]
    data = b""
    for number, written in begun:
        sql = client.insert(number, "generate_series(0, 1)")
        data += query(sql) if client.random.random() < 0.5 else batch(sql)
        written.fate = UNKNOWN
    client.session.send(data, f"{len(begun)} requests at once")
    for _, written in begun:
        try:
            client.session.answer()
            written.fate = ACKNOWLEDGED
        except RefusedError as refused:
            written.fate = UNDONE
            if str(refused) != "40001":
                raise WrongError(f"refused by {refused}") from refused


def copy(client: Client) -> None:
    number, written = client.begin_writing(client.random.randint(1, 50))
    expected = "|".join(value or "" for value in client.settings.now())
    sql = "COPY soak (client, number, part, expected) FROM STDIN"
    client.session.exchange(query(sql), sql)
    for part in range(written.parts):
        row = f"{client.number}\t{number}\t{part}\t{expected}\n"
        client.session.send(message(b"d", row.encode()), "data")
    if client.random.random() < 0.1:
        client.reset_connection()
    client.write(written, message(b"c"), "the end of the data")


def prepare(client: Client) -> None:
    """Statements of names that others use as well."""
    texts = [f"SELECT '{client.tag}', {number}" for number in range(3)]
    for number, text in enumerate(texts):
        data = close_statement(f"s{number}") + parse(text, f"s{number}") + SYNC
        client.exchange(data, f"s{number}: {text}")
    client.ask(f"PREPARE q AS SELECT '{client.tag}', 'q'")
    for _ in range(client.random.randint(1, 6)):
        number = client.random.randrange(len(texts))
        data = bind(f"s{number}") + execute() + SYNC
        client.expect(client.exchange(data, f"s{number}").rows, [(client.tag, str(number))])
        client.expect(client.ask("EXECUTE q").rows, [(client.tag, "q")])
        client.check()
    if client.random.random() < 0.5:
        closes = b"".join(close_statement(f"s{number}") for number in range(len(texts)))
        client.exchange(closes + SYNC, "close them")
        client.ask("DEALLOCATE q")
    else:
        client.reset("DISCARD ALL")


def pin(client: Client) -> None:
    client.ask(f"CREATE TEMP TABLE mine AS SELECT '{client.tag}' AS owner")
    client.ask(f"SELECT pg_advisory_lock({client.number})")
    for _ in range(client.random.randint(1, 4)):
        client.expect(client.ask("TABLE mine").rows, [(client.tag,)])
        client.random.choice([set_something, transaction, look])(client)
    if client.random.random() < 0.5:
        client.ask("DROP TABLE mine")
        unlocked = client.ask(f"SELECT pg_advisory_unlock({client.number})").rows
        client.expect(unlocked, [("t",)])
    else:
        client.reset("DISCARD ALL")


def cancel(client: Client) -> None:
    """Cancel a statement of its own, at any time; it has its effect whole or not at all."""
    number, written = client.begin_writing(2)
    slow = f"pg_sleep({client.random.choice([0, 0.001, 0.3])})"
    sql = client.insert(number, f"(SELECT {slow}) AS slow, generate_series(0, 1)")
    session = client.session
    session.may_be_cancelled = True
    written.fate = UNKNOWN
    session.send(query(sql), sql)
    time.sleep(client.random.choice([0, 0.002, 0.02]))
    session.cancel(session.raw.key)
    client.write(written, b"", "after the cancel")
    # One that came late may hit what follows it, as it may without a proxy.
    try:
        client.ask("SELECT 1")
    except RefusedError as refused:
        if str(refused) != "57014":
            raise


def cancel_late(client: Client) -> None:
    """Somebody who is gone cancels: nobody may notice."""
    if client.old_key:
        client.session.cancel(client.old_key)


def leave(client: Client) -> None:
    client.leave()


DEEDS = [
    Deed(look, 8),
    Deed(set_something, 6),
    Deed(reset_something, 2),
    Deed(transaction, 8),
    Deed(write_at_once, 6),
    Deed(pipeline, 3),
    Deed(copy, 2),
    Deed(prepare, 3),
    Deed(pin, 2),
    Deed(cancel, 2),
    Deed(cancel_late, 1),
    Deed(read_slowly, 1),
    Deed(leave, 2),
]
