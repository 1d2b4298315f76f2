"""Which pods the engine is told of."""

from __future__ import annotations

from typing import Any

from tests.agent_made import FLEET_SECRET, config_of
from tests.fake_engine import FakeEngine
from tests.waiting import until

from dbproxy.dataplane import Dataplane
from dbproxy.run.peers import Peers
from dbproxy.tasks import Tasks


def peers(*hosts: str, port: int = 15431) -> dict[str, Any]:
    return {"hosts": list(hosts), "port": port}


async def test_the_engine_meets_all_pods_but_its_own_and_follows_the_settings() -> None:
    engine, tasks = FakeEngine(), Tasks()
    dataplane = Dataplane(engine)
    found = Peers("10.0.0.1", tasks)
    hosts = ("10.0.0.2", "10.0.0.1")
    found.follow(config_of(peers=peers(*hosts)), dataplane)
    found.follow(config_of(peers=peers(*hosts)), dataplane)
    await until(lambda: engine.peers, "it is told")
    found.follow(config_of(peers=peers("10.0.0.3", port=7)), dataplane)
    await until(lambda: len(engine.peers) == 2, "it is told again")
    assert engine.peers == [
        {"fleet_secret": FLEET_SECRET, "port": 15431, "addresses": ["10.0.0.2"]},
        {"fleet_secret": FLEET_SECRET, "port": 7, "addresses": ["10.0.0.3"]},
    ]
    await tasks.close()


async def test_a_pod_that_nobody_can_find_looks_for_nobody() -> None:
    engine, tasks = FakeEngine(), Tasks()
    Peers(None, tasks).follow(config_of(peers=peers("10.0.0.2")), Dataplane(engine))
    assert engine.peers == []
    await tasks.close()
