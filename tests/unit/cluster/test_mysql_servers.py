"""The servers of MySQL and MariaDB that tests start: they leave each other alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fix_mysql import MySQLFactory

pytestmark = pytest.mark.xdist_group("mysql")


def test_a_server_that_starts_leaves_the_tables_of_anothers_queries(
    make_mysql: MySQLFactory,
) -> None:
    folder = Path(make_mysql().value("SELECT @@tmpdir"))
    table = folder / "#sql-temptable-1-1-1.MAD"
    table.touch()
    make_mysql("db-1")
    assert table.exists()
    table.unlink()
