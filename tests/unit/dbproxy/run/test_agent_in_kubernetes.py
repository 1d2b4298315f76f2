"""The agent and the API server: where it reports, and which configuration it goes on with."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.agent_made import group_document, secret_files, settings_document
from tests.fake_api import FakeApi
from tests.fake_engine import FakeEngine
from tests.waiting import until

from dbproxy.decide import pairing
from dbproxy.kube import Kube
from dbproxy.run.agent import Agent
from dbproxy.run.options import Options
from dbproxy.tasks import Tasks
from dbproxy.tell.health import Health


class Pod:
    """An agent with its mounted files and its API server."""

    def __init__(self, api: FakeApi, directory: Path) -> None:
        self.api = api
        self.directory = directory
        self.kube = Kube(api.cluster)
        self.tasks = Tasks()
        self.engine = FakeEngine()
        options = Options(
            config_dir=directory,
            election_dir=None,
            listen_address="127.0.0.1",
            max_clients=100,
            workers=1,
            pod="pod-0",
            kube=self.kube,
            start_engine=lambda _options: self.engine,
        )
        self.agent = Agent(options, Health(), self.tasks)

    def mount(self, **settings: Any) -> None:
        for name, content in secret_files().items():
            (self.directory / name).write_bytes(content)
        (self.directory / "settings.json").write_text(json.dumps(settings_document(**settings)))

    def publish(self, **settings: Any) -> None:
        text = json.dumps(settings_document(**settings))
        self.api.put("configmaps", "orders-config", {"settings.json": text})

    def publish_secret(self, **credentials: Any) -> None:
        files = secret_files(**credentials)
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        self.api.put("secrets", "orders-config", data)

    def start(self) -> None:
        self.tasks.spawn(self.agent.run(), "agent")

    @property
    def told(self) -> list[Any]:
        return [body for _, _, body in self.api.patches]

    @property
    def entry(self) -> dict[str, Any]:
        """What it reported last."""
        return dict(self.told[-1]["status"]["proxies"][0]) if self.told else {}


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Pod]:
    api = await FakeApi().start()
    pod = Pod(api, tmp_path)
    yield pod
    await pod.agent.leave()
    await pod.tasks.close()
    await pod.kube.close()
    await api.stop()


ELSEWHERE = {"name": "orders-db", "uid": "group-uid"}


async def test_a_pod_reports_also_while_its_group_is_not_served(pod: Pod) -> None:
    pod.mount(targetGroup=None, reportTo=ELSEWHERE)
    pod.start()
    await until(lambda: pod.entry.get("listeners"))
    assert pod.told[-1]["metadata"]["uid"] == "group-uid"
    assert (pod.entry["revision"], pod.entry["targets"]) == (10, [])


async def test_a_pod_reports_to_the_group_as_it_is_now_not_as_it_was_served(pod: Pod) -> None:
    served = group_document(name="former", uid="former-uid", targets=[])
    served["targets"] = [{"name": "db-0", "host": "127.0.0.1", "port": 1}]
    pod.mount(targetGroup=served, reportTo=ELSEWHERE)
    pod.start()
    await until(lambda: pod.entry.get("revision"))
    assert pod.told[-1]["metadata"]["name"] == "orders-db"


async def test_a_broken_object_leaves_in_force_what_was_and_says_why(pod: Pod) -> None:
    pod.mount(targetGroup=None, reportTo=ELSEWHERE)
    pod.start()
    await until(lambda: pod.entry.get("listeners"))
    pod.publish(revision=11, targetGroup=None, reportTo=ELSEWHERE, listeners="none")
    await until(lambda: pod.entry.get("problemReason") == "InvalidSettings")
    assert pod.entry["revision"] == 10
    pod.publish(revision=12, targetGroup=None, reportTo=ELSEWHERE)
    await until(lambda: (pod.entry["problem"], pod.entry["revision"]) == ("", 12))


async def test_a_pod_that_reads_no_such_format_says_which_it_reads_and_takes_that(
    pod: Pod,
) -> None:
    pod.mount(formatVersion=2, targetGroup="unknown", reportTo=ELSEWHERE)
    pod.start()
    await until(lambda: pod.entry.get("problemReason") == "InvalidSettings")
    assert (pod.entry["formatVersion"], pod.entry["budgetDivisor"]) == (1, 0)
    assert pod.told[-1]["metadata"]["uid"] == "group-uid"
    pod.publish_secret()
    pod.publish(revision=11, targetGroup=None, reportTo=ELSEWHERE)
    await until(lambda: pod.entry.get("revision") == 11)
    await until(lambda: pod.entry.get("listeners"))


async def test_a_pod_that_serves_goes_on_with_what_it_has_when_the_format_is_too_new(
    pod: Pod,
) -> None:
    pod.mount(targetGroup=None, reportTo=ELSEWHERE)
    pod.start()
    await until(lambda: pod.entry.get("listeners"))
    pod.publish(formatVersion=2, revision=11, reportTo=ELSEWHERE)
    await until(lambda: pod.entry.get("problemReason") == "InvalidSettings")
    assert (pod.entry["formatVersion"], pod.entry["revision"]) == (1, 10)


async def test_settings_that_wait_for_credentials_are_told_when_it_takes_long(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "PATIENCE", 0.05)
    pod.mount(targetGroup=None, reportTo=ELSEWHERE)
    pod.start()
    await until(lambda: pod.entry.get("listeners"))
    pod.publish(revision=11, secretRevision=11, targetGroup=None, reportTo=ELSEWHERE)
    await until(lambda: pod.entry.get("problemReason") == "WaitingForCredentials")
    pod.publish_secret(revision=11)
    await until(lambda: (pod.entry["problem"], pod.entry["revision"]) == ("", 11))
