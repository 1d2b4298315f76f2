"""What puts work on MySQL for `make bench ENGINE=mysql`: a Go program, built once per version."""

from __future__ import annotations

from pathlib import Path

from . import inputs, paths
from .console import run, step

SOURCE = paths.CHECKOUT / "tests" / "bench" / "mysql_load"


def mysql() -> Path:
    """The program, which is built unless it is there."""
    key = inputs.digest([SOURCE], run(["go", "version"], cwd=SOURCE))
    program = paths.LOADS / f"mysql-{key}"
    if not program.exists():
        with step("Building the load for MySQL"):
            paths.LOADS.mkdir(parents=True, exist_ok=True)
            unfinished = program.with_suffix(".new")
            command = ["go", "build", "-trimpath", "-o", str(unfinished), "."]
            run(command, cwd=SOURCE, env={"CGO_ENABLED": "0"})
            unfinished.rename(program)
    return program
