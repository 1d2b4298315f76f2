"""What is measured: the server itself, PgBouncer and this proxy, each over the same server.

`plan` starts them for a pool of a given size; each says where it listens and which process's CPU
time and memory count.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import psycopg
from tests.certificates import Authority
from tests.cluster.node import peers
from tests.fix_proxy import Proxy
from tests.servers import (
    DATABASE,
    DEADLINE,
    HOST,
    PASSWORDS,
    Postgres,
    free_port,
    new_home,
    own,
    wait_until,
)

USER = "app"
# What the server keeps for superusers, and what our pods' probes hold: neither is the pool's.
NOT_POOLED = 5
# A pool's size must be a whole percent of what is left.
POOLABLE = 400
MAX_CONNECTIONS = POOLABLE + NOT_POOLED
# Scheduler's clock of a whole process, dead threads included: see clock_getcpuclockid(3).
PROCESS_CLOCK = 2

POSTGRESQL, PGBOUNCER, DBPROXY = "PostgreSQL", "PgBouncer", "DBProxy"


class Contender(ABC):
    """Something that answers queries on a port of its own."""

    name: str
    port: int

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """The process whose CPU time and memory count; None where they do not."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    def cpu_seconds(self) -> float:
        """User and system time of the process up to now."""
        return 0.0 if self.pid is None else time.clock_gettime((~self.pid << 3) | PROCESS_CLOCK)

    def resident(self) -> int:
        """Bytes of memory that the process has now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def wait_answers(self) -> None:
        """Return once a query is answered."""
        wait_until(self.answers, f"{self.name} answers a query")

    @abstractmethod
    def answers(self) -> bool:
        """Whether a query is answered."""


class OfPostgres(Contender):
    """Something before PostgreSQL, or PostgreSQL itself."""

    def dsn(self, sslmode: str = "disable") -> str:
        return (
            f"host={HOST} port={self.port} user={USER} dbname={DATABASE} connect_timeout=20"
            f" password={PASSWORDS[USER]} sslmode={sslmode} gssencmode=disable"
        )

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.dsn()) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False


class Direct(OfPostgres):
    """The server with nothing before it; it outlives its contender."""

    name = POSTGRESQL
    pid = None

    def __init__(self, server: Postgres) -> None:
        self.port = server.port

    def close(self) -> None:
        pass


class PgBouncer(OfPostgres):
    """The newest PgBouncer that is here, which has the server's own SCRAM verifier of the user."""

    name = PGBOUNCER

    def __init__(self, server: Postgres, authority: Authority, pool: int) -> None:
        self.port = free_port()
        self._program = peers.pgbouncer()
        self._home = new_home("pgbouncer")
        self._process: subprocess.Popen[bytes] | None = None
        self._write_users(server)
        self._write_settings(server, authority, pool)
        own(self._home)

    def start(self) -> PgBouncer:
        self._process = subprocess.Popen(
            [*self._program.command, "-q", str(self._home / "pgbouncer.ini")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.wait_answers()
        return self

    @property
    def version(self) -> tuple[int, ...]:
        """Its version, as (1, 24)."""
        return self._program.version

    @property
    def pid(self) -> int:
        assert self._process is not None, "PgBouncer has not been started"
        return self._process.pid

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE)
        shutil.rmtree(self._home, ignore_errors=True)

    def _write_users(self, server: Postgres) -> None:
        verifier = server.value("SELECT rolpassword FROM pg_authid WHERE rolname = %s", USER)
        (self._home / "users").write_text(f'"{USER}" "{verifier}"\n')

    def _write_settings(self, server: Postgres, authority: Authority, pool: int) -> None:
        for path in (authority.certificate, authority.key):
            shutil.copy(path, self._home)
        settings = {
            "listen_addr": HOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self._home / "users",
            "logfile": self._home / "log",
            "log_connections": 0,
            "log_disconnections": 0,
            "pool_mode": "transaction",
            "default_pool_size": pool,
            "max_client_conn": 10_000,
            "ignore_startup_parameters": "extra_float_digits",
            "client_tls_sslmode": "allow",
            "client_tls_cert_file": self._home / authority.certificate.name,
            "client_tls_key_file": self._home / authority.key.name,
            "server_tls_sslmode": "disable",
        }
        if os.getuid() == 0:
            # It refuses to run as root.
            settings["user"] = "postgres"
        lines = [f"{key} = {value}" for key, value in settings.items()]
        database = f"{DATABASE} = host={HOST} port={server.port}"
        text = "\n".join(["[databases]", database, "[pgbouncer]", *lines, ""])
        (self._home / "pgbouncer.ini").write_text(text)


class OurProxy(Contender):
    """This proxy as it runs from files, agent and all, whatever is behind it."""

    def __init__(self, proxy: Proxy, pool: int, poolable: int) -> None:
        self._proxy = proxy
        self._proxy.workers = None
        self.port = self._proxy.port
        percent, rest = divmod(pool * 100, poolable)
        assert rest == 0, f"{pool} is no whole percent of {poolable}"
        limits: dict[str, Any] = {
            "maxConnectionsPercent": percent,
            "maxIdleConnectionsPercent": percent,
        }
        # No election: as files it is looked at 50 times a second, which no pod has to do.
        self._proxy.write_group(tls={"mode": "DISABLED"}, writerElection=None)
        self._proxy.write_pool(**limits)

    def start(self) -> Self:
        self._proxy.start(ready=False)
        self._proxy.wait_ready()
        self.wait_answers()
        return self

    @property
    def pid(self) -> int:
        return self._proxy.pid

    def close(self) -> None:
        self._proxy.close()


class DBProxy(OurProxy, OfPostgres):
    """This proxy before PostgreSQL."""

    name = DBPROXY

    def __init__(self, server: Postgres, authority: Authority, pool: int) -> None:
        home = Path(tempfile.mkdtemp(prefix="dbproxy-bench-"))
        super().__init__(Proxy(home, [server], authority), pool, POOLABLE)
