"""The demo with MySQL believes the database, not the load: what was told must be there, once."""

import json
from typing import Any

import pytest
from examples.databases import Flip
from examples.demo_mysql import MySQL
from tests.cluster.node.console import StepError

FLIP = Flip(began=10.0, done=12.0)
BOOKS: dict[str, Any] = {
    "acknowledged": 7,
    "retried": 2,
    "unknown": 1,
    "unknown_but_there": 1,
    "reconnected": 1,
    "lost": [],
    "twice": [],
    "undone": [],
    "told": {"1213": 2},
    "moments": [9.0, 10.5, 13.0, 13.5],
}


def output(**changes: Any) -> str:
    return f"a line of something else\n{json.dumps(BOOKS | changes)}\n"


def test_tells_what_the_load_found_and_how_long_nothing_was_written() -> None:
    told = MySQL().told(FLIP, output())
    assert "7 transactions were acknowledged" in told.summary
    assert "No transaction ended for 2.50 s" in told.summary
    assert "took the demo 2.00 s; the first transaction came\n1.00 s after that" in told.summary
    assert "moments" not in told.report


@pytest.mark.parametrize("fault", ["lost", "twice", "undone"])
def test_fails_where_the_database_has_not_what_clients_were_told(fault: str) -> None:
    with pytest.raises(StepError, match="has not what clients were told"):
        MySQL().told(FLIP, output(**{fault: [[1, 2]]}))


@pytest.mark.parametrize("text", ["", "Traceback: no such host\n"])
def test_fails_where_the_load_did_not_finish(text: str) -> None:
    with pytest.raises(StepError, match="did not finish"):
        MySQL().told(FLIP, text)
