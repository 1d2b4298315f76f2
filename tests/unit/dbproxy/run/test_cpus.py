"""The CPUs of a pod: its quota, in both versions of cgroups, never less than one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dbproxy.run.cpus import available_cpus


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own"
    path.write_text(text)
    return path


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "max 100000\n")
    assert available_cpus(tmp_path, own(tmp_path, "0::/\n")) == 8


def test_a_quota_of_version_2_counts_rounded_up(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "150000 100000\n")
    assert available_cpus(tmp_path, own(tmp_path, "0::/\n")) == 2


def test_the_least_quota_of_all_ancestors_counts(tmp_path: Path) -> None:
    write(tmp_path / "kubepods" / "cpu.max", "300000 100000\n")
    write(tmp_path / "kubepods" / "pod" / "cpu.max", "max 100000\n")
    assert available_cpus(tmp_path, own(tmp_path, "0::/kubepods/pod\n")) == 3


def test_a_quota_of_version_1_counts(tmp_path: Path) -> None:
    write(tmp_path / "cpu" / "pod" / "cpu.cfs_quota_us", "400000\n")
    write(tmp_path / "cpu" / "pod" / "cpu.cfs_period_us", "100000\n")
    assert available_cpus(tmp_path, own(tmp_path, "2:cpu,cpuacct:/pod\n")) == 4


def test_a_tiny_quota_is_still_one_cpu(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "1000 100000\n")
    assert available_cpus(tmp_path, own(tmp_path, "0::/\n")) == 1
