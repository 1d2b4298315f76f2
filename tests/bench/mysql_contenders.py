"""What is measured before MySQL or MariaDB: the server itself, and this proxy. `mysql_plan` starts
them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pymysql
from tests.bench.contenders import DBPROXY, USER, Contender, OurProxy
from tests.certificates import Authority
from tests.fix_mysql_proxy import MySQLProxy
from tests.mysql_servers import DATABASE, PASSWORDS, MySQL
from tests.servers import HOST

# All of it is the pool's; direct clients, and our probes, have what the pool of a run leaves.
MAX_CONNECTIONS = 400


class OfMySQL(Contender):
    """Something before MySQL, or MySQL itself."""

    def answers(self) -> bool:
        try:
            connection = pymysql.connect(
                host=HOST,
                port=self.port,
                user=USER,
                password=PASSWORDS[USER].encode(),
                database=DATABASE,
                connect_timeout=20,
            )
        except pymysql.err.OperationalError:
            return False
        with contextlib.closing(connection):
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))


class MySQLDirect(OfMySQL):
    """The server with nothing before it; it outlives its contender."""

    pid = None

    def __init__(self, server: MySQL, name: str) -> None:
        self.name = name
        self.port = server.port

    def close(self) -> None:
        pass


class MySQLDBProxy(OurProxy, OfMySQL):
    """This proxy before MySQL or MariaDB."""

    name = DBPROXY

    def __init__(self, server: MySQL, authority: Authority, pool: int) -> None:
        home = Path(tempfile.mkdtemp(prefix="dbproxy-bench-"))
        proxy = MySQLProxy(server.kind, home, [server], authority)
        super().__init__(proxy, pool, MAX_CONNECTIONS)
