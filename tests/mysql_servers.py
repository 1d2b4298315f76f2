"""Throw-away MySQL and MariaDB servers as objects: started, stopped, killed, frozen, replicated.

The fixtures of fix_mysql.py make them. Servers listen on loopback only; `python3 -m
tests.cluster.node mysql` fetches their programs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql
import pytest
from tests.certificates import Authority
from tests.cluster.node import mysql as programs
from tests.cluster.node import mysql_versions
from tests.mysql_version import IS_57, OTHER, SHA2, SMALL
from tests.servers import DEADLINE, HOST, free_port, wait_until

SUPERUSER = "root"
# `app` has the server's own default plugin, `legacy` mysql_native_password, `signed` (MariaDB's
# only) ed25519.
PASSWORDS = {
    SUPERUSER: "",
    "app": "app-password",
    "legacy": "legacy-password",
    "signed": "signed-password",
    "monitor": "monitor-pässword",
    "replicator": "replicator-password",
}
DATABASE = "app"

CONFIGURATION = """
[mysqld]
bind-address = 127.0.0.1
skip-name-resolve
max-connections = 50
innodb-buffer-pool-size = 16M
innodb-flush-log-at-trx-commit = 0
log-bin = binlog
sync-binlog = 0
"""


@dataclass(frozen=True)
class Kind:
    """What tells the two apart."""

    name: str
    own_program: Callable[[], Path]
    configuration: str
    users: str
    # To write into the settings of a server that has no certificate.
    without_tls: str
    replicate: str
    start_replica: str
    without_delay: str
    stop_applier: str
    replica_status: str
    lag: str

    def program(self) -> Path:
        return mysql_versions.program(OTHER) if OTHER else self.own_program()


MYSQL = Kind(
    name="mysql",
    own_program=programs.mysqld,
    configuration=f"""
loose-mysqlx = OFF
gtid-mode = ON
enforce-gtid-consistency = ON
{SMALL}
""",
    users=f"""
SET NAMES utf8mb4;
CREATE USER app@'%' IDENTIFIED WITH {SHA2} BY '{PASSWORDS["app"]}';
CREATE USER monitor@'%' IDENTIFIED WITH {SHA2} BY '{PASSWORDS["monitor"]}';
CREATE USER legacy@'%' IDENTIFIED WITH mysql_native_password BY '{PASSWORDS["legacy"]}';
CREATE USER replicator@'%' IDENTIFIED BY '{PASSWORDS["replicator"]}';
GRANT SELECT ON performance_schema.replication_group_members TO monitor@'%';
""",
    without_tls="skip-ssl\n",
    replicate="CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, SOURCE_USER = %s,"
    " SOURCE_PASSWORD = %s, SOURCE_DELAY = %s, SOURCE_CONNECT_RETRY = 1,"
    " SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1",
    start_replica="START REPLICA",
    without_delay="CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 0",
    stop_applier="STOP REPLICA SQL_THREAD",
    replica_status="SHOW REPLICA STATUS",
    lag="Seconds_Behind_Source",
)
PLUGINS = f"""
plugin-dir = {programs.mariadb_plugins()}
plugin-load-add = auth_ed25519
plugin-maturity = gamma
"""
SIGNED = f"""
CREATE USER signed@'%' IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORDS["signed"]}');
GRANT ALL ON app.* TO signed@'%';
"""
MARIADB = Kind(
    name="mariadb",
    own_program=programs.mariadbd,
    configuration=f"""
{PLUGINS}
innodb-log-file-size = 8M
""",
    users=f"""
CREATE USER app@'%' IDENTIFIED BY '{PASSWORDS["app"]}';
CREATE USER monitor@'%' IDENTIFIED BY '{PASSWORDS["monitor"]}';
CREATE USER legacy@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('{PASSWORDS["legacy"]}');
CREATE USER replicator@'%' IDENTIFIED BY '{PASSWORDS["replicator"]}';
GRANT SLAVE MONITOR ON *.* TO monitor@'%';
{SIGNED}
""",
    without_tls="",
    replicate="CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = %s,"
    " MASTER_PASSWORD = %s, MASTER_DELAY = %s, MASTER_CONNECT_RETRY = 1,"
    " MASTER_USE_GTID = slave_pos",
    start_replica="START SLAVE",
    without_delay="CHANGE MASTER TO MASTER_DELAY = 0",
    stop_applier="STOP SLAVE SQL_THREAD",
    replica_status="SHOW SLAVE STATUS",
    lag="Seconds_Behind_Master",
)
if OTHER in ("mysql-5.7.29", "mysql-8.0.15"):
    # Sources and replicas are called so since 8.0.22.
    MYSQL = replace(
        MYSQL,
        replicate=f"{MARIADB.replicate.split(' MASTER_USE_GTID')[0]} MASTER_AUTO_POSITION = 1"
        + ("" if IS_57 else ", GET_MASTER_PUBLIC_KEY = 1"),
        start_replica=MARIADB.start_replica,
        without_delay=MARIADB.without_delay,
        stop_applier=MARIADB.stop_applier,
        replica_status=MARIADB.replica_status,
        lag=MARIADB.lag,
    )
KINDS = {kind.name: kind for kind in (MYSQL, MARIADB) if not OTHER or kind.name in OTHER}

# Of both; each statement on a line of its own, as an init file wants it.
ROLES = """
CREATE USER root@'127.0.0.1' IDENTIFIED BY '';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE app;
CREATE DATABASE second;
{users}
GRANT ALL ON app.* TO app@'%', legacy@'%';
GRANT ALL ON second.* TO app@'%';
GRANT REPLICATION CLIENT ON *.* TO monitor@'%';
GRANT SELECT ON mysql.user TO monitor@'%';
GRANT REPLICATION SLAVE ON *.* TO replicator@'%';
"""
# MariaDB's data directory, as mariadb-install-db makes it (whose helper programs may be absent).
TABLES = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
)
SHARED = Path("/usr/share/mysql")


def make_data(kind: Kind, home: Path) -> None:
    """A stopped server's data directory with all users and databases."""
    server = MySQL(home, "template", kind)
    # Nothing of this is in a binary log, so that a primary and its replica begin alike.
    server.configure(skip_log_bin=None)
    if kind is MYSQL:
        server.configure(gtid_mode="OFF", enforce_gtid_consistency="OFF")
        server.run_once("--initialize-insecure")
    else:
        server.data.mkdir()
        begin = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n"
        begin += "SET @skip_auth_anonymous = 1;\n"
        tables = "".join((SHARED / name).read_text() for name in TABLES)
        server.run_once("--bootstrap", stdin=begin + tables)
    roles = home / "roles.sql"
    lines = ROLES.format(users=kind.users)
    if kind is MARIADB:
        lines = lines.replace("CREATE USER root@", "CREATE OR REPLACE USER root@")
    roles.write_text("\n".join(line for line in lines.splitlines() if line))
    try:
        server.start(f"--init-file={roles}")
        if server.value("SELECT count(*) FROM mysql.user WHERE user = 'replicator'") != 1:
            pytest.fail(f"the users are not there:\n{server.log()}")
        server.stop()
    finally:
        server.kill9()
    # Else each copy would say that it is the same server.
    (server.data / "auto.cnf").unlink(missing_ok=True)


class MySQL:
    """One server of either kind; `start` it, and `close` it for good."""

    def __init__(self, home: Path, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        self.home = home
        self.data = home / "data"
        self.port = free_port()
        self._log = home / "log"
        self._settings = home / "my.cnf"
        self._process: subprocess.Popen[bytes] | None = None
        own = {"port": self.port, "datadir": self.data, "socket": home / "socket"}
        own |= {"pid-file": home / "pid", "server-id": self.port, "tmpdir": home / "tmp"}
        # MariaDB throws away what others have in a folder that they share, tables of queries that
        # run among it.
        (home / "tmp").mkdir(exist_ok=True)
        self._settings.write_text(CONFIGURATION + kind.configuration + kind.without_tls)
        self.configure(**own)

    # --- life ---------------------------------------------------------------------------------

    def start(self, *options: str, wait: bool = True) -> MySQL:
        """Start the server; once it takes connections, return."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command(), *options],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        if wait:
            wait_until(self._answers, f"{self.name} starts\n{self.log()}")
        return self

    def run_once(self, option: str, stdin: str = "") -> None:
        """Run the program for what it does before it ends by itself."""
        command = [*self._command(), option]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, cwd="/"
        )
        if done.returncode:
            pytest.fail(f"{command[0]} {option} failed: {done.stdout}{done.stderr}")

    def stop(self) -> None:
        """Shut down: clients are ended, nothing is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(DEADLINE)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill9(self) -> None:
        """End the server without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE)
            self._process = None

    def freeze(self) -> None:
        """Stop it where it is: connections stay, nobody answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            # Until then one thread or the other may still run.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill9()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # --- roles --------------------------------------------------------------------------------

    def set_read_only(self, on: bool = True) -> None:
        """Neither users nor, on MySQL, administrators write any more."""
        self.sql(f"SET GLOBAL read_only = {on:d}")
        if self.kind is MYSQL:
            self.sql(f"SET GLOBAL super_read_only = {on:d}")

    def follow(self, primary: MySQL, *, delay: int = 0) -> None:
        """Replicate from there by GTIDs, read-only; each transaction `delay` seconds late."""
        user = "replicator"
        self.set_read_only()
        self.sql(self.kind.replicate, HOST, primary.port, user, PASSWORDS[user], delay)
        self.sql(self.kind.start_replica)
        self.wait_replicates()

    def promote(self) -> None:
        """Follow nobody any more, and take writes."""
        self.sql("STOP REPLICA")
        self.sql("RESET REPLICA ALL")
        self.set_read_only(on=False)

    def wait_replicates(self) -> None:
        wait_until(self.replicates, f"{self.name} replicates\n{self.log()}")

    def replicates(self) -> bool:
        """Whether its lag is known, and so both threads run."""
        return self.replication().get(self.kind.lag) is not None

    def replication(self) -> dict[str, Any]:
        """The row of the server's replication, empty if it follows nobody."""
        with self.connect(cursorclass=pymysql.cursors.DictCursor) as connection:
            cursor = connection.cursor()
            cursor.execute(self.kind.replica_status)
            return dict(cursor.fetchone() or {})

    # --- configuration ------------------------------------------------------------------------

    def configure(self, **settings: object) -> None:
        """Settings that count from the next start on; None: one without a value."""
        with self._settings.open("a") as file:
            for name, value in settings.items():
                file.write(name.replace("_", "-") + ("" if value is None else f" = {value}") + "\n")

    def enable_tls(self, authority: Authority) -> None:
        """Serve TLS from the next start on."""
        if self.kind.without_tls:
            text = self._settings.read_text()
            self._settings.write_text(text.replace(self.kind.without_tls, ""))
        files = {"ssl_ca": authority.ca, "ssl_cert": authority.certificate}
        self.configure(**files, ssl_key=authority.key)

    # --- questions ----------------------------------------------------------------------------

    def connect(self, user: str = SUPERUSER, **options: Any) -> pymysql.connections.Connection[Any]:
        """A direct connection in autocommit."""
        options.setdefault("password", PASSWORDS[user].encode())
        options.setdefault("database", None if user == SUPERUSER else DATABASE)
        return pymysql.connect(
            host=HOST, port=self.port, user=user, autocommit=True, connect_timeout=10, **options
        )

    def sql(self, text: str, *values: object) -> list[Any]:
        """Run one statement as superuser; its rows."""
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(text, values or None)
            return list(cursor.fetchall())

    def value(self, text: str, *values: object) -> Any:
        """The first column of the first row."""
        return self.sql(text, *values)[0][0]

    def connections(self, user: str) -> list[int]:
        """The ids of a user's connections."""
        found = "SELECT id FROM information_schema.processlist WHERE user = %s ORDER BY id"
        return [row[0] for row in self.sql(found, user)]

    def end_connections(self, user: str) -> None:
        """End a user's connections as an administrator, so that who comes has what is set now."""
        for number in self.connections(user):
            with contextlib.suppress(pymysql.err.MySQLError):
                self.sql(f"KILL {number}")
        wait_until(lambda: not self.connections(user), f"the connections of {user} are gone")

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    # --- inside -------------------------------------------------------------------------------

    def _command(self) -> list[str]:
        program = self.kind.program()
        # Else it refuses to run as root, on loopback too.
        user = ["--user=root"] if os.getuid() == 0 else []
        base = program.parents[1]
        return [str(program), f"--defaults-file={self._settings}", f"--basedir={base}", *user]

    def _answers(self) -> bool:
        if not self.running:
            pytest.fail(f"{self.name} ended while it started:\n{self.log()}")
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True
