"""How long writes paused, from when each transaction ended. Called by the demo."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """The longest time in which no client finished a transaction; both ends in Unix seconds."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def longest_pause(log: str, since: float) -> Pause:
    """Of a `pgbench --log`: its fields 5 and 6 are when the transaction ended, in s and µs."""
    return longest_of(map(moment_of, log.splitlines()), since)


def longest_of(ends: Iterable[float], since: float) -> Pause:
    """Of transactions that ended at these moments, in Unix seconds."""
    finished = sorted(moment for moment in ends if moment >= since)
    if not finished:
        raise ValueError("no transaction was finished after the failover began")
    moments = [since, *finished]
    gaps = itertools.pairwise(moments)
    began, ended = max(gaps, key=lambda gap: gap[1] - gap[0])
    return Pause(began, ended)


def moment_of(line: str) -> float:
    """When a transaction ended; never, for one that failed."""
    fields = line.split()
    if len(fields) < 6 or fields[2] in ("failed", "skipped", "serialization", "deadlock"):
        return float("-inf")
    return int(fields[4]) + int(fields[5]) / 1e6
