"""What all tests of the probes have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.scripted_server import Serve, scripted_servers
from tests.waiting import DEADLINE

from dbproxy.probe.engines import standing as standing_module


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers late is no fault here: the machine is busy."""
    monkeypatch.setattr(standing_module, "CONNECT_DEADLINE", DEADLINE)
    monkeypatch.setattr(standing_module, "QUERY_DEADLINE", DEADLINE)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Begins servers that play a script."""
    async with scripted_servers() as begin:
        yield begin
