"""The builds of several checkouts don't mix."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.cluster.node import paths, python


def test_a_checkout_that_follows_another_looks_newer_than_what_that_one_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "proxy" / "rust" / "lib.rs"
    source.parent.mkdir(parents=True)
    source.touch()
    monkeypatch.setattr(python, "PROXY", tmp_path / "proxy")
    monkeypatch.setattr(paths, "TARGET", tmp_path / "target")
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path / "one")
    python.claim_target()
    os.utime(source, (0, 0))
    python.claim_target()
    assert source.stat().st_mtime == 0, "nothing changed hands"
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path / "two")
    python.claim_target()
    assert source.stat().st_mtime > 0
