"""MySQL's and MariaDB's servers, to test against.

A jar carries MySQL's as data: it is fetched by Maven, compared with its hash and unpacked into the
cache. MariaDB's is the machine's own; of its package `mariadb-server`, which would start a server
at once, only the plugins are unpacked. Tests find both by `mysqld` and `mariadbd`.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from . import archive, inputs, packages, paths
from .console import Command, StepError, run, step
from .python import REQUIREMENTS

LOCK = REQUIREMENTS / "mysql.txt"
GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
MYSQL = paths.MYSQL / "mysql"
MARIADB = paths.MYSQL / "mariadb"
# The files that make a data directory come with the server itself.
SERVER = {"/usr/sbin/mariadbd": "mariadb-server-core"}
# What fetches MySQL's, and what its program is linked with.
MAVEN = {"mvn": "maven"}
LIBRARIES = {
    f"/usr/lib/{platform.machine()}-linux-gnu/libaio.so.1": "libaio1",
    f"/usr/lib/{platform.machine()}-linux-gnu/libnuma.so.1": "libnuma1",
}


def mysqld() -> Path:
    """MySQL's server program; FileNotFoundError: it isn't here."""
    return present(MYSQL / "bin/mysqld")


def mariadbd() -> Path:
    """MariaDB's server program; FileNotFoundError: it isn't here."""
    return present(Path("/usr/sbin/mariadbd"))


def mariadb_plugins() -> Path:
    """The folder of MariaDB's plugins, ed25519 among them."""
    return MARIADB / "usr/lib/mysql/plugin"


def ensure() -> None:
    """Have both, and be able to run them."""
    _install(SERVER | LIBRARIES)
    ensure_server()
    version = run([mariadbd(), "--version"])
    ensure_from(MARIADB, version, "Fetching MariaDB's plugins", _fetch_plugins)


def ensure_server() -> None:
    """Have MySQL's, to run it elsewhere."""
    _install(MAVEN)
    (line,) = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    ensure_from(MYSQL, line, "Fetching MySQL", lambda: _fetch_mysql(*line.split()))


def _install(needed: dict[str, str]) -> None:
    absent = packages.missing(needed)
    if absent and not packages.can_install():
        raise StepError(f"packages, and no right to install them: {' '.join(absent)}")
    packages.install(needed)


def present(program: Path) -> Path:
    """A program that was fetched; FileNotFoundError: it wasn't."""
    if not program.exists():
        raise FileNotFoundError(f"{program} is missing: python3 -m tests.cluster.node mysql")
    return program


def ensure_from(folder: Path, source: str, headline: str, fetch: Callable[[], None]) -> None:
    """Fill a folder, unless it was from the same source."""
    stamp, wanted = folder / "made-from", inputs.digest([], source)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    with step(headline):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        fetch()
    stamp.write_text(wanted)


def _fetch_mysql(coordinates: str, digest: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        command: Command = ["mvn", "--quiet", "--batch-mode", GOAL, f"-Dartifact={coordinates}"]
        run([*command, f"-DoutputDirectory={scratch}"], cwd=Path(scratch))
        (jar,) = Path(scratch).glob("*.jar")
        if f"sha256:{archive.sha256(jar.read_bytes())}" != digest:
            raise StepError(f"{coordinates} is not what {LOCK.name} names")
        with zipfile.ZipFile(jar) as found:
            name = f"mysql-Linux-{archive.ARCHITECTURES[platform.machine()]}.tar.gz"
            packed = found.extract(name, scratch)
        run(["tar", "-xzf", packed, "-C", MYSQL])


def _fetch_plugins() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if os.geteuid() == 0:
            # apt downloads as a user of its own.
            shutil.chown(scratch, "_apt")
        run(["apt-get", "download", "-qq", "mariadb-server"], cwd=Path(scratch))
        (package,) = Path(scratch).glob("*.deb")
        run(["dpkg-deb", "--extract", package, MARIADB])
