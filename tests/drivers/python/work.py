"""What the Python programs share: how many clients work how long, and how they say what they got.

The work is in docs/drivers.md. A program prints `driver NAME VERSION`, then `CLIENT WHAT=NUMBER`
for all that its clients counted, `failed CLIENT ERROR` for one that ended early, and `done`; it
keeps its connections until its input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

CLIENTS = int(os.environ["CLIENTS"])
ROUNDS = int(os.environ["ROUNDS"])
BIG, BATCH, COPIED = 2_000, 10, 50
Counts = Counter[str]


def say(number: int, outcome: Counts | BaseException) -> None:
    if isinstance(outcome, BaseException):
        print(f"failed {number} {type(outcome).__name__}: {' '.join(str(outcome).split())}")
        return
    for what, count in sorted(outcome.items()):
        print(f"{number} {what}={count}")


def hold() -> None:
    """Keep the connections until somebody has looked at them."""
    print("done", flush=True)
    sys.stdin.read()


def in_threads(driver: str, client: Callable[[int, Counts], None]) -> None:
    """Run all clients at once, each in a thread of its own."""

    def one(number: int) -> Counts | BaseException:
        counts: Counts = Counter()
        try:
            client(number, counts)
        except Exception as error:
            return error
        return counts

    print(f"driver {driver}", flush=True)
    with ThreadPoolExecutor(CLIENTS) as threads:
        for number, outcome in enumerate(threads.map(one, range(CLIENTS))):
            say(number, outcome)
        hold()


async def in_tasks(driver: str, client: Callable[[int, Counts], Awaitable[None]]) -> None:
    """Run all clients at once, each in a task of its own."""

    async def one(number: int) -> Counts:
        counts: Counts = Counter()
        await client(number, counts)
        return counts

    print(f"driver {driver}", flush=True)
    found = await asyncio.gather(*map(one, range(CLIENTS)), return_exceptions=True)
    for number, outcome in enumerate(found):
        say(number, outcome)
    await asyncio.to_thread(hold)
