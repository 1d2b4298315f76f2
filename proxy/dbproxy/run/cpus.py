"""How many CPUs this pod may use: the cgroup's quota (v2 and v1), else the process's affinity."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def available_cpus(root: Path = CGROUPS, own: Path = OWN_CGROUP) -> int:
    """Whole CPUs, at least one; a quota of a part counts as one more."""
    quotas = [quota for path in _paths(own) for quota in _quotas(root, path)]
    cpus = len(os.sched_getaffinity(0))
    return max(1, min([cpus, *(math.ceil(quota) for quota in quotas)]))


def _paths(own: Path) -> list[str]:
    """This process's cgroup and all above it; "" is the root, as a container sees itself."""
    paths = {""}
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            parts = path.strip("/").split("/")
            paths |= {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return sorted(paths)


def _quotas(root: Path, path: str) -> Iterator[float]:
    for base in (root, root / "unified"):
        quota, _, period = _read(base / path / "cpu.max").strip().partition(" ")
        if quota not in ("", "max"):
            yield int(quota) / int(period)
    for base in (root / "cpu", root / "cpu,cpuacct"):
        quota = _read(base / path / "cpu.cfs_quota_us").strip()
        if quota not in ("", "-1"):
            yield int(quota) / int(_read(base / path / "cpu.cfs_period_us"))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
