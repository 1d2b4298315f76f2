"""The agent's loop on real PostgreSQL servers, with an engine that only remembers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from tests.agent_made import credentials_document, group_document, secret_files, settings_document
from tests.fake_engine import FakeEngine
from tests.fix_postgres import PostgresFactory
from tests.servers import PASSWORDS, Postgres
from tests.waiting import until

from dbproxy.dataplane import EngineOptions
from dbproxy.decide import pairing
from dbproxy.kube import Kube
from dbproxy.run.agent import Agent
from dbproxy.run.options import Options
from dbproxy.tasks import Tasks
from dbproxy.tell.health import Health


class Running:
    """An agent with its files."""

    def __init__(self, directory: Path, servers: list[Postgres]) -> None:
        self.config_dir = directory / "config"
        self.election_dir = directory / "election"
        self.config_dir.mkdir()
        self.election_dir.mkdir()
        self.engine = FakeEngine()
        self.health = Health()
        self.tasks = Tasks()
        self.revision = 0
        self.targets = [
            {"name": server.name, "host": "127.0.0.1", "port": server.port} for server in servers
        ]
        self.agent: Agent | None = None
        self.workers: int | None = None
        self.kube: Kube | None = None
        self.engine_options: EngineOptions | None = None

    def configure(self, group: dict[str, Any] | None = None, **changes: Any) -> None:
        self.revision += 1
        changes = {"budgetDivisor": 1} | changes
        changes |= {"revision": self.revision, "secretRevision": 0}
        changes["targetGroup"] = group_document(targets=self.targets, **(group or {}))
        self.write("settings.json", json.dumps(settings_document(**changes)).encode())

    def credentials(self, **changes: Any) -> None:
        self.revision += 1
        users = [{"name": "app", "password": PASSWORDS["app"]}]
        monitor = {"name": "monitor", "password": PASSWORDS["monitor"]}
        changes = {"users": users, "monitor": monitor, "revision": self.revision} | changes
        files = secret_files() | {
            "credentials.json": json.dumps(credentials_document(**changes)).encode()
        }
        for name, content in files.items():
            self.write(name, content)

    def write(self, name: str, content: bytes) -> None:
        fresh = self.config_dir / f".{name}"
        fresh.write_bytes(content)
        fresh.replace(self.config_dir / name)

    def elect(self, writer: str, epoch: int | str) -> None:
        """The epoch last: only with it does the new writer count."""
        for name, text in (("writer", writer), ("epoch", str(epoch))):
            fresh = self.election_dir / f".{name}"
            fresh.write_text(text)
            fresh.replace(self.election_dir / name)

    async def start(self) -> None:
        options = Options(
            config_dir=self.config_dir,
            election_dir=self.election_dir,
            listen_address="127.0.0.1",
            max_clients=100,
            workers=self.workers,
            pod="pod-0",
            kube=self.kube,
            start_engine=self.start_engine,
            pod_address="127.0.0.1",
        )
        self.agent = Agent(options, self.health, self.tasks)
        self.tasks.spawn(self.agent.run(), "agent")

    def start_engine(self, options: EngineOptions) -> FakeEngine:
        self.engine_options = options
        return self.engine

    async def stop(self) -> None:
        if self.agent is not None:
            await self.agent.leave()
        await self.tasks.close()

    @property
    def writer(self) -> tuple[str, int, bool] | None:
        return self.engine.writers[-1] if self.engine.snapshots else None

    def target(self, name: str) -> dict[str, Any]:
        return next(target for target in self.engine.now["targets"] if target["name"] == name)

    def metric(self, name: str, **labels: str) -> float | None:
        assert self.agent is not None
        return self.agent.metrics.registry.get_sample_value(name, labels)

    def asked(self, target: str) -> float:
        """How many probes of a target were answered."""
        return self.metric("dbproxy_probes_total", target=target, result="OK") or 0.0


@pytest.fixture
async def pair(
    tmp_path: Path, make_postgres: PostgresFactory
) -> AsyncIterator[tuple[Running, Postgres, Postgres]]:
    """An agent over a primary and its replica, by an election that names the primary."""
    primary = make_postgres("db-0")
    replica = make_postgres.replica_of(primary, "db-1")
    running = Running(tmp_path, [primary, replica])
    running.credentials()
    running.configure()
    running.elect("db-0", 7)
    await running.start()
    await until(lambda: running.writer == ("db-0", 7, True), "the writer opens")
    await until(lambda: running.target("db-1")["available"], "the replica is available")
    yield running, primary, replica
    await running.stop()


Pair = tuple[Running, Postgres, Postgres]


async def test_the_targets_are_found_with_role_size_and_address(pair: Pair) -> None:
    running, primary, _ = pair
    assert running.target("db-0") == {
        "name": "db-0",
        "addresses": [f"127.0.0.1:{primary.port}"],
        "server_name": "127.0.0.1",
        "role": "READ_WRITE",
        "available": True,
        "max_connections": 45,
        "max_idle": 22,
        "min_idle": 0,
        "defaults": ANY,
    }
    assert running.target("db-1")["role"] == "READ_ONLY"


@pytest.mark.parametrize(
    ("asked", "cpus", "workers"),
    [
        pytest.param(None, 4, 3, id="one-cpu-is-left-to-front-and-agent"),
        pytest.param(None, 1, 1, id="one-at-least"),
        pytest.param(None, 64, 11, id="a-quarter-of-the-connections-at-most"),
        pytest.param(7, 4, 7, id="as-many-as-asked-for"),
    ],
)
async def test_the_engine_gets_the_workers_that_suit(
    tmp_path: Path,
    make_postgres: PostgresFactory,
    monkeypatch: pytest.MonkeyPatch,
    asked: int | None,
    cpus: int,
    workers: int,
) -> None:
    monkeypatch.setattr("dbproxy.run.beginning.available_cpus", lambda: cpus)
    running = Running(tmp_path, [make_postgres("db-0")])
    running.workers = asked
    running.credentials()
    running.configure()
    running.elect("db-0", 1)
    await running.start()
    try:
        await until(lambda: running.writer == ("db-0", 1, True), "the writer opens")
        assert running.target("db-0")["max_connections"] == 45
        assert running.engine_options is not None
        assert running.engine_options.workers == workers
    finally:
        await running.stop()


async def test_a_flip_cuts_first_and_opens_the_promoted_replica(pair: Pair) -> None:
    running, _, replica = pair
    await asyncio.to_thread(replica.promote)
    running.elect("db-1", 8)
    await until(lambda: running.writer == ("db-1", 8, True), "the new writer opens")
    assert ("db-1", 8, False) in running.engine.writers
    await until(
        lambda: running.metric("dbproxy_writer_acknowledged_epoch") == 8,
        "acknowledged",
    )


async def test_the_old_writer_hears_nothing_between_rise_and_acknowledgement(pair: Pair) -> None:
    running, primary, _ = pair
    running.engine._drains_at_once = False
    running.elect("db-1", 8)
    await until(lambda: running.writer == ("db-1", 8, False), "the old writer is cut")
    asked, others = running.asked("db-0"), running.asked("db-1")
    await until(lambda: primary.backends("monitor") == 0, "no probe is connected any more")
    await until(
        lambda: running.asked("db-1") > others + 3,
        "the new writer is asked again and again",
    )
    assert running.asked("db-0") == asked
    running.engine.emit(event="writer_drained", target="db-0", epoch=8, unconfirmed=False)
    await until(
        lambda: running.asked("db-0") > asked,
        "the former writer is asked again",
    )


async def test_a_database_that_is_down_is_held_and_opened_again_when_it_is_back(
    pair: Pair,
) -> None:
    running, primary, _ = pair
    await asyncio.to_thread(primary.stop)
    running.engine.emit(event="writer_doubted", target="db-0", reason="broken")
    await until(lambda: running.writer == ("db-0", 7, False), "the writer is held")
    await until(
        lambda: running.metric("dbproxy_target_state", target="db-0", state="UNAVAILABLE") == 1,
        "it is unavailable",
    )
    await asyncio.to_thread(primary.start)
    await until(lambda: running.writer == ("db-0", 7, True), "the writer opens again")


async def test_a_probe_connection_that_was_ended_is_opened_again_unnoticed(pair: Pair) -> None:
    running, primary, _ = pair
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'monitor'"
    await asyncio.to_thread(primary.psql, ends)
    asked = running.asked("db-0")
    running.engine.emit(event="writer_doubted", target="db-0", reason="broken")
    await until(
        lambda: running.asked("db-0") > asked,
        "it is asked again",
    )
    assert running.metric("dbproxy_probes_total", target="db-0", result="FAILED") == 0
    assert running.writer == ("db-0", 7, True)


async def test_a_broken_revision_changes_nothing_and_is_told(pair: Pair) -> None:
    running, _, _ = pair
    before = running.engine.now
    running.write("settings.json", b'{"formatVersion": 1, "revision": 99}')
    await until(lambda: running.metric("dbproxy_config_problem") == 1, "the problem is told")
    assert running.engine.now == before
    running.configure(idleClientTimeout=77)
    await until(
        lambda: running.engine.now["limits"]["idle_client_timeout_ms"] == 77_000, "it heals"
    )
    await until(lambda: running.metric("dbproxy_config_problem") == 0, "the problem is gone")


async def test_a_revision_that_the_engine_refuses_is_taken_back(pair: Pair) -> None:
    running, _, _ = pair
    running.engine.refuse = "the certificate is not one"
    running.configure(idleClientTimeout=77)
    await until(
        lambda: running.metric("dbproxy_snapshots_total", result="refused") == 1, "it is refused"
    )
    running.engine.refuse = ""
    running.elect("db-0", 8)
    await until(lambda: running.metric("dbproxy_writer_epoch") == 8, "the old one is obeyed on")
    assert running.engine.now["limits"]["idle_client_timeout_ms"] == 1_800_000
    assert running.metric("dbproxy_config_problem") == 1


async def test_a_listener_that_cannot_open_is_tried_again(
    tmp_path: Path, make_postgres: PostgresFactory
) -> None:
    running = Running(tmp_path, [make_postgres()])
    running.engine.busy = "port 15432 is in use"
    running.credentials()
    running.configure(group={"writerElection": None})
    await running.start()
    await until(
        lambda: running.metric("dbproxy_snapshots_total", result="listener_unavailable"),
        "it fails",
    )
    assert running.health.unready() == "no snapshot is applied yet"
    running.engine.busy = ""
    await until(lambda: not running.health.unready(), "it is tried again")
    await running.stop()


async def test_settings_wait_for_the_credentials_that_they_need(
    tmp_path: Path, make_postgres: PostgresFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "PATIENCE", 0.05)
    running = Running(tmp_path, [make_postgres()])
    running.credentials(revision=4)
    document = settings_document(secretRevision=5, targetGroup=None)
    running.write("settings.json", json.dumps(document).encode())
    await running.start()
    await until(lambda: running.metric("dbproxy_config_problem") == 1, "it is told")
    assert running.engine.snapshots == []
    running.credentials(revision=5)
    await until(lambda: running.engine.snapshots, "the pair is applied")
    await running.stop()


async def test_without_election_the_only_writer_is_used(
    tmp_path: Path, make_postgres: PostgresFactory
) -> None:
    primary = make_postgres("db-0")
    running = Running(tmp_path, [primary, make_postgres.replica_of(primary, "db-1")])
    running.credentials()
    running.configure(group={"writerElection": None})
    await running.start()
    await until(lambda: running.writer == ("db-0", 1, True), "the writer is found")
    await running.stop()


async def test_a_writer_whose_host_is_changed_is_left_and_opened_at_the_new_one(pair: Pair) -> None:
    running, primary, replica = pair
    await asyncio.to_thread(replica.promote)
    asked = running.asked("db-0")
    moved = {"name": "db-0", "host": "127.0.0.1", "port": replica.port}
    running.targets = [moved]
    running.configure()
    await until(lambda: running.writer == ("db-0", 8, True), "the new place opens")
    assert None in running.engine.writers[1:]
    assert running.target("db-0")["addresses"] == [f"127.0.0.1:{replica.port}"]
    await until(lambda: running.asked("db-0") > asked, "the new place is asked")
    await until(lambda: primary.backends("monitor") == 0, "the old place is left")
