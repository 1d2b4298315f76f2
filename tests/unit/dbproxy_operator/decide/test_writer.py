"""The writer as status tells it: against the election, pod by pod, and the floor that it leaves."""

from typing import Any

import pytest
from tests.composed import stored
from tests.resources import Object, group

from dbproxy_operator import spec
from dbproxy_operator.decide import writer as writers
from dbproxy_operator.decide.writer import Heard, WriterState
from dbproxy_operator.desired.config import Served
from dbproxy_operator.observe.reports import AcknowledgedReport, Report, WriterReport

ELECTED = {"writerElection": {"configMapRef": {"name": "election"}}}
TWO = {"targets": [{"name": "db-0", "host": "a"}, {"name": "db-1", "host": "b"}]}
NOW = "2026-01-01T00:00:00Z"
EARLIER = "2025-12-31T00:00:00Z"


def said(
    pod: str,
    target: str = "db-0",
    epoch: int = 7,
    *,
    held: bool = False,
    reason: str = "",
    uid: str = "e",
    acknowledged: AcknowledgedReport | None = None,
) -> Report:
    message = f"{reason} it says" if reason else ""
    writer = WriterReport(target, uid, epoch, not held, reason, message)
    return Report(pod, writer=writer, acknowledged=acknowledged)


def acked(epoch: int, uid: str = "e", *, unconfirmed: bool = False) -> AcknowledgedReport:
    return AcknowledgedReport(uid, epoch, unconfirmed)


def election(writer: str = "db-0", epoch: str | None = "7", uid: str = "e") -> Object:
    data = {"writer": writer} | ({"epoch": epoch} if epoch is not None else {})
    return {"metadata": {"uid": uid}, "data": data}


def floor(target: str = "db-0", epoch: int = 7, uid: str = "e") -> Object:
    return {"target": target, "uid": uid, "epoch": epoch, "since": EARLIER}


def judge(
    *reports: Report,
    elected: Object | None = None,
    before: Object | None = None,
    mirror: Object | None = None,
    by_sql: bool = False,
    running: dict[str, Report | None] | None = None,
) -> WriterState:
    made = group(**TWO, **({} if by_sql else ELECTED))
    obj = stored(made, "g") | {"status": {"writer": mirror} if mirror else {}}
    heard = Heard(reports, {r.pod: r for r in reports} if running is None else running)
    return writers.judge(obj, spec.parse_target_group(made), heard, elected, before, NOW)


def test_the_writer_is_known_if_every_pod_serves_the_elected_one_at_its_epoch() -> None:
    found = judge(said("a"), said("b"), elected=election())
    assert (found.known, found.message) == (True, "the writer is db-0")
    assert found.floor == {"target": "db-0", "uid": "e", "epoch": 7, "since": NOW}


def test_two_pods_with_two_writers_at_one_epoch_are_told_by_name() -> None:
    found = judge(said("a"), said("b", "db-1"), elected=election())
    assert (found.known, found.reason) == (False, "NotObeyed")
    assert found.message.startswith("b: serves db-1 with epoch 7, although the election names db-0")


def test_pods_at_different_epochs_are_told_by_name() -> None:
    found = judge(said("a"), said("b", "db-1", 8), elected=election("db-1", "8"))
    assert (found.known, found.reason) == (False, "NotObeyed")
    assert found.message.startswith("a: serves db-0 with epoch 7, although the election names db-1")


def test_pods_that_hear_of_no_election_any_more_are_told_by_name() -> None:
    pods = [said(pod) for pod in "abcde"]
    found = judge(*pods, elected=election("db-1", "8"), before=floor())
    assert (found.known, found.reason) == (False, "NotObeyed")
    assert found.message.startswith("a, b, c and 2 more: serves db-0 with epoch 7")
    assert found.floor is not None
    assert (found.floor["target"], found.floor["epoch"]) == ("db-1", 8)


def test_a_pod_that_waits_for_sql_is_told_by_name() -> None:
    found = judge(said("a"), said("b", held=True), elected=election())
    assert (found.known, found.reason) == (False, "NotConfirmed")
    assert found.message.startswith("b: ")


@pytest.mark.parametrize("reason", ["WriterDisagrees", "MonitorRefused", "Unconfirmed"])
@pytest.mark.parametrize("held", [True, False])
def test_a_pod_with_a_reason_of_its_own_is_told_with_it(reason: str, held: bool) -> None:
    found = judge(said("a"), said("b", held=held, reason=reason), elected=election())
    assert (found.known, found.reason) == (False, reason)
    assert found.message.startswith(f"b: {reason} it says: ")


@pytest.mark.parametrize("elected", [election(), None])
def test_whose_log_in_the_monitor_uses_is_told(elected: Object | None) -> None:
    held = said("a", held=True, reason="MonitorRefused", uid="e" if elected else "", epoch=7)
    found = judge(held, elected=elected, by_sql=elected is None)
    assert found.reason == "MonitorRefused"
    assert found.message.endswith("the password of the first Secret of the DBProxy's spec.auth")


def test_a_reason_that_nobody_knows_is_none() -> None:
    assert judge(said("a", reason="EVIL"), elected=election()).known


def test_a_pod_that_serves_another_writer_is_the_worst() -> None:
    pods = [said("a", "db-1"), said("b", held=True), said("c", held=True)]
    assert judge(*pods, elected=election()).reason == "NotObeyed"


def test_the_floor_is_what_was_read_whatever_the_pods_say() -> None:
    liar = said("a", "db-1", 10**14)
    found = judge(liar, said("b"), elected=election(), before=floor(epoch=6))
    assert found.floor == {"target": "db-0", "uid": "e", "epoch": 7, "since": NOW}
    assert found.record is not None
    assert found.record["epoch"] == 7


@pytest.mark.parametrize(
    "mirror",
    [
        {"target": "db-1", "uid": "e", "epoch": 10**18, "since": NOW},
        {"target": "db-1", "uid": "e", "epoch": 7, "since": NOW},
        {"target": "db-1", "uid": "x", "epoch": "nonsense"},
    ],
)
def test_a_hostile_status_changes_nothing(mirror: Object) -> None:
    found = judge(said("a"), elected=election(), before=floor(), mirror=mirror)
    assert found == judge(said("a"), elected=election(), before=floor())
    assert found.floor == floor()


def test_the_floor_never_falls_within_one_election() -> None:
    found = judge(said("a", epoch=8), elected=election("db-1", "7"), before=floor(epoch=8))
    assert (found.known, found.reason, found.floor) == (False, "EpochFell", floor(epoch=8))


def test_an_election_that_contradicts_its_epoch_is_told_and_leaves_the_floor() -> None:
    found = judge(said("a"), elected=election("db-1", "7"), before=floor())
    assert (found.known, found.reason, found.floor) == (False, "ElectionInvalid", floor())
    assert found.message == "epoch 7 named 'db-0' before, now 'db-1': raise the epoch"


FAULTY: dict[str, tuple[Object | None, str]] = {
    "is missing": (None, "ElectionNotFound"),
    "has no epoch": (election(epoch=None), "ElectionInvalid"),
    "has an epoch that is no number": (election(epoch="seven"), "ElectionInvalid"),
    "has an epoch beyond the range": (election(epoch="1" + "0" * 15), "ElectionInvalid"),
    "has a writer with an endless name": (election("x" * 64, "8"), "ElectionInvalid"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_an_election_that_cannot_be_read_leaves_the_floor(fault: str) -> None:
    elected, reason = FAULTY[fault]
    found = judge(said("a"), elected=elected, before=floor())
    assert (found.known, found.reason, found.floor) == (False, reason, floor())
    assert judge(said("a"), elected=elected).floor is None


@pytest.mark.parametrize(("writer", "reason"), [("", "NoWriter"), ("db-9", "UnknownWriter")])
def test_a_risen_epoch_without_a_known_writer_raises_the_floor(writer: str, reason: str) -> None:
    found = judge(said("a"), elected=election(writer, "8"), before=floor())
    assert (found.known, found.reason) == (False, reason)
    assert found.floor is not None
    assert (found.floor["target"], found.floor["epoch"]) == (writer, 8)


def test_another_object_becomes_the_floor_once_every_pod_obeys_it() -> None:
    new = election("db-1", "1", uid="new")
    follower = said("a", "db-1", 1, uid="new")
    waiting = said("b", reason="WriterDisagrees")
    found = judge(follower, waiting, elected=new, before=floor())
    assert (found.known, found.reason, found.floor) == (False, "WriterDisagrees", floor())
    found = judge(follower, said("b", "db-1", 1, uid="new"), elected=new, before=floor())
    assert found.known
    assert found.floor == {"target": "db-1", "uid": "new", "epoch": 1, "since": NOW}


def test_the_record_is_the_composed_config_map_of_this_very_group() -> None:
    obj = stored(group(), "g")
    told = {"uid": "g", "writerFloor": floor()}
    served = Served(settings={"targetGroup": told}, credentials={}, files={})
    assert writers.former_floor(served, obj) == floor()
    assert writers.former_floor(served, stored(group(), "other")) is None
    assert writers.former_floor(Served({}, {}, {}), obj) is None


@pytest.mark.parametrize(
    "change", [{"epoch": 10**15}, {"epoch": -1}, {"epoch": "7"}, {"uid": None}, {"since": 7}]
)
def test_a_record_that_was_edited_into_nonsense_is_none(change: Object) -> None:
    told = {"uid": "g", "writerFloor": floor() | change}
    served = Served(settings={"targetGroup": told}, credentials={}, files={})
    assert writers.former_floor(served, stored(group(), "g")) is None


def acknowledgement(*said_of: AcknowledgedReport | None, silent: bool = False) -> dict[str, Any]:
    """What status says when pods named a, b, … acknowledged these, besides one that is silent."""
    pods = [said("abc"[at], acknowledged=one) for at, one in enumerate(said_of)]
    running: dict[str, Report | None] = {pod.pod: pod for pod in pods}
    if silent:
        running["silent"] = None
    found = judge(*pods, elected=election(epoch="8"), before=floor(epoch=8), running=running)
    assert found.record is not None
    fields = ("acknowledged", "acknowledgedEpoch", "unconfirmed")
    return {field: found.record[field] for field in fields if field in found.record}


def test_an_epoch_is_acknowledged_when_every_pod_that_runs_has_done_so() -> None:
    assert acknowledgement(acked(8), acked(8)) == {"acknowledged": True, "acknowledgedEpoch": 8}


def test_a_pod_that_is_behind_leaves_the_epoch_that_all_have_acknowledged() -> None:
    assert acknowledgement(acked(8), acked(7)) == {"acknowledged": False, "acknowledgedEpoch": 7}


@pytest.mark.parametrize("other", [None, acked(8, "former")])
def test_a_pod_without_a_word_on_this_election_acknowledges_nothing(
    other: AcknowledgedReport | None,
) -> None:
    assert acknowledgement(acked(8), other) == {"acknowledged": False}


def test_a_silent_pod_that_runs_acknowledges_nothing() -> None:
    assert acknowledgement(acked(8), silent=True) == {"acknowledged": False}


def test_a_pod_that_could_not_make_sure_is_named() -> None:
    found = acknowledgement(acked(8), acked(8, unconfirmed=True))
    assert found == {"acknowledged": False, "unconfirmed": ["b"]}


def test_without_any_pod_nothing_is_acknowledged() -> None:
    assert acknowledgement() == {"acknowledged": False}


def by_sql(*reports: Report, mirror: Object | None = None) -> WriterState:
    return judge(*reports, mirror=mirror, by_sql=True)


def asked(pod: str, target: str = "db-0", *, held: bool = False, reason: str = "") -> Report:
    return said(pod, target, 0, uid="", held=held, reason=reason)


def test_without_election_the_writer_is_known_if_every_pod_has_the_same() -> None:
    found = by_sql(asked("a"), asked("b"))
    assert (found.known, found.floor) == (True, None)
    assert found.record is not None
    assert found.record["target"] == "db-0"


def test_without_election_pods_that_disagree_are_told_by_name() -> None:
    found = by_sql(asked("a"), asked("b"), asked("c", "db-1"))
    assert (found.known, found.reason) == (False, "PodsDisagree")
    assert found.message.startswith("c don't have db-0")
    assert found.record is not None
    assert found.record["target"] == "db-0"


def test_without_election_a_writer_that_is_no_target_has_no_vote() -> None:
    found = by_sql(asked("a"), asked("b", "evil"))
    assert (found.known, found.reason) == (False, "PodsDisagree")
    assert found.record is not None
    assert found.record["target"] == "db-0"
    assert not by_sql(asked("b", "evil")).known


def test_without_election_a_pod_that_has_no_writer_is_told_by_name() -> None:
    found = by_sql(asked("a"), asked("b", held=True, reason="MultipleWriters"))
    assert (found.known, found.reason) == (False, "MultipleWriters")
    assert found.message.startswith("b: ")


@pytest.mark.parametrize("reason", ["NoWriter", "MultipleWriters", "MonitorRefused"])
def test_without_election_why_no_writer_is_known_is_told(reason: str) -> None:
    found = by_sql(asked("a", "", held=True, reason=reason))
    assert (found.known, found.reason) == (False, reason)


def test_without_election_the_moment_of_the_change_is_kept() -> None:
    mirror = {"target": "db-0", "uid": "", "epoch": 0, "since": EARLIER}
    found = by_sql(asked("a"), mirror=mirror)
    assert found.record is not None
    assert found.record["since"] == EARLIER
    moved = by_sql(asked("a", "db-1"), mirror=mirror)
    assert moved.record is not None
    assert moved.record["since"] == NOW


def test_silence_is_not_an_answer() -> None:
    assert judge(elected=election()).reason == "NoReport"
    assert by_sql().reason == "NoReport"
