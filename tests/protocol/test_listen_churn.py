"""Many clients listen, ask and end it at random, while others notify: each hears exactly what was
committed while it listened, once and in order.

What must be heard follows from what happened before what. A notification whose sender was answered
before a LISTEN was sent isn't told; one whose sender was answered before an UNLISTEN was sent is.
No clock decides anything. `FIRST_SEED` and `SEEDS` choose others, and more.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import ProxyFactory
from tests.protocol.listening import Door, asks, join, kinds, notes, payloads
from tests.raw_client import SYNC, Message, RawClient, bind, execute, parse, query

CHANNELS = ["one", "two", "three"]
LISTENERS, NOTIFIERS, STEPS = 10, 2, 120
NEVER = 2**31
FIRST_SEED = int(os.environ.get("FIRST_SEED", "1"))
SEEDS = int(os.environ.get("SEEDS", "6"))


class Ledger:
    """How many notifications of each sender in each channel are sent, and are committed as it
    knows."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], int] = defaultdict(int)
        self._known: dict[tuple[str, str], int] = defaultdict(int)
        self.closed = threading.Event()

    def send(self, sender: str, channel: str) -> int:
        """The number of the next one, which is sent now."""
        self._sent[sender, channel] += 1
        return self._sent[sender, channel]

    def committed(self, sender: str, channel: str, number: int) -> None:
        self._known[sender, channel] = number

    def sent(self, channel: str) -> dict[str, int]:
        return self._of(channel, self._sent)

    def known(self, channel: str) -> dict[str, int]:
        return self._of(channel, self._known)

    @staticmethod
    def _of(channel: str, numbers: dict[tuple[str, str], int]) -> dict[str, int]:
        found = list(numbers.items())
        return {sender: number for (sender, of), number in found if of == channel}


class Subscription:
    """What a client has heard since a LISTEN: of each sender one number after another."""

    def __init__(self, before: dict[str, int]) -> None:
        self._before = before
        self._after: dict[str, int] | None = None
        self._heard: dict[str, list[int]] = defaultdict(list)

    def begun(self, after: dict[str, int]) -> None:
        """The LISTEN is answered: what is sent after these must be heard."""
        self._after = after

    def hear(self, sender: str, number: int) -> None:
        heard = self._heard[sender]
        if heard:
            assert number == heard[-1] + 1, (sender, heard[-1], number)
        else:
            assert number > self._before.get(sender, 0), "committed before the LISTEN"
            assert number <= self._unsure(sender) + 1, "the first ones are lost"
        heard.append(number)

    def complete(self, known: dict[str, int]) -> None:
        """All of these must have been heard by now."""
        for sender, number in known.items():
            heard = self._heard.get(sender)
            last = heard[-1] if heard else self._unsure(sender)
            assert last >= number, (sender, last, number, "lost")

    def _unsure(self, sender: str) -> int:
        """The last one that may have been committed before the LISTEN."""
        return NEVER if self._after is None else self._after.get(sender, 0)


class Listener:
    """One client at random."""

    def __init__(self, client: RawClient, name: str, ledger: Ledger, random: Random) -> None:
        self._client = client
        self._name = name
        self._ledger = ledger
        self._random = random
        self._open: dict[str, Subscription] = {}

    def act(self) -> None:
        acts = [self.listen, self.query, self.transaction, self.notify, self.end, self.pipeline]
        self._random.choices(acts, [3, 4, 2, 3, 2, 2])[0]()

    def listen(self) -> None:
        channel = self._random.choice(CHANNELS)
        fresh = channel not in self._open
        before = self._ledger.known(channel)
        if fresh:
            self._open[channel] = Subscription(before)
        if self._random.random() < 0.5:
            self._hear(asks(self._client, f"LISTEN {channel}"))
        else:
            self._client.send(parse(f"LISTEN {channel}"), bind(), execute(), SYNC)
            self._hear(self._client.until())
        if fresh:
            self._open[channel].begun(self._ledger.sent(channel))

    def query(self) -> None:
        known = self._known()
        self._hear(asks(self._client, "SELECT 1"))
        self._complete(known)

    def transaction(self) -> None:
        asked = ["BEGIN", "SELECT 1", "SAVEPOINT a", "SELECT pg_sleep(0.002)"]
        self._hear(asks(self._client, asked[0]))
        for text in asked[1 : self._random.randint(1, len(asked))]:
            assert b"A" not in kinds(asks(self._client, text))
        known = self._known()
        self._hear(asks(self._client, self._random.choice(["COMMIT", "ROLLBACK"])))
        self._complete(known)

    def notify(self) -> None:
        channel = self._random.choice(CHANNELS)
        number = self._ledger.send(self._name, channel)
        answer = asks(self._client, f"NOTIFY {channel}, '{self._name} {number}'")
        self._hear(answer)
        own = f"{self._name} {number}"
        assert sum(note.payload == own for note in notes(answer)) == int(channel in self._open)
        self._ledger.committed(self._name, channel, number)

    def end(self) -> None:
        ended = [self._random.choice(CHANNELS)]
        text = f"UNLISTEN {ended[0]}"
        if self._random.random() < 0.3:
            ended, text = list(self._open), self._random.choice(["UNLISTEN *", "DISCARD ALL"])
        known = self._known()
        self._hear(asks(self._client, text))
        self._complete(known)
        for channel in ended:
            self._open.pop(channel, None)

    def pipeline(self) -> None:
        """Asks several things at once, each of which is answered in its place."""
        known = self._known()
        channel = self._random.choice(CHANNELS)
        count = self._random.randint(1, 4)
        numbers = [self._ledger.send(self._name, channel) for _ in range(count)]
        own = [f"{self._name} {number}" for number in numbers]
        asked = [query(f"NOTIFY {channel}, '{text}'") for text in own]
        self._client.send(*asked, query("SELECT 1"))
        for text in own:
            answer = self._client.until()
            self._hear(answer)
            assert (text in payloads(answer)) == (channel in self._open)
        self._hear(self._client.until())
        self._ledger.committed(self._name, channel, numbers[-1])
        self._complete(known)

    def _known(self) -> dict[str, dict[str, int]]:
        return {channel: self._ledger.known(channel) for channel in self._open}

    def _hear(self, answer: list[Message]) -> None:
        assert b"E" not in kinds(answer), answer
        for note in notes(answer):
            sender, number = note.payload.split()
            assert note.channel in self._open, note
            self._open[note.channel].hear(sender, int(number))

    def _complete(self, known: dict[str, dict[str, int]]) -> None:
        for channel, numbers in known.items():
            self._open[channel].complete(numbers)


def churn(door: Door, seed: int) -> None:
    """Let all of them act at once; whatever is wrong raises."""
    ledger = Ledger()

    def listen(at: int) -> None:
        random = Random(f"{seed}/{at}")
        with join(door) as client:
            listener = Listener(client, f"client-{at}", ledger, random)
            for _ in range(STEPS):
                listener.act()
            listener.query()

    def notify(at: int) -> None:
        random = Random(f"{seed}/notifier/{at}")
        name = f"notifier-{at}"
        with join(door) as client:
            while not ledger.closed.is_set():
                channel = random.choice(CHANNELS)
                number = ledger.send(name, channel)
                asks(client, f"NOTIFY {channel}, '{name} {number}'")
                ledger.committed(name, channel, number)

    with ThreadPoolExecutor(LISTENERS + NOTIFIERS) as threads:
        notifying = [threads.submit(notify, at) for at in range(NOTIFIERS)]
        listening = [threads.submit(listen, at) for at in range(LISTENERS)]
        try:
            for one in listening:
                one.result()
        finally:
            ledger.closed.set()
        for one in notifying:
            one.result()


@pytest.mark.parametrize("through", ["direct", "proxied"])
def test_each_hears_exactly_what_is_committed_while_it_listens(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory, through: str
) -> None:
    server = make_postgres(max_connections=LISTENERS + NOTIFIERS + 12)
    door = make_proxy(server) if through == "proxied" else server
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        churn(door, seed)
