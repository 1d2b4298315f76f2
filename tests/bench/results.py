"""What was measured, as medians and ratios: the table that a person reads, and `bench.json`."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.contenders import DBPROXY, PGBOUNCER, POSTGRESQL

NOTES = (
    "Medians over all rounds; the contenders take turns in each.",
    "Throughput: higher is better. Everything else: lower is better.",
)


@dataclass(frozen=True)
class Measure:
    """Something with a figure per contender and round. `goal` is the highest ratio we accept."""

    group: str
    label: str
    unit: str
    goal: float | None = None
    # The highest figure that we accept, whatever the peers have.
    limit: float | None = None
    # So many times our own figure for simple queries, at most.
    most: float | None = None


@dataclass(frozen=True)
class Field:
    """Who is measured, in the order of the table: `ours` is held against `peer`."""

    names: tuple[str, ...]
    ours: str
    peer: str
    notes: tuple[str, ...]


POSTGRES_FIELD = Field(
    (POSTGRESQL, PGBOUNCER, DBPROXY),
    DBPROXY,
    PGBOUNCER,
    ("PgBouncer has no figure where it can't do that: settings; named statements before 1.21.",),
)


@dataclass
class Results:
    """Everything that one run has measured."""

    field: Field = POSTGRES_FIELD
    figures: dict[Measure, dict[str, list[float]]] = dataclasses.field(default_factory=dict)

    def add(self, measure: Measure, contender: str, figure: float) -> None:
        self.figures.setdefault(measure, {}).setdefault(contender, []).append(figure)

    def median(self, measure: Measure, contender: str) -> float | None:
        found = self.figures[measure].get(contender)
        return median(found) if found else None

    def ratio(self, measure: Measure) -> float | None:
        """Our median by the peer's."""
        ours, theirs = self._ours(measure), self.median(measure, self.field.peer)
        return ours / theirs if ours is not None and theirs else None

    def verdict(self, measure: Measure) -> str:
        """Whether the goal is met, where there is one."""
        told = []
        ratio, ours = self.ratio(measure), self._ours(measure)
        if measure.goal is not None and ratio is not None:
            # As many digits as the table shows.
            told.append(_word(round(ratio, 2) <= measure.goal, f"ratio <= {measure.goal:.2f}"))
        simple = self._simple(measure)
        if measure.most is not None and simple is not None and ours is not None:
            times = round(ours / simple, 2)
            told.append(_word(times <= measure.most, f"{times:.2f} x simple <= {measure.most}"))
        if measure.limit is not None and ours is not None:
            told.append(_word(ours <= measure.limit, f"<= {measure.limit:g}"))
        return ", ".join(told)

    def _simple(self, measure: Measure) -> float | None:
        """Our own figure for simple queries, in the same group."""
        same = (other for other in self.figures if other.group == measure.group)
        plain = next((other for other in same if other.label == "simple"), None)
        return None if plain is None else self._ours(plain)

    def _ours(self, measure: Measure) -> float | None:
        return self.median(measure, self.field.ours)

    def table(self) -> str:
        """The table, a block for each group of measures."""
        lines = []
        head = "".join(f"{name:>12}" for name in self.field.names)
        group = ""
        groups = list(dict.fromkeys(measure.group for measure in self.figures))
        for measure in sorted(self.figures, key=lambda measure: groups.index(measure.group)):
            if measure.group != group:
                group = measure.group
                lines += ["", f"{group + ', ' + measure.unit:50}{head}{'ratio':>8}   goal"]
            lines.append(self._line(measure))
        ratio = f"Ratio: {self.field.ours} / {self.field.peer}."
        return "\n".join([*lines, "", *NOTES, ratio, *self.field.notes])

    def write(self, path: Path, about: dict[str, Any]) -> None:
        """Leave everything for programs to read."""
        measures = [
            {
                "group": measure.group,
                "measure": measure.label,
                "unit": measure.unit,
                "medians": {name: self.median(measure, name) for name in figures},
                "ratio": self.ratio(measure),
                "verdict": self.verdict(measure),
                "rounds": figures,
            }
            for measure, figures in self.figures.items()
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"about": about, "measures": measures}
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def _line(self, measure: Measure) -> str:
        cells = "".join(f"{_figure(self.median(measure, name)):>12}" for name in self.field.names)
        ratio = self.ratio(measure)
        shown = "" if ratio is None else f"{ratio:.2f}"
        return f"  {measure.label:48}{cells}{shown:>8}   {self.verdict(measure)}".rstrip()


def percentile(values: Sequence[int], percent: float) -> float:
    """The smallest value that this percentage of all is no higher than."""
    ordered = sorted(values)
    return float(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)])


def machine() -> dict[str, Any]:
    """Where and when this was."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "load": os.getloadavg()[0],
    }


def _word(met: bool, goal: str) -> str:
    return f"{goal}: {'met' if met else 'MISSED'}"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1_000 else f"{value:,.2f}"
