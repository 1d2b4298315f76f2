"""PgBouncer, to measure against: the newest that can be had here (`make bench`).

Before 1.21 its transaction pooling knows no prepared statements. Where the machine's own is older,
that of Debian's next release is fetched into the cache, with the libraries that it was built with.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from . import packages, paths
from .console import Command, StepError, note, run, step

KNOWS_STATEMENTS = (1, 21)
RELEASE = "trixie"


@dataclass(frozen=True)
class Program:
    """How to start it, and its version: ("1.24", …) as (1, 24)."""

    command: Command
    version: tuple[int, ...]


def pgbouncer() -> Program:
    """The newest that is here; FileNotFoundError: none is."""
    own = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    known: list[Command] = [[own]] if own else []
    programs = [_program(command) for command in (*known, *_fetched())]
    if not programs:
        raise FileNotFoundError("pgbouncer is not installed")
    return max(programs, key=lambda program: program.version)


def ensure() -> None:
    """Have one that knows prepared statements, where that can be had."""
    if pgbouncer().version >= KNOWS_STATEMENTS:
        return
    if not packages.can_install():
        note("only root on Debian can fetch a newer PgBouncer: the machine's own is measured")
        return
    packages.install({"mmdebstrap": "mmdebstrap"})
    scratch = paths.PGBOUNCER.with_suffix(".new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with step(f"Fetching PgBouncer of Debian {RELEASE}"):
        command: Command = ["mmdebstrap", "--quiet", "--variant=extract", "--include=pgbouncer"]
        try:
            run([*command, RELEASE, scratch])
        except StepError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            note(f"it can't be had, the machine's own is measured: {error}")
            return
    shutil.rmtree(paths.PGBOUNCER, ignore_errors=True)
    scratch.rename(paths.PGBOUNCER)


def _program(command: Command) -> Program:
    return Program(command, packages.version_of([*map(str, command), "--version"]))


def _fetched() -> list[Command]:
    """The fetched one by its own loader: the machine's libraries are older."""
    usr = paths.PGBOUNCER / "usr"
    loaders = sorted(usr.glob("lib/*/ld-linux-*.so.*"))
    return [[loader, "--library-path", loader.parent, usr / "sbin/pgbouncer"] for loader in loaders]
