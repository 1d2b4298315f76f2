"""What a client leaves behind is ended by KILL QUERY on a connection of the proxy's own."""

from __future__ import annotations

import contextlib
import socket

import pymysql
import pytest
from pymysql.constants import COMMAND
from tests.fix_mysql_proxy import MySQLProxy
from tests.mysql_servers import MySQL
from tests.servers import wait_until

SLEEP = "SELECT SLEEP(600)"


def running(server: MySQL) -> int:
    """How many clients sleep in the server."""
    text = "SELECT count(*) FROM information_schema.processlist WHERE info = %s"
    return int(server.value(text, SLEEP))


def vanishes_in_its_sleep(proxy: MySQLProxy, server: MySQL, user: str) -> None:
    client: pymysql.connections.Connection[pymysql.cursors.Cursor] = proxy.client(user)
    client._execute_command(COMMAND.COM_QUERY, SLEEP)
    wait_until(lambda: running(server) == 1, "the statement runs")
    client._sock.shutdown(socket.SHUT_RDWR)
    client._force_close()


@pytest.mark.parametrize("user", ["app", "legacy"])
def test_a_statement_that_nobody_waits_for_is_ended_and_its_connection_used_again(
    mysql_proxy: MySQLProxy, mysql: MySQL, user: str
) -> None:
    before = mysql_proxy.metric("dbproxy_database_cancels_failed_total")
    vanishes_in_its_sleep(mysql_proxy, mysql, user)
    wait_until(lambda: running(mysql) == 0, "the statement is ended")
    assert mysql_proxy.metric("dbproxy_database_cancels_failed_total") == before
    # No later statement is struck.
    for _ in range(5):
        with contextlib.closing(mysql_proxy.client(user)) as client:
            cursor = client.cursor()
            cursor.execute("SELECT SLEEP(0.05)")
            assert cursor.fetchone() == (0,)
