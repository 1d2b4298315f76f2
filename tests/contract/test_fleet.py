"""A small fleet on a real API server: what the operator asks of it, and what it never does.

The bench (`make bench-operator`) asks the same of 500 proxies, and prints how long all took.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.bench.fleet.__main__ import at_rest
from tests.bench.fleet.measure import NAMESPACE, Fleet
from tests.bench.fleet.programs import operator, player
from tests.bench.fleet.server import ApiServer, ServerError, send
from tests.cluster.node import paths

from dbproxy_operator.act.apply import NOT_THERE

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (paths.BINARIES / "kube-apiserver").exists(), reason="needs the node's own programs"
    ),
]
PROXIES = 6
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    with ApiServer(tmp_path) as server:
        async with server.session() as session:
            await server.ready(session)
            with player(server, tmp_path), operator(server, tmp_path) as measured:
                await measured.started()
                made = Fleet(session, measured)
                await made.begin()
                yield made


async def test_a_fleet_becomes_ready_and_rests(fleet: Fleet) -> None:
    names = [f"p-{number}" for number in range(PROXIES)]
    await fleet.apply(names)
    await at_rest(fleet.operator)
    before = await fleet.operator.counted()
    assert before.calls < 150 * PROXIES
    _, woken = await fleet.foreign_secrets(300)
    assert woken <= 1
    _, passes = await fleet.calls_and_passes(5)
    assert passes < 1
    assert await fleet.flap(names[:2], 5) <= 1.2
    await fleet.full_status(names[0], 50)
    assert fleet.operator.memory("VmHWM") < 256


async def test_a_create_never_changes_an_object_that_is_there(fleet: Fleet) -> None:
    """What `act.apply` relies on: a version that no object has makes an apply a create."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "1"}}
    wanted = {**body, "metadata": {"name": "mine", "resourceVersion": NOT_THERE}}
    made = await send(fleet.session, "PATCH", f"{CONFIG_MAPS}/mine", wanted, manager="a")
    assert [one["operation"] for one in made["metadata"]["managedFields"]] == ["Apply"]
    other = {**wanted, "data": {"y": "2"}}
    with pytest.raises(ServerError, match="409"):
        await send(fleet.session, "PATCH", f"{CONFIG_MAPS}/mine", other, manager="b")
