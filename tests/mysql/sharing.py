"""A proxy of few connections, so that clients of a script get each other's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from tests.certificates import Authority
from tests.fix_mysql_proxy import MySQLProxy, MySQLProxyFactory
from tests.mysql_servers import Kind, MySQL


@contextlib.contextmanager
def few_connections(
    kind: Kind, server: MySQL, authority: Authority, objects: Iterable[str]
) -> Iterator[MySQLProxy]:
    """The proxy, over a server in which these are created: what stands behind CREATE."""
    server.sql("SET GLOBAL log_bin_trust_function_creators = 1")
    with contextlib.closing(server.connect(database="app")) as connection:
        for what in objects:
            connection.cursor().execute(f"CREATE {what}")
    factory = MySQLProxyFactory(kind, authority)
    try:
        proxy = factory(server)
        proxy.write_pool(maxConnectionsPercent=8, maxIdleConnectionsPercent=8)
        proxy.wait_config()
        yield proxy
    finally:
        factory.close()
