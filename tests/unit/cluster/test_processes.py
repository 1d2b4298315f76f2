"""The node ends the processes that it started, and nobody else's."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.node import paths, processes


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PIDS", tmp_path / "pids")
    monkeypatch.setattr(paths, "LOGS", tmp_path / "log")
    (tmp_path / "pids").mkdir()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def record(name: str, text: str) -> None:
    (paths.PIDS / f"{name}.pid").write_text(text)


def test_knows_a_process_by_its_pid_file(sleeper: subprocess.Popen[bytes]) -> None:
    record("sleeper", processes.identity(sleeper.pid))
    assert processes.running("sleeper") == sleeper.pid


def test_takes_a_pid_that_was_given_away_for_gone(sleeper: subprocess.Popen[bytes]) -> None:
    pid, started, boot = processes.identity(sleeper.pid).split()
    record("sleeper", f"{pid} {int(started) - 1} {boot}")
    assert processes.running("sleeper") is None


def test_takes_a_pid_of_an_earlier_boot_for_gone(sleeper: subprocess.Popen[bytes]) -> None:
    pid, started, _ = processes.identity(sleeper.pid).split()
    record("sleeper", f"{pid} {started} another-boot")
    assert processes.running("sleeper") is None


@pytest.mark.parametrize("text", ["", "4194305 1 boot"])
def test_takes_a_broken_or_stale_pid_file_for_gone(text: str) -> None:
    record("sleeper", text)
    assert processes.running("sleeper") is None


def test_stopping_what_is_gone_only_forgets_it(sleeper: subprocess.Popen[bytes]) -> None:
    pid, started, _ = processes.identity(sleeper.pid).split()
    record("sleeper", f"{pid} {started} another-boot")
    processes.stop("sleeper")
    assert not (paths.PIDS / "sleeper.pid").exists()
    os.kill(sleeper.pid, 0)
