"""How long a change of writer lasts: from the epoch that names another to the first write there.

Both servers take writes all the time, so that no promotion is in it: what is measured is the
proxy's own part. `plan` calls it; no peer has anything like it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from tests.bench.load import LoadError
from tests.certificates import Authority
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy
from tests.servers import DEADLINE

FLIPS = 10
TABLE = "CREATE TABLE flips (id serial PRIMARY KEY); GRANT ALL ON flips, flips_id_seq TO app"
WRITE = "INSERT INTO flips DEFAULT VALUES RETURNING current_setting('port')::int"


def changes(make_postgres: PostgresFactory, authority: Authority) -> Iterator[float]:
    """Seconds that each of some changes took, for a client that writes on and on."""
    with ExitStack() as stack:
        servers = [make_postgres(f"db-{number}") for number in range(2)]
        for server in servers:
            server.psql(TABLE)
        home = Path(tempfile.mkdtemp(prefix="dbproxy-bench-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        proxy = Proxy(home, servers, authority)
        stack.callback(proxy.close)
        proxy.start()
        client = stack.enter_context(proxy.connect())
        for number in range(1, FLIPS + 1):
            new = servers[number % 2]
            began = time.monotonic()
            proxy.elect(new.name)
            _write_there(client, new.port, began + DEADLINE)
            yield time.monotonic() - began
            proxy.wait_acknowledged()


def _write_there(client: psycopg.Connection[Any], port: int, deadline: float) -> None:
    """Write until the server at this port has it; a write that the change strikes says so."""
    while time.monotonic() < deadline:
        try:
            row = client.execute(WRITE).fetchone()
        except psycopg.errors.SerializationFailure:
            continue
        if row == (port,):
            return
    raise LoadError(f"no write reached the new writer in {DEADLINE} s")
