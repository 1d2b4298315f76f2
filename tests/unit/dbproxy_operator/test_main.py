"""How the operator's program ends."""

import asyncio
from pathlib import Path

import pytest

from dbproxy_operator.__main__ import _watch
from dbproxy_operator.run.metrics import Metrics
from dbproxy_operator.run.queue import Queue
from dbproxy_operator.run.settings import from_environment
from dbproxy_operator.run.users import Users


async def test_a_signal_that_came_before_kopf_listened_ends_it(
    silent_cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(silent_cluster))
    named = {"PROXY_IMAGE": "proxy", "POD_NAMESPACE": "system", "POD_NAME": "operator-0"}
    metrics = Metrics(lambda: 0.0, lambda: 0)
    stop, queue = asyncio.Event(), Queue(asyncio.get_running_loop().time)
    stop.set()
    async with asyncio.timeout(30):
        await _watch(from_environment(named), queue, Users(), metrics, stop)
