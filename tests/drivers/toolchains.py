"""Each language's drivers, installed from its registry into the cache as the lock files say."""

from __future__ import annotations

import platform
import shutil
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from tests.cluster.node import archive, inputs, packages, paths
from tests.cluster.node.console import Command, run, step
from tests.servers import binaries

HERE = Path(__file__).parent


class Toolchain(ABC):
    """How programs of one language are made ready and called."""

    language: str
    # Programs that the machine must have.
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        return [name for name in self.needs if not shutil.which(name)]

    @property
    def sources(self) -> Path:
        return HERE / self.language

    @abstractmethod
    def prepare(self) -> None:
        """Install what isn't there yet."""

    @abstractmethod
    def command(self, program: str) -> list[str]:
        """The words that start a program."""


class Cached(Toolchain):
    """One whose packages live in a folder of the cache, which its lock files and programs name."""

    # Files of the language's folder ("" is all of it) that another installation is made from.
    made_from: tuple[str, ...]

    @property
    def home(self) -> Path:
        found = [self.sources / name for name in self.made_from]
        return paths.CACHE / "drivers" / f"{self.language}-{inputs.digest(found, sys.version)}"

    def prepare(self) -> None:
        if self.home.exists():
            return
        with step(f"Installing drivers: {self.language}"):
            unfinished = self.home.with_name(f"{self.home.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            self.install(unfinished)
            unfinished.rename(self.home)

    @abstractmethod
    def install(self, home: Path) -> None:
        """Fill this empty folder, which is moved to `home` afterwards."""


class PostgreSQL(Toolchain):
    """The server's own clients, which the tests have anyway."""

    language = "postgresql"

    def prepare(self) -> None:
        pass

    def command(self, program: str) -> list[str]:
        name, *words = program.split()
        path = f"PATH={binaries()}:/usr/bin:/bin"
        return ["env", path, "bash", str(self.sources / name), *words]


class CommandLine(Toolchain):
    """MariaDB's own clients; MySQL's are in no package that this machine gets."""

    language = "mysql"

    def prepare(self) -> None:
        packages.install({"mariadb": "mariadb-client-core", "mariadb-dump": "mariadb-client"})

    def command(self, program: str) -> list[str]:
        name, *words = program.split()
        return ["bash", str(self.sources / name), *words]


class Python(Cached):
    language = "python"
    made_from = ("requirements.txt",)

    def install(self, home: Path) -> None:
        lock = self.sources / "requirements.txt"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes"]
        run([*pip, "--target", home, "--requirement", lock])

    def command(self, program: str) -> list[str]:
        # Nothing of the tests' own environment, which has other versions.
        return [
            *("env", f"PYTHONPATH={self.home}:{self.sources}", sys.executable, "-S", "-B"),
            str(self.sources / program),
        ]


class Node(Cached):
    language = "node"
    needs = ("node", "npm")
    made_from = ("package-lock.json", "schema.prisma", "schema.mysql.prisma")

    def install(self, home: Path) -> None:
        for name in ("package.json", *self.made_from):
            shutil.copy(self.sources / name, home)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=home)
        # Else it fetches an engine first, which only migrations need.
        unused = {"PRISMA_SCHEMA_ENGINE_BINARY": sys.executable, "CHECKPOINT_DISABLE": "1"}
        for schema in self.made_from[1:]:
            generate = ["npx", "--no-install", "prisma", "generate", "--schema", schema]
            run(generate, cwd=home, env=unused)

    def command(self, program: str) -> list[str]:
        # A program finds its packages in the folder that it is in.
        for source in self.sources.glob("*.mjs"):
            shutil.copy(source, self.home)
        return ["node", str(self.home / program)]


class Go(Cached):
    language = "go"
    needs = ("go",)
    made_from = ("",)

    def install(self, home: Path) -> None:
        programs = ["./pgx", "./pq", "./sqldriver", "./gorm"]
        run(["go", "build", "-mod=readonly", "-o", f"{home}/", *programs], cwd=self.sources)

    def command(self, program: str) -> list[str]:
        return [str(self.home / program)]


class Rust(Cached):
    language = "rust"
    needs = ("cargo",)
    made_from = ("",)

    def install(self, home: Path) -> None:
        # Not the proxy's: the two would build each other's dependencies anew.
        target = paths.CACHE / "drivers" / "rust-target"
        build: Command = ["cargo", "build", "--locked", "--quiet", "--target-dir", target]
        run(build, cwd=self.sources)
        for source in (self.sources / "src" / "bin").glob("*.rs"):
            shutil.copy(target / "debug" / source.stem, home)

    def command(self, program: str) -> list[str]:
        return [str(self.home / program)]


class Java(Cached):
    language = "java"
    needs = ("java", "javac", "mvn")
    made_from = ("",)

    def install(self, home: Path) -> None:
        copied = ["dependency:copy-dependencies", f"-DoutputDirectory={home}"]
        run(["mvn", "--quiet", "--batch-mode", *copied], cwd=self.sources)
        programs = sorted(self.sources.glob("*.java"))
        run(["javac", "-Xlint:all", "-d", home / "programs", "-cp", f"{home}/*", *programs])

    def command(self, program: str) -> list[str]:
        return ["java", "-cp", f"{self.home}/*:{self.home}/programs", *program.split()]


class Debian(Toolchain):
    """A language with its drivers as Debian packages them."""

    def __init__(self, language: str, package: str, libraries: tuple[str, ...]) -> None:
        self.language = language
        listed = "/var/lib/dpkg/info/{}.list"
        self._packages = {language: package}
        self._packages |= {listed.format(name): name for name in libraries}

    def prepare(self) -> None:
        packages.install(self._packages)

    def command(self, program: str) -> list[str]:
        name, *words = program.split()
        return [self.language, str(self.sources / name), *words]


# As dpkg lists what other architectures may have beside it.
DBD_MYSQL = f"libdbd-mysql-perl:{archive.ARCHITECTURES[platform.machine()]}"
DEBIAN = (
    Debian("ruby", "ruby", ("ruby-activerecord", "ruby-pg", "ruby-mysql2")),
    Debian("perl", "perl", ("libdbd-pg-perl", DBD_MYSQL, "libdbd-mariadb-perl")),
    Debian("php", "php-cli", ("php8.2-pgsql", "php8.2-mysql")),
)
TOOLCHAINS: dict[str, Toolchain] = {
    toolchain.language: toolchain
    for toolchain in (PostgreSQL(), CommandLine(), Python(), Node(), Go(), Rust(), Java(), *DEBIAN)
}
