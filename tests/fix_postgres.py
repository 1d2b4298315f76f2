"""Fixtures for throw-away PostgreSQL servers (servers.py): ready in a tenth of a second.

`initdb` and the roles are made once per session; each server is a copy of that template.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import Authority, make_authority
from tests.servers import (
    CONFIGURATION,
    HBA,
    PASSWORDS,
    ROLES,
    SUPERUSER,
    Postgres,
    binaries,
    new_home,
    own,
    run_program,
)


def make_template(home: Path) -> None:
    data = home / "data"
    passwords = home / "password"
    passwords.write_text(PASSWORDS[SUPERUSER])
    own(home)
    run_program(
        binaries() / "initdb",
        *("--pgdata", data, "--username", SUPERUSER, "--pwfile", passwords, "--no-sync"),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--wal-segsize=1"),
    )
    with (data / "postgresql.conf").open("a") as file:
        file.write(CONFIGURATION)
    (data / "pg_hba.conf").write_text(HBA)
    server = Postgres(home, "template").start()
    with server.connect(dbname="postgres") as connection:
        connection.execute(ROLES)
        connection.execute("CREATE DATABASE app OWNER app")
        connection.execute("CREATE DATABASE second OWNER app")
    with server.connect() as connection:
        connection.execute("GRANT ALL ON SCHEMA public TO app, other, legacy")
    server.stop()


class PostgresFactory:
    """Makes servers, and ends them all when it is closed."""

    def __init__(self, template: Path) -> None:
        self._template = template
        self._servers: list[Postgres] = []

    def __call__(
        self,
        name: str = "db-0",
        *,
        tls: Authority | None = None,
        start: bool = True,
        **settings: Any,
    ) -> Postgres:
        """A fresh server of its own."""
        server = Postgres(new_home(name), name)
        copy = ["cp", "-a", "--reflink=auto", str(self._template / "data"), str(server.data)]
        subprocess.run(copy, check=True)
        server.configure(**settings)
        if tls is not None:
            server.enable_tls(tls)
        self._servers.append(server)
        return server.start() if start else server

    def replica_of(self, primary: Postgres, name: str = "db-1") -> Postgres:
        replica = primary.make_replica(name, new_home(name))
        self._servers.append(replica)
        return replica

    def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[Path]:
    """A stopped server with all roles and databases, to be copied."""
    home = new_home("template")
    try:
        make_template(home)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def make_postgres(postgres_template: Path) -> Iterator[PostgresFactory]:
    """Servers for one test, which may do with them as it likes."""
    factory = PostgresFactory(postgres_template)
    try:
        yield factory
    finally:
        factory.close()


@pytest.fixture(scope="module")
def postgres(postgres_template: Path) -> Iterator[Postgres]:
    """A server for all tests of a module, which leave it as they found it."""
    factory = PostgresFactory(postgres_template)
    try:
        yield factory()
    finally:
        factory.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA and a certificate for servers on loopback."""
    return make_authority(tmp_path_factory.mktemp("authority"))
