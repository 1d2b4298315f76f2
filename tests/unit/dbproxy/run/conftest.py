"""What all tests of the agent's loop have in common."""

from __future__ import annotations

import pytest
from tests.waiting import DEADLINE

from dbproxy.probe.engines import standing
from dbproxy.tell import report


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that answers late is no fault here, nor an API server: the machine is busy."""
    monkeypatch.setattr(standing, "CONNECT_DEADLINE", DEADLINE)
    monkeypatch.setattr(standing, "QUERY_DEADLINE", DEADLINE)
    monkeypatch.setattr(report, "FAREWELL", DEADLINE)
