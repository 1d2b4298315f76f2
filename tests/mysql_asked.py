"""MySQL and MariaDB servers asked by the agent's probe, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.mysql_servers import PASSWORDS, MySQL
from tests.waiting import DEADLINE

from dbproxy.facts import Probe, ServerFacts
from dbproxy.probe.engines.base import ProbeSpec
from dbproxy.probe.engines.mysql import MySQLProbe


def spec_of(server: MySQL, **changes: object) -> ProbeSpec:
    spec = ProbeSpec(
        name=server.name,
        host="127.0.0.1",
        port=server.port,
        user="monitor",
        passwords=(PASSWORDS["monitor"],),
        tls_mode="DISABLED",
        ca=None,
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


async def ask(spec: ProbeSpec) -> Probe:
    probe = MySQLProbe(spec)
    try:
        return await probe.ask([f"127.0.0.1:{spec.port}"])
    finally:
        await probe.close()


async def told(server: MySQL) -> ServerFacts:
    """What a server says that there is nothing wrong with."""
    found = await ask(spec_of(server))
    if (found.state, found.message) != ("OK", "") or found.server is None:
        pytest.fail(f"{found}\n{server.log()}")
    return found.server


async def asked_until(expected: Callable[[Probe], bool], server: MySQL) -> Probe:
    """The first answer that is as expected: what a server does by itself takes it a while."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE
    probe = MySQLProbe(spec_of(server))
    try:
        while not expected(found := await probe.ask([f"127.0.0.1:{server.port}"])):
            if loop.time() > end:
                pytest.fail(f"not within {DEADLINE:g} s as expected: {found}\n{server.log()}")
            await asyncio.sleep(0.02)
        return found
    finally:
        await probe.close()
