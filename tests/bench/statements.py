"""What judging a statement costs the engine, one that was judged lately and one that was not."""

from __future__ import annotations

import os
import subprocess
from dataclasses import asdict, dataclass
from typing import Any

from tests.cluster.node import paths

COMMAND = (
    *("cargo", "run", "--locked", "--quiet", "--release"),
    *("--manifest-path", str(paths.CHECKOUT / "proxy/rust/Cargo.toml")),
    *("-p", "dbproxy-postgres", "--features", "measuring", "--example", "statement_cost"),
)


@dataclass(frozen=True)
class Cost:
    """Nanoseconds."""

    statement: str
    remembered: float
    judged: float


def measure() -> list[Cost]:
    """Builds the engine's own example and runs it. CalledProcessError where that fails."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(paths.TARGET)}
    done = subprocess.run(COMMAND, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [Cost(name, float(remembered), float(judged)) for name, remembered, judged in lines]


def table(costs: list[Cost]) -> str:
    """A line for each statement."""
    head = f"{'judging a statement, ns':50}{'remembered':>12}{'not':>12}"
    lines = [f"  {one.statement:48}{one.remembered:12.0f}{one.judged:12.0f}" for one in costs]
    return "\n".join(["", head, *lines])


def document(costs: list[Cost]) -> list[dict[str, Any]]:
    """For programs to read."""
    return [asdict(one) for one in costs]
