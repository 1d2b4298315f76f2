"""Clients that listen, by single messages: what they hear, and where in an answer it stands."""

from __future__ import annotations

import select
from dataclasses import dataclass

from tests.fix_proxy import Proxy
from tests.raw_client import Message, RawClient
from tests.servers import HOST, PASSWORDS, Postgres

Door = Postgres | Proxy
"""What a client connects to: the database itself, or the proxy."""


@dataclass(frozen=True)
class Note:
    """One notification."""

    pid: int
    channel: str
    payload: str


def note(payload: bytes) -> Note:
    channel, text = payload[4:-1].split(b"\0")
    return Note(int.from_bytes(payload[:4]), channel.decode(), text.decode())


def notes(answer: list[Message]) -> list[Note]:
    return [note(payload) for kind, payload in answer if kind == b"A"]


def payloads(answer: list[Message]) -> list[str]:
    """The payloads of the notifications in an answer."""
    return [one.payload for one in notes(answer)]


def kinds(answer: list[Message]) -> bytes:
    return b"".join(kind for kind, _ in answer)


def join(door: Door, user: str = "app", database: str = "app", **options: str) -> RawClient:
    """A client that is logged in."""
    client = RawClient(HOST, door.port)
    return client.login(user, PASSWORDS[user], database, **options)


def asks(client: RawClient, text: str) -> list[Message]:
    """All of an answer, which must hold no error."""
    answer = client.ask(text)
    assert b"E" not in kinds(answer), answer
    return answer


def hears(client: RawClient) -> list[str]:
    """What it has heard by the end of a request: all that others knew to be committed before."""
    return payloads(asks(client, "SELECT 'anything?'"))


def told_at_once(client: RawClient) -> Note:
    """What an idle client hears without asking."""
    kind, payload = client.read()
    assert kind == b"A", (kind, payload)
    return note(payload)


def is_quiet(client: RawClient, seconds: float = 0.05) -> bool:
    """Whether nothing more comes for a moment."""
    return not client.buffered and not select.select([client.socket], [], [], seconds)[0]
