"""A load for MySQL and MariaDB, as pgbench is one for PostgreSQL; the demo runs it in a pod.

Every transaction leaves a row with its client and number, so that at the end the database itself
can say whether it has what clients were told: each acknowledged one once, and none that was undone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from typing import Any

import pymysql

ACCOUNTS, TELLERS, BRANCHES = 10_000, 20, 2
# Told to who may simply try again: a transaction that was undone, and one that was not let write.
UNDONE = (1213, 1205, 1290, 1792)
TABLES = (
    "DROP TABLE IF EXISTS accounts, tellers, branches, history",
    "CREATE TABLE branches (id INT PRIMARY KEY, balance INT NOT NULL DEFAULT 0)",
    "CREATE TABLE tellers (id INT PRIMARY KEY, balance INT NOT NULL DEFAULT 0)",
    "CREATE TABLE accounts (id INT PRIMARY KEY, balance INT NOT NULL DEFAULT 0)",
    "CREATE TABLE history (id INT AUTO_INCREMENT PRIMARY KEY, client INT, number INT, delta INT)",
)


def connect() -> pymysql.connections.Connection[Any]:
    """A connection through the proxy, its certificate verified."""
    return pymysql.connect(
        host=os.environ["MYSQL_HOST"],
        user="app",
        password=os.environ["MYSQL_PWD"].encode(),
        database="shop",
        ssl={"ca": "/ca/ca.crt"},
        autocommit=True,
        connect_timeout=30,
    )


class Client(threading.Thread):
    """One client, which writes until its time is over."""

    def __init__(self, name: int, end: float) -> None:
        super().__init__()
        self.number = name
        self.end = end
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self.moments: list[float] = []
        self.retried = self.reconnected = 0
        self.told: dict[str, int] = {}
        self._connection = connect()

    def run(self) -> None:
        serial = 0
        while time.time() < self.end:
            serial += 1
            while not self.tried(serial):
                pass

    def tried(self, serial: int) -> bool:
        """Whether this transaction's outcome is settled, or never will be known."""
        committing = False
        try:
            cursor = self._connection.cursor()
            self.write(cursor, serial)
            committing = True
            self._connection.commit()
        except pymysql.err.MySQLError as error:
            code = int(error.args[0]) if error.args else 0
            self.told[f"{code} {error.args[1:]}"] = self.told.get(f"{code} {error.args[1:]}", 0) + 1
            if code in UNDONE:
                self.retried += 1
                self.undo()
                return False
            self.connect_again()
            if committing:
                self.unknown.append(serial)
            return committing
        self.acknowledged.append(serial)
        self.moments.append(time.time())
        return True

    def write(self, cursor: Any, serial: int) -> None:
        delta = random.randint(-5_000, 5_000)
        account, teller = random.randint(1, ACCOUNTS), random.randint(1, TELLERS)
        branch = random.randint(1, BRANCHES)
        self._connection.begin()
        change = "UPDATE {} SET balance = balance + %s WHERE id = %s"
        cursor.execute(change.format("accounts"), (delta, account))
        cursor.execute("SELECT balance FROM accounts WHERE id = %s", account)
        cursor.execute(change.format("tellers"), (delta, teller))
        cursor.execute(change.format("branches"), (delta, branch))
        row = (self.number, serial, delta)
        cursor.execute("INSERT INTO history (client, number, delta) VALUES (%s, %s, %s)", row)

    def undo(self) -> None:
        try:
            self._connection.rollback()
        except pymysql.err.MySQLError:
            self.connect_again()

    def connect_again(self) -> None:
        self.reconnected += 1
        self._connection.close() if self._connection.open else None
        while True:
            try:
                self._connection = connect()
            except pymysql.err.MySQLError:
                time.sleep(0.05)
            else:
                return


def fill() -> None:
    connection = connect()
    cursor = connection.cursor()
    for statement in TABLES:
        cursor.execute(statement)
    for table, rows in (("accounts", ACCOUNTS), ("tellers", TELLERS), ("branches", BRANCHES)):
        ids = [(number + 1,) for number in range(rows)]
        # In this form the driver makes few statements of them, of many rows each.
        cursor.executemany(f"INSERT INTO {table} (id) VALUES (%s)", ids)


def run(clients: int, seconds: float) -> dict[str, Any]:
    end = time.time() + seconds
    workers = [Client(number, end) for number in range(clients)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("SELECT client, number, count(*) FROM history GROUP BY client, number")
    found = {(client, number): times for client, number, times in cursor.fetchall()}
    acknowledged = {(one.number, serial) for one in workers for serial in one.acknowledged}
    unknown = {(one.number, serial) for one in workers for serial in one.unknown}
    told: dict[str, int] = {}
    for one in workers:
        for text, times in one.told.items():
            told[text] = told.get(text, 0) + times
    return {
        "acknowledged": len(acknowledged),
        "retried": sum(one.retried for one in workers),
        "unknown": len(unknown),
        "unknown_but_there": len(unknown & found.keys()),
        "reconnected": sum(one.reconnected for one in workers),
        "lost": sorted(acknowledged - found.keys()),
        "twice": sorted(key for key, times in found.items() if times > 1),
        "undone": sorted(found.keys() - acknowledged - unknown),
        "told": told,
        "moments": sorted(moment for one in workers for moment in one.moments),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fill", "run"])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    if arguments.what == "fill":
        fill()
    else:
        json.dump(run(arguments.clients, arguments.seconds), sys.stdout)
        print()


if __name__ == "__main__":
    main()
