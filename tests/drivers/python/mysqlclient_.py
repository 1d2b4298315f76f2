"""mysqlclient, over MariaDB Connector/C."""

import mysql_work as sql
import MySQLdb
import MySQLdb.cursors
import MySQLdb.release
from mysql_dbapi import work


def connect() -> MySQLdb.Connection:
    return MySQLdb.connect(database=sql.DATABASE, **sql.WHERE)


work(
    f"mysqlclient {MySQLdb.release.__version__}",
    connect,
    MySQLdb.ProgrammingError,
    {"cursorclass": MySQLdb.cursors.SSCursor},
)
