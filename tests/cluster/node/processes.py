"""Starts and ends the node's processes: each by its pid file, never by a name.

A pid file holds the pid, the process's start time and the boot it belongs to, so a pid that was
given to somebody else since is never signalled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import paths
from .console import Command, StepError

BOOT = Path("/proc/sys/kernel/random/boot_id")


def identity(pid: int) -> str:
    """Tells this process from any other that had or will have its pid; empty if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()
    state, start_time = fields[0], fields[19]
    return "" if state == "Z" else f"{pid} {start_time} {BOOT.read_text().strip()}"


def running(name: str) -> int | None:
    try:
        recorded = (paths.PIDS / f"{name}.pid").read_text()
    except FileNotFoundError:
        return None
    pid = int(recorded.split()[0]) if recorded else 0
    return pid if pid and identity(pid) == recorded else None


def start(name: str, command: Command, env: Mapping[str, str] | None = None) -> None:
    if running(name):
        return
    paths.PIDS.mkdir(parents=True, exist_ok=True)
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    with (paths.LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(env or {})},
            cwd="/",
            start_new_session=True,
        )
    (paths.PIDS / f"{name}.pid").write_text(identity(process.pid))


def stop(name: str, seconds: float = 10) -> None:
    pid = running(name)
    if pid is not None:
        end([pid], signal.SIGTERM, seconds)
    (paths.PIDS / f"{name}.pid").unlink(missing_ok=True)


def end(pids: Iterable[int], how: signal.Signals, seconds: float) -> None:
    """Signals these processes, waits for their end, and kills what remains after that."""
    known = {pid: identity(pid) for pid in pids}
    left = {pid: who for pid, who in known.items() if who}
    for attempt, patience in ((how, seconds), (signal.SIGKILL, 10.0)):
        for pid, who in left.items():
            if identity(pid) == who:
                send(pid, attempt)
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            reap()
            left = {pid: who for pid, who in left.items() if identity(pid) == who}
            time.sleep(0.02 if left else 0)
        if not left:
            return
    raise StepError(f"processes that survive SIGKILL: {sorted(left)}")


def send(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return


def reap() -> None:
    """Takes leave of children of this very command, so that they don't stay as zombies."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def last_words(name: str, lines: int = 15) -> str:
    log = paths.LOGS / f"{name}.log"
    said = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
    return f"last lines of {log}:\n" + "\n".join(said)
