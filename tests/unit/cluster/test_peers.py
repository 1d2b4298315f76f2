"""The newest PgBouncer that is here is measured, and a newer one fetched only where that helps."""

from pathlib import Path

import pytest
from tests.cluster.node import packages, paths, peers
from tests.cluster.node.console import StepError


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with PgBouncer 1.18, and nothing fetched."""
    monkeypatch.setattr(paths, "PGBOUNCER", tmp_path / "cache" / "pgbouncer")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    write_program(tmp_path / "bin" / "pgbouncer", "1.18.0")
    monkeypatch.setattr(packages, "can_install", lambda: True)
    monkeypatch.setattr(packages, "install", lambda wanted: None)
    return tmp_path


def write_program(path: Path, version: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho PgBouncer {version}\n")
    path.chmod(0o755)


def write_fetched(folder: Path, version: str) -> None:
    """What a fetched one is: its loader is told the libraries' folder, and then the program."""
    write_program(folder / "usr" / "lib" / "some-linux-gnu" / "ld-linux-some.so.1", version)


def test_the_newest_that_is_here_is_measured(own_places: Path) -> None:
    assert peers.pgbouncer().version == (1, 18)
    write_fetched(paths.PGBOUNCER, "1.24.1")
    assert peers.pgbouncer().version == (1, 24)
    write_program(own_places / "bin" / "pgbouncer", "1.25.0")
    assert peers.pgbouncer().version == (1, 25)


def test_one_is_fetched_where_the_machines_own_knows_no_statements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "run", lambda command: write_fetched(command[-1], "1.24.1"))
    peers.ensure()
    assert peers.pgbouncer().version == (1, 24)


def test_none_is_fetched_where_the_machines_own_knows_statements(
    own_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(own_places / "bin" / "pgbouncer", "1.21.0")
    monkeypatch.setattr(peers, "run", lambda command: pytest.fail(f"ran {command}"))
    peers.ensure()


def test_the_machines_own_is_measured_where_none_can_be_fetched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: list[str | Path]) -> None:
        write_fetched(Path(command[-1]), "1.24.1")
        raise StepError("no network")

    monkeypatch.setattr(peers, "run", fail)
    peers.ensure()
    assert peers.pgbouncer().version == (1, 18)
    assert "no network" in capsys.readouterr().out
