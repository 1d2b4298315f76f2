"""What the clients of the soak on MySQL do: every way of asking, setting, writing and leaving.

Each deed checks at once what only its client can know.
"""

from __future__ import annotations

from tests.mysql.soak.client import SHOW, Client, Deed
from tests.mysql.soak.session import LOST
from tests.raw_mysql import PING, QUERY
from tests.soak.ledger import ACKNOWLEDGED, UNDONE, UNKNOWN
from tests.soak.session import GoneError, RefusedError, WrongError


def undone(refused: RefusedError) -> None:
    """The transaction must have been lost with its connection."""
    if str(refused) != str(LOST):
        raise WrongError(f"refused by {refused}") from refused


def look(client: Client) -> None:
    count = client.random.choice([1, 3, 100])
    text = " UNION ALL ".join([f"SELECT '{client.tag}', {number}" for number in range(count)])
    wanted = [(client.tag, str(number)) for number in range(count)]
    # No more than the client has set are told.
    client.expect(client.ask(text).rows, wanted)


def look_at_several(client: Client) -> None:
    text = f"SELECT '{client.tag}'; DO 1; SELECT '{client.tag}'"
    client.expect(client.ask(text).rows, [(client.tag,)] * 2)
    client.expect(client.ask(f"CALL app.twice('{client.tag}')").rows, [(client.tag,)] * 2)
    client.repeat(lambda: client.session.command(PING))


def read_slowly(client: Client) -> None:
    """A result beyond all buffers, of which some is read, and then nothing."""
    text = f"SELECT REPEAT('{client.tag}/', 900) FROM information_schema.collations"
    if client.random.random() < 0.7:
        rows = client.ask(text).rows
        if len(rows) < 100 or set(rows) != {(f"{client.tag}/" * 900,)}:
            raise WrongError(f"{len(rows)} rows, of which {next(iter(rows), ())}")
        return
    client.session.send(QUERY, client.session.raw.text(text), text)
    client.session.read_slowly(client.random.randint(1, 9))
    client.vanish()


def set_something(client: Client) -> None:
    client.set_something()


def move(client: Client) -> None:
    client.move()


def reset(client: Client) -> None:
    client.reset()


def transaction(client: Client) -> None:
    """Writes and savepoints, kept or undone together; settings stay either way."""
    number, written = client.begin_writing(client.random.randint(1, 4))
    try:
        client.ask("BEGIN" if client.random.random() < 0.5 else "START TRANSACTION")
        for part in range(written.parts):
            client.session.ask(client.insert(number, range(part, part + 1)))
            if client.random.random() < 0.3:
                client.session.ask("SAVEPOINT a")
                client.session.ask(client.insert(number, range(99, 100)))
                client.session.ask("ROLLBACK TO a")
        if client.random.random() < 0.1:
            # A BEGIN among its last words commits.
            written.fate = UNKNOWN
            client.leave()
        if client.random.random() < 0.3:
            client.session.ask("ROLLBACK")
            return
        written.fate = UNKNOWN
        client.session.ask("COMMIT")
    except RefusedError as refused:
        written.fate = UNDONE
        undone(refused)
        return
    written.fate = ACKNOWLEDGED


def without_autocommit(client: Client) -> None:
    number, written = client.begin_writing(client.random.randint(1, 3))
    client.ask("SET autocommit = 0")
    try:
        for part in range(written.parts):
            client.session.ask(client.insert(number, range(part, part + 1)))
        written.fate = UNKNOWN
        client.session.ask("COMMIT")
        written.fate = ACKNOWLEDGED
    except RefusedError as refused:
        written.fate = UNDONE
        undone(refused)
        # Some of its statements may have begun another transaction since.
        client.ask("ROLLBACK")
    client.ask("SET autocommit = 1")


def write_at_once(client: Client) -> None:
    number, written = client.begin_writing(client.random.randint(1, 4))
    text = client.insert(number, range(written.parts))
    client.write(written, lambda: client.session.ask(text))


def write_in_one_text(client: Client) -> None:
    number, written = client.begin_writing(2)
    rows = [client.insert(number, range(part, part + 1)) for part in range(2)]
    text = "; ".join(["BEGIN", *rows, "COMMIT"])
    client.write(written, lambda: client.session.ask(text))


def load(client: Client) -> None:
    number, written = client.begin_writing(client.random.randint(1, 50))
    state = client.state().replace("\\", "\\\\")
    line = f"{client.number}\t{number}\t{{part}}\t{state}\n"
    file = [line.format(part=part).encode() for part in range(written.parts)]
    text = "LOAD DATA LOCAL INFILE 'f' INTO TABLE app.soak CHARACTER SET utf8mb4"
    text += f" (client, number, part, expected) SET actual = {SHOW}"
    client.write(written, lambda: client.session.ask(text, file))


def make_an_id(client: Client) -> None:
    """The id that was made is its client's own, whoever makes others meanwhile."""
    made = client.ask(f"INSERT INTO app.ids (client) VALUES ({client.number})").last_insert_id
    owner = client.value(f"SELECT client FROM app.ids WHERE id = {made}")
    client.expect(owner, str(client.number))
    client.expect(client.value("SELECT LAST_INSERT_ID()"), str(made))


def prepare(client: Client) -> None:
    """A statement whose text others have as well, with values of its own."""
    try:
        statement = client.session.prepare("SELECT ?, CONCAT(?, '!')")
        for number in range(client.random.randint(1, 4)):
            value = f"{client.tag}/{number}"
            rows = client.session.execute(statement, client.tag, value).rows
            client.expect(rows, [(client.tag, f"{value}!")])
        if client.random.random() < 0.7:
            client.session.close_statement(statement)
    except RefusedError as refused:
        undone(refused)


def prepare_by_text(client: Client) -> None:
    client.ask("SELECT 1")
    try:
        client.session.ask(f"PREPARE s FROM 'SELECT ''{client.tag}'''")
        client.expect(client.session.ask("EXECUTE s").rows, [(client.tag,)])
        client.session.ask("DEALLOCATE PREPARE s")
    except RefusedError as refused:
        undone(refused)


def temporary(client: Client) -> None:
    """A table that all clients call alike."""
    try:
        client.session.ask("DROP TEMPORARY TABLE IF EXISTS app.own")
        client.session.ask("CREATE TEMPORARY TABLE app.own (tag VARCHAR(40))")
        client.session.ask(f"INSERT INTO app.own VALUES ('{client.tag}')")
        client.expect(client.session.ask("SELECT * FROM app.own").rows, [(client.tag,)])
        if client.random.random() < 0.7:
            client.session.ask("DROP TEMPORARY TABLE app.own")
    except RefusedError as refused:
        undone(refused)


def variable(client: Client) -> None:
    client.ask(f"SET @owner = '{client.tag}'")
    client.expect(client.value("SELECT @owner"), client.tag)


def lock(client: Client) -> None:
    """One that nobody else wants; who vanishes has it no more."""
    name = f"lock-{client.number}"
    client.expect(client.value(f"SELECT GET_LOCK('{name}', 60)"), "1")
    if client.random.random() < 0.2:
        client.vanish()
    client.expect(client.value(f"SELECT RELEASE_LOCK('{name}')"), "1")


def fail(client: Client) -> None:
    try:
        client.session.ask("SELECT * FROM app.nowhere")
    except RefusedError as refused:
        if str(refused) not in ("1146", str(LOST)):
            raise WrongError(f"refused by {refused}") from refused
        return
    raise WrongError("no error where one is due")


def leave(client: Client) -> None:
    client.leave()


def come_again(client: Client) -> None:
    raise GoneError("by its own will")


DEEDS = [
    Deed(look, 6),
    Deed(look_at_several, 4),
    Deed(read_slowly, 1),
    Deed(set_something, 8),
    Deed(move, 2),
    Deed(reset, 2),
    Deed(transaction, 8),
    Deed(without_autocommit, 3),
    Deed(write_at_once, 6),
    Deed(write_in_one_text, 2),
    Deed(load, 2),
    Deed(make_an_id, 4),
    Deed(prepare, 4),
    Deed(prepare_by_text, 1),
    Deed(temporary, 1),
    Deed(variable, 1),
    Deed(lock, 1),
    Deed(fail, 2),
    Deed(leave, 2),
    Deed(come_again, 2),
]
