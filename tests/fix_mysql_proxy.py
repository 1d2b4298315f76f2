"""The proxy in front of MySQL and MariaDB: the same object, with users and a driver of theirs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from tests.certificates import Authority
from tests.fix_proxy import Document, Proxy
from tests.mysql_servers import DATABASE, MARIADB, PASSWORDS, Kind, MySQL
from tests.servers import HOST

# By which plugin a user's clients log in to the proxy; MariaDB's clients know no caching_sha2.
METHODS = {"app": "MYSQL_CACHING_SHA2_PASSWORD", "legacy": "MYSQL_NATIVE_PASSWORD"}


class MySQLProxy(Proxy):
    """One proxy over servers of one kind."""

    family = "MYSQL"
    passwords = PASSWORDS

    def __init__(self, kind: Kind, home: Path, servers: list[MySQL], authority: Authority) -> None:
        self.kind = kind
        super().__init__(home, servers, authority)

    def _first_users(self) -> list[Document]:
        methods = METHODS | ({"signed": "MARIADB_CLIENT_ED25519"} if self.kind is MARIADB else {})
        return [
            {"name": user, "password": PASSWORDS[user], "clientPasswordAuthType": method}
            for user, method in methods.items()
        ]

    def client(
        self, user: str = "app", *, read_only: bool = False, **options: Any
    ) -> pymysql.connections.Connection[Any]:
        """A connection in autocommit."""
        options.setdefault("password", PASSWORDS.get(user, "").encode())
        options.setdefault("database", DATABASE)
        options.setdefault("autocommit", True)
        port = self.ro_port if read_only else self.port
        return pymysql.connect(host=HOST, port=port, user=user, connect_timeout=20, **options)


class MySQLProxyFactory:
    """Makes proxies, and ends them all when it is closed."""

    def __init__(self, kind: Kind, authority: Authority) -> None:
        self._kind = kind
        self._authority = authority
        self._proxies: list[MySQLProxy] = []

    def __call__(self, *servers: MySQL, start: bool = True, **settings: Any) -> MySQLProxy:
        home = Path(tempfile.mkdtemp(prefix="dbproxy-proxy-"))
        proxy = MySQLProxy(self._kind, home, list(servers), self._authority)
        self._proxies.append(proxy)
        if settings:
            proxy.write_settings(**settings)
        if start:
            proxy.start()
        return proxy

    def close(self) -> None:
        for proxy in self._proxies:
            proxy.close()


@pytest.fixture
def make_mysql_proxy(mysql_kind: Kind, authority: Authority) -> Iterator[MySQLProxyFactory]:
    """Proxies for one test, which may do with them as it likes."""
    factory = MySQLProxyFactory(mysql_kind, authority)
    try:
        yield factory
    finally:
        factory.close()


@pytest.fixture(scope="module")
def mysql_proxy(mysql_kind: Kind, mysql: MySQL, authority: Authority) -> Iterator[MySQLProxy]:
    """A proxy over the module's server for tests that leave it as they found it."""
    factory = MySQLProxyFactory(mysql_kind, authority)
    try:
        yield factory(mysql)
    finally:
        factory.close()
