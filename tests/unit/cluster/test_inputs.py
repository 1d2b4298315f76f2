"""A build happens again when, and only when, what it is made from changed."""

from pathlib import Path

import pytest
from tests.cluster.node.inputs import digest


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "module.py").write_text("x = 1\n")
    return tmp_path


def test_stays_the_same_while_nothing_changes(sources: Path) -> None:
    assert digest([sources], "a") == digest([sources], "a")


def test_changes_with_a_file_s_content(sources: Path) -> None:
    before = digest([sources])
    (sources / "room" / "module.py").write_text("x = 2\n")
    assert digest([sources]) != before


def test_changes_with_a_new_file(sources: Path) -> None:
    before = digest([sources])
    (sources / "room" / "other.py").touch()
    assert digest([sources]) != before


def test_changes_with_a_file_s_name(sources: Path) -> None:
    before = digest([sources])
    (sources / "room" / "module.py").rename(sources / "room" / "renamed.py")
    assert digest([sources]) != before


def test_changes_with_the_words(sources: Path) -> None:
    assert digest([sources], "rustc 1") != digest([sources], "rustc 2")


@pytest.mark.parametrize("built", ["room/_core.abi3.so", "target/lib", "room/__pycache__/m.pyc"])
def test_ignores_what_is_built(sources: Path, built: str) -> None:
    before = digest([sources])
    (sources / built).parent.mkdir(exist_ok=True)
    (sources / built).write_text("built")
    assert digest([sources]) == before
