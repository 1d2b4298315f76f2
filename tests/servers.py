"""Throw-away PostgreSQL servers as objects: started, stopped, killed, frozen, promoted, rebuilt.

The fixtures of fix_postgres.py make them. Servers listen on loopback only and run as the user
`postgres` where the tests run as root.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import psycopg
import pytest
from tests.certificates import Authority

T = TypeVar("T")

HOST = "127.0.0.1"
DEADLINE = 30.0
PORT_BLOCKS = 14
SUPERUSER = "postgres"
# Password of each role; `legacy` has an MD5 verifier, the others SCRAM.
PASSWORDS = {
    SUPERUSER: "superuser-password",
    "app": "app-password",
    "other": "other-password",
    "legacy": "legacy-password",
    "monitor": "monitor-password",
}
DATABASE = "app"

CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 50
superuser_reserved_connections = 3
shared_buffers = 16MB
fsync = off
full_page_writes = off
wal_level = replica
max_wal_senders = 5
max_wal_size = 128MB
min_wal_size = 2MB
hot_standby = on
wal_receiver_status_interval = 1
wal_retrieve_retry_interval = 200ms
log_line_prefix = '%m [%p] %u@%d '
log_connections = on
autovacuum = off
max_prepared_transactions = 5
# In the data folder, and so gone with it also where the server was killed.
dynamic_shared_memory_type = mmap
"""

HBA = """
host all legacy 127.0.0.1/32 md5
host replication all 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""

ROLES = f"""
CREATE ROLE app LOGIN PASSWORD '{PASSWORDS["app"]}';
CREATE ROLE other LOGIN PASSWORD '{PASSWORDS["other"]}';
CREATE ROLE monitor LOGIN PASSWORD '{PASSWORDS["monitor"]}';
SET password_encryption = md5;
CREATE ROLE legacy LOGIN PASSWORD '{PASSWORDS["legacy"]}';
"""


def wait_until(what: Callable[[], T], message: str, deadline: float = DEADLINE) -> T:
    """The first truthy answer of `what`, asked again and again until the deadline."""
    end = time.monotonic() + deadline
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > end:
            pytest.fail(f"not within {deadline:g} s: {message}")
        time.sleep(0.01)


@functools.cache
def own_ports() -> Iterator[int]:
    """Ports below those that outgoing sockets get; test processes at work together share none, be
    they of one run or of several."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    blocks = [(worker + number) % PORT_BLOCKS for number in range(PORT_BLOCKS)]
    first = 18_000 + next(filter(_is_claimed, blocks), blocks[0]) * 1_000
    return itertools.cycle(range(first, first + 1_000))


def _is_claimed(block: int) -> bool:
    """Whether these ports are this process's now, for as long as it lives."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        # An abstract name, which nobody need clear away.
        claim.bind(f"\0dbproxy-test-ports-{block}")
    except OSError:
        claim.close()
        return False
    claim.detach()
    return True


def free_port() -> int:
    """A port that nobody listens on, and that won't be given away again soon."""
    for port in own_ports():
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((HOST, port))
            return port
    raise AssertionError("the ports never end")


@functools.cache
def binaries() -> Path:
    """The programs of the PostgreSQL that `POSTGRES` names, a folder of bin, lib and share; else of
    the newest that is installed."""
    chosen = os.environ.get("POSTGRES")
    if chosen:
        return _readable(Path(chosen)) / "bin"
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        pytest.fail("PostgreSQL's server programs are not installed")
    return Path(on_path).parent


def _readable(programs: Path) -> Path:
    """A copy for this run where we are root, into whose cache the database's user can't look."""
    if os.getuid() != 0:
        return programs
    home = new_home("programs")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    shutil.copytree(programs, home / "programs", symlinks=True)
    return home / "programs"


def new_home(name: str) -> Path:
    """A directory in memory where there is one: thousands of small files are copied per server."""
    home = Path(tempfile.mkdtemp(prefix=f"dbproxy-{name}-", dir=memory()))
    own(home)
    return home


def memory() -> Path:
    """Where directories are in memory, or else on the disk."""
    found = Path("/dev/shm")
    return found if os.access(found, os.W_OK) else Path(tempfile.gettempdir())


def _identity() -> dict[str, Any]:
    """Arguments that make a subprocess the database's user, where we are root."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _alone() -> list[str]:
    """A command's beginning that makes it the database's user, with an IPC namespace of its own.

    A server that is killed leaves a System V segment behind, of which a machine has 4,096; in a
    namespace of its own the segment ends with it. Only root can make one.
    """
    if os.getuid() != 0:
        return []
    user = ("--reuid=postgres", "--regid=postgres", "--clear-groups")
    return ["unshare", "--ipc", "--", "setpriv", *user, "--"]


def own(path: Path) -> None:
    """Give a tree to the database's user."""
    identity = _identity()
    if identity:
        owner = f"{identity['user']}:{identity['group']}"
        subprocess.run(["chown", "-R", owner, str(path)], check=True)


def run_program(*command: str | Path, **env: str) -> str:
    """Run one of PostgreSQL's programs as the database's user; its output."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", **env},
        **_identity(),
    )
    if done.returncode:
        pytest.fail(f"{command[0]} failed: {done.stdout}{done.stderr}")
    return done.stdout


class Postgres:
    """One server; `start` it, and `close` it for good."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.home = home
        self.data = home / "data"
        self.port = free_port()
        self._log = home / "log"
        self._process: subprocess.Popen[bytes] | None = None

    # --- life ---------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> Postgres:
        """Start the server; once it takes connections, return."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_alone(), binaries() / "postgres", "-D", self.data, "-p", str(self.port)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
                # Its own libpq, not the machine's: a standby connects by it.
                env=os.environ | {"LD_LIBRARY_PATH": str(binaries().parent / "lib")},
                start_new_session=True,
            )
        if wait:
            wait_until(self._answers, f"{self.name} starts\n{self.log()}")
        return self

    def stop(self, mode: str = "fast") -> None:
        """Shut down: `smart` waits for clients, `fast` ends them, `immediate` is a crash."""
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        if self._process is not None:
            self._process.send_signal(signals[mode])
            self._process.wait(DEADLINE)
            self._process = None

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill9(self) -> None:
        """End every process of the server without a word."""
        if self._process is None:
            return
        self._signal_all(signal.SIGKILL)
        self._process.wait(DEADLINE)
        self._process = None

    def freeze(self) -> None:
        """Stop every process where it is: connections stay, nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._signal_all(signal.SIGCONT)
        self.kill9()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # --- roles ----------------------------------------------------------------------------------

    def make_replica(self, name: str, home: Path) -> Postgres:
        """A streaming replica of this server, started and caught up."""
        replica = Postgres(home, name)
        run_program(
            binaries() / "pg_basebackup",
            *("--pgdata", replica.data, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            *("--dbname", self.dsn(SUPERUSER, "postgres"), "--wal-method=stream"),
        )
        replica.start()
        wait_until(self._streams, f"{name} streams\n{replica.log()}")
        return replica

    def promote(self) -> None:
        """Make a replica a writer; on return it is one."""
        self.psql("SELECT pg_promote(wait => true)")

    def demote_to_replica_of(self, primary: Postgres) -> None:
        """Rebuild this server, which may be stopped, as a replica of another."""
        self.kill9()
        shutil.rmtree(self.data)
        run_program(
            binaries() / "pg_basebackup",
            *("--pgdata", self.data, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            *("--dbname", primary.dsn(SUPERUSER, "postgres"), "--wal-method=stream"),
        )
        self.start()
        wait_until(primary._streams, f"{self.name} streams\n{self.log()}")

    def in_recovery(self) -> bool:
        return bool(self.value("SELECT pg_is_in_recovery()"))

    # --- configuration --------------------------------------------------------------------------

    def configure(self, **settings: object) -> None:
        """Add settings to the configuration; those that need no restart count after `reload`."""
        with (self.data / "postgresql.auto.conf").open("a") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value}'\n")

    def set_hba(self, lines: str) -> None:
        (self.data / "pg_hba.conf").write_text(lines)

    def reload(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def enable_tls(self, authority: Authority) -> None:
        """Serve TLS from the next start on."""
        for source in (authority.certificate, authority.key):
            shutil.copy(source, self.data / source.name)
        (self.data / authority.key.name).chmod(0o600)
        own(self.data)
        self.configure(ssl="on")

    # --- questions ------------------------------------------------------------------------------

    def dsn(self, user: str = SUPERUSER, dbname: str = DATABASE, **options: object) -> str:
        password = options.pop("password", PASSWORDS.get(user))
        parts = {"host": HOST, "port": self.port, "user": user, "dbname": dbname}
        parts |= {"password": password, "connect_timeout": 10, **options}
        return " ".join(f"{key}='{value}'" for key, value in parts.items())

    def connect(
        self, user: str = SUPERUSER, dbname: str = DATABASE, **options: object
    ) -> psycopg.Connection[Any]:
        """A direct connection in autocommit."""
        return psycopg.connect(self.dsn(user, dbname, **options), autocommit=True)

    def psql(self, sql: LiteralString, *values: object, dbname: str = DATABASE) -> list[Any]:
        """Run one statement as superuser; its rows."""
        with self.connect(dbname=dbname) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, sql: LiteralString, *values: object) -> Any:
        """The first column of the first row."""
        return self.psql(sql, *values)[0][0]

    def backends(self, user: str = "app") -> int:
        """How many connections a user has now."""
        count: int = self.value("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", user)
        return count

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    # --- inside ---------------------------------------------------------------------------------

    def _answers(self) -> bool:
        if not self.running:
            pytest.fail(f"{self.name} ended while it started:\n{self.log()}")
        try:
            self.connect(dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _streams(self) -> bool:
        return bool(
            self.psql(
                "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"
                " AND replay_lsn = pg_current_wal_lsn()"
            )
        )

    def _signal_all(self, number: signal.Signals) -> None:
        """The server's children have sessions of their own: find them by their parent."""
        if self._process is None:
            return
        parent = str(self._process.pid)
        family = [self._process.pid]
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = status.read_text().rpartition(")")[2].split()
                if fields[1] == parent:
                    family.append(int(status.parent.name))
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
