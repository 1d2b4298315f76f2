"""Fixtures for throw-away MySQL and MariaDB servers (mysql_servers.py).

A data directory with the users is made once per session and kind; each server is a copy of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from tests.certificates import Authority
from tests.mysql_servers import KINDS, Kind, MySQL, make_data
from tests.servers import memory, new_home


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "together: tests of a module on one kind of server, which one process runs",
        "xdist_group: also where nothing is distributed",
    ):
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Else each process would start the servers that a module's tests share."""
    for item in items:
        if item.get_closest_marker("together") and isinstance(item, pytest.Function):
            kind = item.callspec.params["mysql_kind"]
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{kind}"))


class MySQLFactory:
    """Makes servers, and ends them all when it is closed."""

    def __init__(self, kind: Kind, template: Path) -> None:
        self.kind = kind
        self._template = template
        self._servers: list[MySQL] = []

    def __call__(
        self,
        name: str = "db-0",
        *,
        tls: Authority | None = None,
        start: bool = True,
        **settings: Any,
    ) -> MySQL:
        """A fresh server of its own."""
        server = MySQL(new_home(name), name, self.kind)
        self._servers.append(server)
        copy = ["cp", "-a", "--reflink=auto", str(self._template / "data"), str(server.data)]
        subprocess.run(copy, check=True)
        server.configure(**settings)
        if tls is not None:
            server.enable_tls(tls)
        return server.start() if start else server

    def replica_of(self, primary: MySQL, name: str = "db-1", *, delay: int = 0) -> MySQL:
        """A server that replicates from a primary that has not been changed yet."""
        replica = self(name)
        replica.follow(primary, delay=delay)
        return replica

    def close(self) -> None:
        for server in self._servers:
            server.close()


class MySQLTemplates:
    """The data directories to be copied, each made when it is first asked for. All processes of a
    run share them, and who is the last to use them throws them away."""

    def __init__(self) -> None:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
        self._home = memory() / f"dbproxy-templates-{run}"
        self._users = self._join()

    def of(self, kind: Kind) -> Path:
        home = self._home / kind.name
        with (self._home / f"{kind.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (home / "made").exists():
                shutil.rmtree(home, ignore_errors=True)
                home.mkdir()
                make_data(kind, home)
                (home / "made").touch()
        return home

    def close(self) -> None:
        with self._users, contextlib.suppress(BlockingIOError):
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self._home, ignore_errors=True)

    def _join(self) -> IO[str]:
        while True:
            self._home.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                users = (self._home / "users").open("a")
                fcntl.flock(users, fcntl.LOCK_SH)
                # Else the last one has thrown it away meanwhile.
                if os.path.samestat(os.fstat(users.fileno()), (self._home / "users").stat()):
                    return users


@pytest.fixture(scope="session")
def mysql_templates() -> Iterator[MySQLTemplates]:
    """Stopped servers with all users and databases, to be copied."""
    templates = MySQLTemplates()
    try:
        yield templates
    finally:
        templates.close()


@pytest.fixture(scope="module", params=KINDS)
def mysql_kind(request: pytest.FixtureRequest) -> Kind:
    """MySQL and MariaDB, one after the other."""
    return KINDS[request.param]


@pytest.fixture
def make_mysql(mysql_kind: Kind, mysql_templates: MySQLTemplates) -> Iterator[MySQLFactory]:
    """Servers of either kind for one test, which may do with them as it likes."""
    factory = MySQLFactory(mysql_kind, mysql_templates.of(mysql_kind))
    try:
        yield factory
    finally:
        factory.close()


@pytest.fixture(scope="module")
def mysql(mysql_kind: Kind, mysql_templates: MySQLTemplates) -> Iterator[MySQL]:
    """A server of either kind for all tests of a module, which leave it as they found it."""
    factory = MySQLFactory(mysql_kind, mysql_templates.of(mysql_kind))
    try:
        yield factory()
    finally:
        factory.close()
