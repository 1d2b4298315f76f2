"""What the watchers make of objects and files: facts, or silence."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.agent_made import secret_files, settings_document
from tests.fake_api import FakeApi
from tests.waiting import until

from dbproxy.envelope import Envelope, GroupRef
from dbproxy.facts import Election
from dbproxy.kube import Kube
from dbproxy.settings import Credentials, Settings
from dbproxy.tasks import Tasks
from dbproxy.watch.config import ConfigWatch
from dbproxy.watch.credentials import CredentialsWatch
from dbproxy.watch.election import ElectionWatch, parse_election


class World:
    """An API server, a client of it, and what the watchers said."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.kube = Kube(api.cluster)
        self.tasks = Tasks()
        self.elections: list[Election] = []
        self.reads = 0
        self.reread = 3600.0
        self.problems: list[tuple[str, str]] = []
        self.settings: list[Settings] = []
        self.envelopes: list[Envelope] = []
        self.credentials: list[Credentials] = []

    def learn_problem(self, source: str, problem: str) -> None:
        self.problems.append((source, problem))

    def has_settings(self, count: int) -> bool:
        return len(self.settings) == count

    def count_read(self) -> None:
        self.reads += 1

    def watch_election(self) -> ElectionWatch:
        watch = ElectionWatch(self.elections.append, self.count_read)
        watch.reread = self.reread
        self.tasks.spawn(watch.follow_api(self.kube, "shop", "election"), "election")
        return watch


@pytest.fixture
async def world() -> AsyncIterator[World]:
    api = await FakeApi().start()
    world = World(api)
    yield world
    await world.tasks.close()
    await world.kube.close()
    await api.stop()


RANGE = "not a whole number from 0 to 999999999999999"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "the ConfigMap lacks writer and epoch"),
        ({"writer": "db-0"}, "the ConfigMap lacks epoch"),
        (
            {"writer": "db-0", "epoch": "-1"},
            f"epoch is '-1', {RANGE}",
        ),
        (
            {"writer": "db-0", "epoch": "1.5"},
            f"epoch is '1.5', {RANGE}",
        ),
        (
            {"writer": "db-0", "epoch": "٣"},
            f"epoch is '٣', {RANGE}",
        ),
    ],
)
def test_a_malformed_election_is_told(data: dict[str, str], message: str) -> None:
    assert parse_election("u", data) == Election("INVALID", "u", message=message)


def test_an_epoch_that_fits_no_status_is_malformed() -> None:
    assert parse_election("u", {"writer": "db-0", "epoch": "9" * 15}).epoch == 10**15 - 1
    assert parse_election("u", {"writer": "db-0", "epoch": "1" + "0" * 15}).state == "INVALID"
    assert parse_election("u", {"writer": "db-0", "epoch": "9" * 5000}).state == "INVALID"


def test_blanks_around_an_election_do_not_matter() -> None:
    found = parse_election("u", {"writer": " db-0\n", "epoch": "7\n"})
    assert found == Election("FOUND", "u", "db-0", 7)


async def test_an_election_is_followed_by_its_watch(world: World) -> None:
    world.api.put("configmaps", "election", {"writer": "db-0", "epoch": "1"})
    world.watch_election()
    await until(lambda: world.elections == [Election("FOUND", "uid", "db-0", 1)])
    world.api.put("configmaps", "election", {"writer": "db-1", "epoch": "2"})
    await until(lambda: world.elections[-1] == Election("FOUND", "uid", "db-1", 2))
    world.api.delete("configmaps", "election")
    await until(lambda: world.elections[-1].state == "NOT_FOUND")


async def test_an_election_that_cannot_be_read_is_unreachable(world: World) -> None:
    world.api.status = 403
    world.watch_election()
    await until(lambda: world.elections)
    assert world.elections[0] == Election("UNREACHABLE", message="403: not now")


async def test_a_doubt_reads_again_at_once(world: World) -> None:
    world.api.put("configmaps", "election", {"writer": "db-0", "epoch": "1"})
    watch = world.watch_election()
    await until(lambda: world.elections)
    watch.doubt()
    await until(lambda: any(url.endswith("/configmaps/election") for url in world.api.requests))


async def test_the_election_is_read_again_besides_the_watch(world: World) -> None:
    world.reread = 0.01
    world.api.put("configmaps", "election", {"writer": "db-0", "epoch": "1"})
    world.watch_election()
    await until(lambda: sum(url.endswith("/election") for url in world.api.requests) > 2)
    assert world.elections == [Election("FOUND", "uid", "db-0", 1)]


async def test_a_bookmark_proves_that_the_election_is_as_it_was(world: World) -> None:
    world.api.put("configmaps", "election", {"writer": "db-0", "epoch": "1"})
    watch = world.watch_election()
    await until(lambda: world.reads == 1)
    before = watch.read_at
    world.api.bookmark()
    await until(lambda: world.reads == 2)
    assert watch.read_at > before
    assert len(world.elections) == 1


def state(version: int, writer: str, uid: str = "uid") -> dict[str, Any]:
    meta = {"resourceVersion": str(version), "uid": uid}
    return {"metadata": meta, "data": {"writer": writer, "epoch": "1"}}


class Answers:
    """Answers of the API server, given to a watch in an order of the test's choice."""

    def __init__(self) -> None:
        self.elections: list[Election] = []
        self.watch = ElectionWatch(self.elections.append, lambda: None)

    def watched(self, value: dict[str, Any] | None) -> None:
        self.watch.learn(value, "election")

    def named(self) -> list[str]:
        return [election.writer or election.state for election in self.elections]


@pytest.mark.parametrize("uid", ["uid", "former"])
def test_of_two_answers_the_older_object_is_no_news(uid: str) -> None:
    answers = Answers()
    answers.watched(state(8, "db-1"))
    answers.watched(state(7, "db-0", uid))
    assert answers.named() == ["db-1"]


def test_a_read_that_began_before_the_news_does_not_take_it_back() -> None:
    answers = Answers()
    begun = answers.watch.learnt
    answers.watched(state(8, "db-1"))
    answers.watch.learn(None, "election", begun)
    answers.watch.learn(state(7, "db-0"), "election", begun)
    assert answers.named() == ["db-1"]


def test_a_read_of_now_counts_whatever_its_version() -> None:
    """As after the API server's own restore from a backup."""
    answers = Answers()
    answers.watched(state(800, "db-1"))
    answers.watch.learn(state(7, "db-0", "restored"), "election", answers.watch.learnt)
    assert answers.named() == ["db-1", "db-0"]


async def test_settings_are_followed_and_a_deletion_changes_nothing(world: World) -> None:
    watch = ConfigWatch(world.settings.append, world.learn_problem, world.envelopes.append)
    world.tasks.spawn(watch.follow_api(world.kube, "shop", "orders-config"), "settings")
    for revision in (1, 2):
        text = json.dumps(settings_document(revision=revision))
        world.api.put("configmaps", "orders-config", {"settings.json": text})
        await until(partial(world.has_settings, revision))
    world.api.delete("configmaps", "orders-config")
    world.api.put("configmaps", "orders-config", {"settings.json": "{"})
    await until(lambda: world.problems[-1] == ("api", "settings.json: is not JSON (line 1)"))
    assert [settings.revision for settings in world.settings] == [1, 2]


async def test_of_settings_in_another_format_it_is_told_whose_they_are(world: World) -> None:
    watch = ConfigWatch(world.settings.append, world.learn_problem, world.envelopes.append)
    world.tasks.spawn(watch.follow_api(world.kube, "shop", "orders-config"), "settings")
    where = {"name": "orders-db", "uid": "group-uid"}
    text = json.dumps(settings_document(formatVersion=2, listeners="others", reportTo=where))
    world.api.put("configmaps", "orders-config", {"settings.json": text})
    await until(lambda: world.envelopes)
    (envelope,) = world.envelopes
    assert (envelope.proxy.name, envelope.report_to) == ("orders", GroupRef(**where))
    assert world.problems[-1] == (
        "api",
        "settings.json: formatVersion: is 2; this proxy reads 1",
    )


async def test_older_files_that_are_right_do_not_end_a_fault_of_newer_text(
    world: World, tmp_path: Path
) -> None:
    watch = ConfigWatch(world.settings.append, world.learn_problem, world.envelopes.append)
    world.tasks.spawn(watch.follow_api(world.kube, "shop", "orders-config"), "settings")
    world.api.put("configmaps", "orders-config", {"settings.json": "{"})
    await until(lambda: world.problems)
    (tmp_path / "settings.json").write_text(json.dumps(settings_document(revision=1)))
    world.tasks.spawn(watch.follow_files(tmp_path), "files")
    await until(partial(world.has_settings, 1))
    assert world.problems[-1] == ("file", "")
    assert ("api", "") not in world.problems


async def test_an_object_that_lost_its_key_is_told(world: World) -> None:
    watch = ConfigWatch(world.settings.append, world.learn_problem, world.envelopes.append)
    world.tasks.spawn(watch.follow_api(world.kube, "shop", "orders-config"), "settings")
    text = json.dumps(settings_document(revision=1))
    world.api.put("configmaps", "orders-config", {"settings.json": text})
    await until(partial(world.has_settings, 1))
    world.api.put("configmaps", "orders-config", {"other": "x"})
    lost = ("api", "settings.json: is missing in the ConfigMap")
    await until(lambda: world.problems[-1] == lost)
    world.api.put("configmaps", "orders-config", {"settings.json": text})
    await until(lambda: world.problems[-1] == ("api", ""))


async def test_credentials_are_followed(world: World) -> None:
    watch = CredentialsWatch(world.credentials.append, world.learn_problem)
    world.tasks.spawn(watch.follow_api(world.kube, "shop", "orders-config"), "credentials")
    data = {name: base64.b64encode(text).decode() for name, text in secret_files().items()}
    world.api.put("secrets", "orders-config", data)
    await until(lambda: world.credentials)
    assert world.credentials[0].file.users[0].name == "app"
    world.api.put("secrets", "orders-config", data | {"tls.key": "bm9uc2Vuc2U="})
    await until(lambda: "not a certificate" in world.problems[-1][1])
    world.api.put("secrets", "orders-config", {"tls.crt": data["tls.crt"]})
    await until(lambda: "credentials.json: is missing" in world.problems[-1][1])
    assert len(world.credentials) == 1
