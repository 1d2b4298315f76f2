"""The proxy as an object: `python -m dbproxy` on files, and all that a test wants to do to it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from tests.certificates import Authority
from tests.servers import DATABASE, DEADLINE, HOST, PASSWORDS, Postgres, free_port, wait_until

PACKAGE = Path(__file__).resolve().parents[1] / "proxy"
READ_WRITE, READ_ONLY = "proxy", "proxy-ro"
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
Document = dict[str, Any]


class Server(Protocol):
    """A database of either family."""

    name: str
    port: int


class Proxy:
    """One proxy over some servers; the first is the writer, by an election of its own."""

    # More than one on any machine, so that connections change hands. None: as many as suit.
    workers: int | None = 2
    family = "POSTGRESQL"
    passwords = PASSWORDS

    def __init__(self, home: Path, servers: Sequence[Server], authority: Authority) -> None:
        self.home = home
        self.config_dir = home / "config"
        self.election_dir = home / "election"
        self.port, self.ro_port, self.http_port = (free_port() for _ in range(3))
        self.authority = authority
        self.address = HOST
        self.epoch = 1
        self._process: subprocess.Popen[bytes] | None = None
        self._revision = 0
        self._log = home / "log"
        self.config_dir.mkdir()
        self.election_dir.mkdir()
        self.settings = self._first_settings(servers)
        self.credentials = self._first_credentials()
        self.write_credentials()
        self.write_settings()
        self.elect(servers[0].name if servers else "", self.epoch)

    # --- configuration --------------------------------------------------------------------------

    def write_settings(self, **changes: Any) -> None:
        """Change keys of the settings; the next revision of them is there on return."""
        self.settings |= changes
        self._revision += 1
        self.settings |= {"revision": self._revision, "secretRevision": 0}
        self._write(self.config_dir / "settings.json", json.dumps(self.settings).encode())

    def write_group(self, **changes: Any) -> None:
        """Change keys of the target group."""
        self.settings["targetGroup"] |= changes
        self.write_settings()

    def write_pool(self, **changes: Any) -> None:
        """Change keys of the target group's connectionPoolConfig."""
        self.settings["targetGroup"]["connectionPoolConfig"] |= changes
        self.write_settings()

    def write_credentials(self, **changes: Any) -> None:
        """Change keys of the credentials; certificate and key are those of the authority."""
        self.credentials |= changes
        self._revision += 1
        self.credentials["revision"] = self._revision
        files = {
            "tls.crt": self.authority.certificate,
            "tls.key": self.authority.key,
            "ca.crt": self.authority.ca,
        }
        for name, path in files.items():
            self._write(self.config_dir / name, path.read_bytes())
        self._write(self.config_dir / "credentials.json", json.dumps(self.credentials).encode())

    def rotate(self, user: str, password: str, *, grace: float = 300) -> None:
        """Give a user a new password; the one before is good for a while."""
        users = []
        for entry in self.credentials["users"]:
            if entry["name"] == user:
                old = {"password": entry["password"], "validUntil": time.time() + grace}
                entry = entry | {"password": password, "previous": [old]}
            users.append(entry)
        self.write_credentials(users=users)

    def elect(self, writer: str, epoch: int | str | None = None) -> None:
        """Name a writer, by default under the next epoch; the epoch is written last."""
        if epoch is None:
            self.epoch += 1
            epoch = self.epoch
        for name, text in (("writer", writer), ("epoch", str(epoch))):
            self._write(self.election_dir / name, text.encode())

    # --- life -----------------------------------------------------------------------------------

    def start(self, *, ready: bool = True, descriptors: int | None = None) -> Proxy:
        """Start the program, with so many descriptors at most; once it takes clients, return."""
        command = self.command()
        if descriptors is not None:
            command = ["prlimit", f"--nofile={descriptors}:{descriptors}", *command]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": str(PACKAGE), "DBPROXY_POD_IP": self.address},
                start_new_session=True,
            )
        if ready:
            self.wait_ready()
            self.wait_writer()
        return self

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "dbproxy", "--listen-address", self.address),
            *("--config-dir", str(self.config_dir), "--election-dir", str(self.election_dir)),
            *("--http-port", str(self.http_port)),
            *(("--workers", str(self.workers)) if self.workers else ()),
        ]

    def wait_ready(self) -> None:
        self._wait(lambda: self.get("/readyz")[0] == 200, "the proxy is ready")

    def wait_writer(self, target: str = "", epoch: int | None = None) -> None:
        """Wait until this writer takes work."""
        epoch = self.epoch if epoch is None else epoch

        def is_open() -> bool:
            told = self.events("writer")
            if not told or told[-1]["state"] != "OPEN" or told[-1]["epoch"] < epoch:
                return False
            return not target or told[-1]["target"] == target

        self._wait(is_open, f"the writer {target} of epoch {epoch} is open")

    def wait_target(self, name: str, state: str = "AVAILABLE", **fields: str) -> None:
        """Wait until the proxy sees a target in this state."""

        def is_so() -> bool:
            told = [event for event in self.events("target") if event["target"] == name]
            wanted = {"state": state, **fields}
            return bool(told) and wanted.items() <= told[-1].items()

        self._wait(is_so, f"{name} is {state}")

    def wait_config(self) -> None:
        """Wait until the newest revision of settings and credentials is in force."""
        revision = self.settings["revision"], self.credentials["revision"]

        def is_applied() -> bool:
            told = self.events("config_applied")
            return bool(told) and (told[-1]["revision"], told[-1]["secretRevision"]) == revision

        self._wait(is_applied, f"revisions {revision} are applied")

    def wait_acknowledged(self, epoch: int | None = None) -> None:
        epoch = self.epoch if epoch is None else epoch
        self._wait(
            lambda: self.metric("dbproxy_writer_acknowledged_epoch") == epoch,
            f"epoch {epoch} is acknowledged",
        )

    def sigterm(self) -> None:
        """Tell it to leave."""
        self._signal(signal.SIGTERM)

    def kill9(self) -> None:
        self._signal(signal.SIGKILL)
        self.wait_exit()

    def wait_exit(self, deadline: float = DEADLINE) -> int:
        """The exit code, once it has ended."""
        if self._process is None:
            pytest.fail("the proxy does not run")
        try:
            return self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the proxy has not ended\n{self.log()}")

    @property
    def pid(self) -> int:
        if self._process is None:
            pytest.fail("the proxy does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        if self.running:
            self.kill9()
        shutil.rmtree(self.home, ignore_errors=True)

    # --- questions ------------------------------------------------------------------------------

    def dsn(
        self, user: str = "app", dbname: str = DATABASE, *, read_only: bool = False, **options: Any
    ) -> str:
        password = options.pop("password", PASSWORDS.get(user, "no-password"))
        parts = {"host": HOST, "port": self.ro_port if read_only else self.port, "user": user}
        parts |= {"dbname": dbname, "password": password, "connect_timeout": 20}
        parts |= {"sslmode": "disable", **options}
        return " ".join(f"{key}='{value}'" for key, value in parts.items())

    def connect(
        self, user: str = "app", dbname: str = DATABASE, **options: Any
    ) -> psycopg.Connection[Any]:
        """A connection in autocommit, without prepared statements unless asked for."""
        threshold = options.pop("prepare_threshold", None)
        dsn = self.dsn(user, dbname, **options)
        return psycopg.connect(dsn, autocommit=True, prepare_threshold=threshold)

    def get(self, path: str) -> tuple[int, str]:
        """An answer of the HTTP port; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(
                f"http://{self.address}:{self.http_port}{path}", timeout=DEADLINE
            ) as found:
                return found.status, found.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Every sample: name, labels, value."""
        found = []
        for line in self.get("/metrics")[1].splitlines():
            match = SAMPLE.match(line)
            if match:
                labels = dict(LABEL.findall(match[2] or ""))
                found.append((match[1], labels, float(match[3])))
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels."""
        return sum(
            value
            for sample, found, value in self.metrics()
            if sample == name and labels.items() <= found.items()
        )

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def events(self, name: str | None = None) -> list[Document]:
        """The lines of the log, each an object."""
        found = []
        for line in self.log().splitlines():
            with contextlib.suppress(ValueError):
                event: Document = json.loads(line)
                if name is None or event.get("event") == name:
                    found.append(event)
        return found

    # --- inside ---------------------------------------------------------------------------------

    def _first_settings(self, servers: Sequence[Server]) -> Document:
        return {
            "formatVersion": 1,
            "proxy": {"namespace": "test", "name": "proxy", "uid": "u", "generation": 1},
            "engineFamily": self.family,
            "requireTLS": False,
            "idleClientTimeout": 1800,
            "drainTimeout": 5,
            "budgetDivisor": 1,
            "listeners": [
                {"name": READ_WRITE, "port": self.port, "targetRole": "READ_WRITE"},
                {"name": READ_ONLY, "port": self.ro_port, "targetRole": "READ_ONLY"},
            ],
            "targetGroup": {
                "name": "group",
                "uid": "g",
                "generation": 1,
                "targets": [{"name": s.name, "host": HOST, "port": s.port} for s in servers],
                "connectionPoolConfig": {
                    "maxConnectionsPercent": 100,
                    "maxIdleConnectionsPercent": 50,
                    "connectionBorrowTimeout": 20,
                    "initQuery": None,
                },
                "writerElection": {"configMap": "election"},
                "tls": {"mode": "PREFERRED"},
                "writerFloor": None,
            },
        }

    def _first_credentials(self) -> Document:
        return {
            "formatVersion": 1,
            "fleetSecret": base64.b64encode(b"test".ljust(32, b".")).decode(),
            "credentialRotationGracePeriod": 300,
            "users": self._first_users(),
            "monitor": {"name": "monitor", "password": self.passwords["monitor"]},
        }

    def _first_users(self) -> list[Document]:
        methods = {"legacy": "POSTGRES_MD5"}
        return [
            {
                "name": user,
                "password": PASSWORDS[user],
                "clientPasswordAuthType": methods.get(user, "POSTGRES_SCRAM_SHA_256"),
            }
            for user in ("app", "other", "legacy")
        ]

    def _write(self, path: Path, content: bytes) -> None:
        fresh = path.with_name(f".{path.name}")
        fresh.write_bytes(content)
        fresh.replace(path)

    def _wait(self, what: Callable[[], object], message: str) -> None:
        def alive_and_so() -> object:
            if not self.running:
                pytest.fail(f"the proxy ended, before {message}\n{self.log()}")
            return what()

        try:
            wait_until(alive_and_so, message)
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}\n{self.log()}")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


class ProxyFactory:
    """Makes proxies, and ends them all when it is closed."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._proxies: list[Proxy] = []

    def __call__(self, *servers: Postgres, start: bool = True, **settings: Any) -> Proxy:
        home = Path(tempfile.mkdtemp(prefix="dbproxy-proxy-"))
        proxy = Proxy(home, list(servers), self._authority)
        self._proxies.append(proxy)
        if settings:
            proxy.write_settings(**settings)
        return proxy.start() if start else proxy

    def close(self) -> None:
        for proxy in self._proxies:
            proxy.close()


@pytest.fixture
def make_proxy(authority: Authority) -> Iterator[ProxyFactory]:
    """Proxies for one test, which may do with them as it likes."""
    factory = ProxyFactory(authority)
    try:
        yield factory
    finally:
        factory.close()


@pytest.fixture(scope="module")
def proxy(postgres: Postgres, authority: Authority) -> Iterator[Proxy]:
    """A proxy over the module's server for tests that leave it as they found it."""
    factory = ProxyFactory(authority)
    try:
        yield factory(postgres)
    finally:
        factory.close()
