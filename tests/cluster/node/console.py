"""What every step shows a person: a headline, how long it took, and the reason when it failed.

Used by all modules of this package and by the demo.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Command = list[str | Path]


class StepError(Exception):
    """Something that a person must read and act on; ends the command with exit code 1."""


@contextmanager
def step(title: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"==> {title}", flush=True)
    yield
    print(f"    done in {time.monotonic() - started:.1f} s", flush=True)


def note(text: str) -> None:
    print(f"    {text}", flush=True)


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    log: Path | None = None,
) -> str:
    """Runs a command to its end and returns its output; what it said is shown if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        input=stdin if stdin is not None else "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if log else subprocess.PIPE,
        text=True,
    )
    if log:
        log.write_text(done.stdout)
    if done.returncode != 0:
        said = "\n".join(((done.stderr or "") + done.stdout).strip().splitlines()[-40:])
        where = f" (all of it in {log})" if log else ""
        raise StepError(f"`{' '.join(words)}` ended with {done.returncode}{where}:\n{said}")
    return done.stdout


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Lets one command at a time do this; a second one waits, and says so."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"waiting for another command that holds {lock}")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def succeeds(command: Sequence[str | Path]) -> bool:
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def wait_until(what: str, met: Callable[[], bool], seconds: float, every: float = 0.2) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise StepError(f"waited {seconds:.0f} s for {what}, in vain")
        time.sleep(every)


def ends_well(main: Callable[[], None]) -> int:
    """Runs a command line's main function and turns a StepError into exit code 1."""
    try:
        main()
    except StepError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
