"""What the probe makes of answers that no MySQL server here gives, those of groups among them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dbproxy.facts import Probe, ServerFacts
from dbproxy.probe.engines import mysql as mysql_module
from dbproxy.probe.engines.base import ProbeSpec
from dbproxy.probe.engines.mysql import MySQLProbe
from dbproxy.probe.engines.mysql_session import Session

WRITER: dict[str, str | None] = {
    "read_only": "0",
    "super_read_only": "0",
    "innodb_read_only": "0",
    "max_connections": "100",
    "server": "an-uuid",
    "gtid": "a:1-5,\nb:1",
    "group_name": "",
    "defaults": "42",
}


# As the group's own channels look on a member where nothing is wrong.
GROUP_CHANNEL: dict[str, str | None] = {
    "channel_name": "group_replication_applier",
    "replica_io_running": "No",
    "replica_sql_running": "Yes",
    "seconds_behind_source": None,
}


class Answers(Session):
    """A session that a script answers, query by query."""

    def __init__(self, spec: ProbeSpec, script: Mapping[str, list[dict[str, str | None]]]) -> None:
        super().__init__(spec)
        self._script = script
        self.version = "8.0.33"

    async def open(self, entry: object) -> None:
        self.address = "127.0.0.1:1"

    async def rows(self, query: str) -> list[dict[str, str | None]]:
        for part, answer in self._script.items():
            if part in query:
                return answer
        return []

    async def leave(self) -> None:
        return


async def answered(monkeypatch: pytest.MonkeyPatch, **rows: dict[str, str | None]) -> Probe:
    group = "replication_group_members"
    parts = {"ask": "@@global.read_only", "channel": "SHOW REPLICA", "member": group}
    script = {parts[name]: [row] for name, row in rows.items()}
    monkeypatch.setattr(mysql_module, "Session", lambda spec: Answers(spec, script))
    spec = ProbeSpec("db", "127.0.0.1", 1, "u", ("p",), "DISABLED", None)
    return await MySQLProbe(spec).ask(["127.0.0.1:1"])


async def test_a_whole_answer_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ServerFacts(False, 100, 0, None, None, "42:", "8.0.33", "an-uuid", "a:1-5,b:1")
    found = await answered(monkeypatch, ask=WRITER)
    assert (found.state, found.message, found.server) == ("OK", "", server)


@pytest.mark.parametrize("switch", ["read_only", "super_read_only", "innodb_read_only"])
async def test_whatever_keeps_a_server_from_writing_makes_it_no_writer(
    monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    found = await answered(monkeypatch, ask=WRITER | {switch: "1"})
    assert found.server is not None
    assert found.server.in_recovery


@pytest.mark.parametrize("most", ["-1", str(2**31), "", None])
async def test_a_number_of_connections_that_cannot_be_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, most: str | None
) -> None:
    found = await answered(monkeypatch, ask=WRITER | {"max_connections": most})
    assert (found.state, found.reason) == ("FAILED", "CONNECTION_FAILED")


@pytest.mark.parametrize(
    ("state", "role", "read_only", "fault", "in_recovery"),
    [
        ("ONLINE", "PRIMARY", "0", "", False),
        ("ONLINE", "SECONDARY", "1", "", True),
        ("ONLINE", "SECONDARY", "0", "", True),
        ("RECOVERING", "SECONDARY", "1", "in its replication group it is RECOVERING", True),
        ("ERROR", "", "1", "in its replication group it is ERROR", True),
        ("OFFLINE", "", "0", "in its replication group it is OFFLINE", False),
    ],
)
async def test_a_member_of_a_group_is_what_its_group_says(
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    role: str,
    read_only: str,
    fault: str,
    in_recovery: bool,
) -> None:
    row = WRITER | {"group_name": "a-group", "read_only": read_only}
    member: dict[str, str | None] = {"member_state": state, "member_role": role}
    found = await answered(monkeypatch, ask=row, member=member, channel=GROUP_CHANNEL)
    assert found.server is not None
    assert found.server.in_recovery == in_recovery
    assert found.message == fault
    assert found.reason == ("INVALID_REPLICATION_STATE" if fault else "")
    assert found.decisive == bool(fault)


async def test_a_groups_own_channels_are_no_stopped_replication(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = WRITER | {"super_read_only": "1"}
    found = await answered(monkeypatch, ask=row, channel=GROUP_CHANNEL)
    assert found.state == "OK"
    stopped = GROUP_CHANNEL | {"channel_name": "other"}
    found = await answered(monkeypatch, ask=row, channel=stopped)
    assert found.message.startswith("its replication by channel other has stopped (io thread: ")
