"""Servers of the tests leave nothing on the machine that outlives them."""

import os
import pwd
from pathlib import Path

import pytest
from tests.fix_postgres import PostgresFactory
from tests.servers import wait_until


def segments() -> set[str]:
    """The System V segments of the database's user that this process can see."""
    user = str(pwd.getpwnam("postgres").pw_uid)
    rows = [row.split() for row in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[7] == user}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make namespaces")
def test_a_killed_server_leaves_no_segment_of_the_machines_few(
    make_postgres: PostgresFactory,
) -> None:
    before = segments()
    server = make_postgres("db-0")
    server.kill9()
    # Another worker's initdb has some for a moment.
    wait_until(lambda: segments() <= before, "none is left")
