"""What examples/mysql shows, in a namespace of its own: MySQL with a replica, two proxy pods."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.fix_cluster import Cluster, RefusedError, eventually, fresh_namespace
from tests.fix_orders import DATABASES, Orders, example

PASSWORD = "app-of-the-example"
BARE = ("--batch", "--skip-column-names")


class MySQLOrders(Orders):
    """The proxy `orders` before MySQL: databases and clients are asked by `mysql`."""

    def on(self, database: str, sql: str) -> str:
        """What a database itself answers, asked by its superuser."""
        server = ("--socket=/tmp/mysql.sock", "--user=root", "--database=shop")
        return self.cluster.kubectl(
            "exec", database, "--", "mysql", *server, *BARE, f"--execute={sql}"
        ).strip()

    def ask(self, sql: str, **environment: str) -> str:
        """What `mysql` gets in the client's pod, whose environment says where and who."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        return self.in_client("env", *settings, "mysql", *BARE, f"--execute={sql}").strip()

    def reached(self) -> bool:
        try:
            self.ask("SELECT 1")
        except RefusedError as refusal:
            return "ERROR 1" in str(refusal)
        return True

    def role(self, database: str) -> str:
        """`primary`, `standby`, or nothing while it does not answer."""
        try:
            return {"0": "primary", "1": "standby"}[self.on(database, "SELECT @@read_only")]
        except (RefusedError, KeyError):
            return ""

    def switch(self) -> str:
        """Make the replica the writer, with everything that was written; its name."""
        old, new = self.others()
        self.elect(new)
        self.on(old, "SET GLOBAL super_read_only = 1")
        written = self.on(old, r"SELECT REPLACE(@@global.gtid_executed, '\n', '')")
        assert self.on(new, f"SELECT WAIT_FOR_EXECUTED_GTID_SET('{written}', 30)") == "0"
        self.cluster.kubectl("exec", new, "--", "sh", "/scripts/promote.sh")
        return new


def open_mysql_orders(cluster: Cluster) -> MySQLOrders:
    orders = MySQLOrders(cluster)
    name = orders.name
    first = ("10-secrets", "20-mysql", "40-election")
    cluster.apply(*(one for part in first for one in example(name, f"mysql/{part}.yaml")))
    cluster.kubectl("rollout", "status", "statefulset/db", "--timeout=200s", seconds=210)
    began = time.monotonic()
    cluster.apply(*example(name, "mysql/30-dbproxy.yaml"), *example(name, "mysql/50-client.yaml"))
    orders.ready("dbproxy/orders", "dbptg/orders-db", "dbproxyendpoint/orders-readonly")
    orders.timing.ready = time.monotonic() - began
    orders.ready("pod/client")
    eventually(orders.reached, "the node knows the proxy's Service")
    eventually(
        lambda: all(orders.health(one)[0] == "AVAILABLE" for one in DATABASES),
        "both targets are available",
    )
    return orders


@pytest.fixture(scope="module")
def mysql_orders(operator: Cluster) -> Iterator[MySQLOrders]:
    with fresh_namespace(operator, "my") as fresh:
        yield open_mysql_orders(fresh)
