"""Several pods on one PostgreSQL, with clients that want more than there is: the limit holds.

The pods are real agents with real engines, which agree through an API server in memory; what the
operator would publish, the test does. A superuser counts in pg_stat_activity.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.agent_made import credentials_document, group_document, secret_files, settings_document
from tests.fake_api import FakeApi
from tests.fix_postgres import PostgresFactory
from tests.servers import PASSWORDS, Postgres, free_port
from tests.waiting import until

from dbproxy.dataplane import start_engine
from dbproxy.decide.budget import share
from dbproxy.kube import Kube
from dbproxy.run.agent import Agent
from dbproxy.run.options import Options
from dbproxy.tasks import Tasks
from dbproxy.tell import report
from dbproxy.tell.health import Health

# Of the test servers' 50 connections, 3 of which are reserved; and what three pods have of them.
USABLE = 47
LIMIT = 3 * share(USABLE, 100, 3)
OPENED = """SELECT count(*) FROM pg_stat_activity
  WHERE usename = 'app' AND application_name NOT LIKE 'dbproxy %'"""
Connection = psycopg.AsyncConnection[Any]


class Pod:
    """One pod as it comes, serves and goes."""

    def __init__(self, name: str, home: Path, api: FakeApi) -> None:
        self.name = name
        self.port = free_port()
        self.home = home / name
        self.home.mkdir()
        self.health, self.tasks, self.kube = Health(), Tasks(), Kube(api.cluster)
        self._api = api
        options = Options(self.home, None, "127.0.0.1", 200, 1, name, self.kube, start_engine)
        self.agent = Agent(options, self.health, self.tasks)

    def start(self) -> None:
        self.tasks.spawn(self.agent.run(), "agent")

    async def leave(self) -> None:
        """As SIGTERM makes it, once its endpoints have settled."""
        await self.agent.drain()
        await until(lambda: self.clients == 0, f"the clients of {self.name} leave")
        await self.agent.leave()
        await self.tasks.close()
        await self.kube.close()

    @property
    def clients(self) -> int:
        return self.agent.dataplane.clients() if self.agent.dataplane else 0

    @property
    def part(self) -> int:
        entries = self._api.reports.get(f"dbproxy/{self.name}", [])
        return int(entries[0].get("budgetDivisor", 0)) if entries else 0

    def has(self, divisor: int) -> bool:
        """It serves, and says that it has no more than this part."""
        return self.part == divisor and not self.health.unready()

    async def connect(self) -> Connection:
        return await Connection.connect(
            host="127.0.0.1", port=self.port, user="app", dbname="app", autocommit=True,
            password=PASSWORDS["app"], sslmode="disable", prepare_threshold=None,
        )  # fmt: skip

    async def pinned(self, count: int) -> list[Connection]:
        """Sessions that keep their connection to the database until they end."""
        sessions = [await self.connect() for _ in range(count)]
        for session in sessions:
            await session.execute("CREATE TEMP TABLE mine (id int)")
        return sessions


class Fleet:
    """The pods, their settings, and how many connections the server ever saw."""

    def __init__(self, home: Path, server: Postgres, api: FakeApi) -> None:
        self.home, self.server, self.api = home, server, api
        self.pods: dict[str, Pod] = {}
        self.most = 0
        self.refused: list[str] = []
        self.running: list[asyncio.Task[None]] = []
        self._revision = 1
        self._divisor = 3

    def begin(self, *names: str) -> Iterator[Pod]:
        for name in names:
            pod = self.pods[name] = Pod(name, self.home, self.api)
            self._write(pod)
            pod.start()
            yield pod

    def publish(self, divisor: int) -> None:
        self._revision, self._divisor = self._revision + 1, divisor
        for pod in self.pods.values():
            self._write(pod)

    async def leave(self, name: str) -> None:
        await self.pods[name].leave()
        del self.pods[name]

    def crowd(self, *pods: Pod) -> None:
        """More clients in each pod than its part allows to work at once."""
        clients = (pod for pod in pods for _ in range(20))
        self.running += [asyncio.create_task(self.use(pod)) for pod in clients]

    async def use(self, pod: Pod) -> None:
        """A client without mercy; it goes when it is told that its pod does."""
        try:
            async with await pod.connect() as connection:
                while True:
                    async with connection.transaction():
                        await connection.execute("SELECT 1")
                        await asyncio.sleep(0.01)
        except psycopg.errors.TooManyConnections as error:
            self.refused.append(str(error))
        except psycopg.OperationalError:
            return

    async def count(self) -> None:
        async with await Connection.connect(self.server.dsn(), autocommit=True) as connection:
            while True:
                row = await (await connection.execute(OPENED)).fetchone()
                self.most = max(self.most, row[0] if row else 0)
                await asyncio.sleep(0.005)

    def _write(self, pod: Pod) -> None:
        target = {"name": "db-0", "host": "127.0.0.1", "port": self.server.port}
        settings = settings_document(
            revision=self._revision,
            secretRevision=1,
            budgetDivisor=self._divisor,
            listeners=[{"name": "orders", "port": pod.port, "targetRole": "READ_WRITE"}],
            targetGroup=group_document(targets=[target], writerElection=None),
        )
        users = [{"name": "app", "password": PASSWORDS["app"]}]
        monitor = {"name": "monitor", "password": PASSWORDS["monitor"]}
        document = credentials_document(revision=1, users=users, monitor=monitor)
        files = secret_files() | {
            "credentials.json": json.dumps(document).encode(),
            "settings.json": json.dumps(settings).encode(),
        }
        for name, content in files.items():
            fresh = pod.home / f".{name}"
            fresh.write_bytes(content)
            fresh.replace(pod.home / name)


@pytest.fixture
async def fleet(
    tmp_path: Path, make_postgres: PostgresFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Fleet]:
    """Two pods that have their parts."""
    monkeypatch.setattr(report, "APART", 0.05)
    monkeypatch.setattr(report, "LOOK_FOR_ROOM", 0.05)
    api = await FakeApi().start()
    fleet = Fleet(tmp_path, make_postgres("db-0"), api)
    fleet.running.append(asyncio.create_task(fleet.count()))
    for pod in fleet.begin("a", "b"):
        await until(partial(pod.has, 3), f"{pod.name} has its part")
    yield fleet
    for task in fleet.running:
        task.cancel()
    await asyncio.gather(*fleet.running, return_exceptions=True)
    for name in list(fleet.pods):
        await fleet.leave(name)
    await api.stop()


async def test_a_replaced_pod_amid_a_rollout_waits_and_the_limit_holds(fleet: Fleet) -> None:
    """Nobody publishes anything meanwhile, as if the operator were away."""
    fleet.crowd(*fleet.pods.values())
    (surge,) = fleet.begin("surge")
    await until(partial(surge.has, 3), "there is a part for the surge")
    async with await fleet.pods["a"].connect() as busy, busy.transaction():
        await busy.execute("SELECT 1")
        leaving = asyncio.create_task(fleet.leave("a"))
        await until(lambda: fleet.pods["a"].part > 3, "it gives back what it needs no more")
        (late,) = fleet.begin("late")
        await until(lambda: late.part > 3, "it begins with what there is")
        assert all(fleet.pods[name].part == 3 for name in ("b", "surge"))
        fleet.crowd(surge, late)
        await until(lambda: fleet.most > 2 * share(USABLE, 100, 3), "all are busy")
    await leaving
    await until(partial(late.has, 3), "it has the whole part once the other is gone")
    assert fleet.most <= LIMIT
    assert fleet.refused == []


async def test_pods_that_are_added_find_pinned_sessions_in_their_way(fleet: Fleet) -> None:
    first, second = fleet.pods["a"], fleet.pods["b"]
    fleet.crowd(second)
    sessions = await first.pinned(8)
    fleet.publish(11)
    await until(partial(second.has, 11), "the other one gives back its connections")
    assert 3 <= first.part < 11
    added = list(fleet.begin("c", "d", "e"))
    for pod in added:
        await until(partial(pod.has, 11), "there is room for some")
    assert fleet.most <= LIMIT
    assert first.part < 11, "pinned sessions keep what they have"
    for session in sessions:
        await session.close()
    await until(partial(first.has, 11), "all is given back once they ended")
    assert fleet.refused == []


async def test_with_no_room_left_a_pod_opens_nothing(fleet: Fleet) -> None:
    fleet.crowd(*fleet.pods.values())
    (surge,) = fleet.begin("surge")
    await until(partial(surge.has, 3), "there is a part for the surge")
    (extra,) = fleet.begin("extra")
    asked = len(fleet.api.patches)
    await until(lambda: len(fleet.api.patches) > asked + 5, "it asks for one")
    assert extra.health.unready()
    assert extra.agent.dataplane is None
    probes = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dbproxy extra'"
    assert fleet.server.value(probes) == 0, "not even a probe"
    assert fleet.most <= LIMIT
