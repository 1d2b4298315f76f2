"""PyMySQL."""

import mysql_work as sql
import pymysql
from mysql_dbapi import work


def connect() -> pymysql.Connection:
    return pymysql.connect(database=sql.DATABASE, **sql.WHERE)


work(
    f"PyMySQL {pymysql.VERSION_STRING}",
    connect,
    pymysql.ProgrammingError,
    {"cursor": pymysql.cursors.SSCursor},
)
