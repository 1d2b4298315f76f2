"""What the soak's clients were told of their transactions, and whether a database agrees. Both
protocols' clients keep theirs so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

UNDONE, UNKNOWN, ACKNOWLEDGED = "undone", "unknown", "acknowledged"
FATES = {ACKNOWLEDGED: [True], UNDONE: [False], UNKNOWN: [True, False]}


@dataclass
class Written:
    """A transaction: how many rows it has, and what the client knows of them."""

    parts: int
    fate: str = UNDONE


def disagreements(
    ledgers: Mapping[int, Mapping[int, Written]], rows: Iterable[Any]
) -> list[tuple[Any, ...]]:
    """By client and number of its transaction, what the database's rows (client, number, part)
    contradict: a transaction that isn't whole or isn't there, or rows of which nobody knows."""
    kept: dict[tuple[int, int], list[int]] = {}
    for client, number, part in rows:
        kept.setdefault((client, number), []).append(part)
    wrong: list[tuple[Any, ...]] = []
    for client, ledger in ledgers.items():
        for number, written in ledger.items():
            found = sorted(kept.pop((client, number), []))
            every = list(range(written.parts))
            if found not in [every if there else [] for there in FATES[written.fate]]:
                wrong.append((client, number, written, found))
    return [*wrong, *kept.items()]
