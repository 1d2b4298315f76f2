"""What the programs for MySQL and MariaDB share besides: their SQL, and one row of every type.

It is for drivers with DB-API's parameters, `%s`.
"""

import datetime as dt
import os
from decimal import Decimal

HOST, PORT = os.environ["MYSQL_HOST"], int(os.environ["MYSQL_TCP_PORT"])
USER, PASSWORD = os.environ["MYSQL_USER"], os.environ["MYSQL_PWD"]
DATABASE = os.environ["MYSQL_DATABASE"]
# As all of these drivers but their names for two of them call it.
WHERE = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD}

ASKED = "SELECT %s + 1 AS asked, %s AS words"
INSERT = "INSERT INTO work (client, kind, value) VALUES (%s, %s, %s)"
NOWHERE = "SELECT * FROM nowhere"
BY_ID = "SELECT client, kind, value FROM work WHERE id = %s"
UPDATE = "UPDATE work SET value = 0 WHERE client = %s AND value = 1"
BIG_RESULT = "SELECT n, repeat('x', 100) FROM numbers ORDER BY n"
KEPT = "SELECT kind, count(*), sum(value) FROM work WHERE client = %s GROUP BY kind"

TYPED = (
    "INSERT INTO typed (client, nothing, words, amount, moment, big)"
    " VALUES (%s, %s, %s, %s, %s, %s)"
)
TYPED_BACK = "SELECT nothing, words, amount, moment, big FROM typed WHERE id = %s AND client = %s"
# More than 64 KiB, in more than one byte a letter.
LETTERS = "zażółć 🐬 "
BIG_TEXT = LETTERS * 6_000


def typed(number: int, turn: int) -> tuple[object, ...]:
    """A row of every type that isn't a plain number."""
    moment = dt.datetime(2026, 1, 1, 12, 30, turn, 123_456)
    return number, None, LETTERS, Decimal("12345678901234.5678"), moment, BIG_TEXT


def told(row: tuple[object, ...]) -> str:
    """That row as the driver gave it back, without what differs from turn to turn."""
    nothing, words, amount, moment, big = row
    assert isinstance(moment, dt.datetime)
    moment = moment.replace(second=0)
    return f"{nothing!r} {words!r} {amount!r} {moment.isoformat()} {big == BIG_TEXT}"
