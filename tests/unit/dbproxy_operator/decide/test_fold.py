"""What all pods report, folded: majorities, the writer, the credibility of an epoch."""

from typing import Any

import pytest
from tests.composed import stored
from tests.resources import group

from dbproxy_operator import spec
from dbproxy_operator.decide import fold
from dbproxy_operator.observe.reports import LoginReport, Report, TargetReport, WriterReport

ELECTED = {"writerElection": {"configMapRef": {"name": "election"}}}
TWO = {"targets": [{"name": "db-0", "host": "a"}, {"name": "db-1", "host": "b"}]}
NOW = "2026-01-01T00:00:00Z"


def target(
    pod: str, state: str = "AVAILABLE", reason: str = "", role: str = "READ_WRITE"
) -> Report:
    return Report(pod, targets=(TargetReport("db-0", role, state, reason, reason.lower(), 100),))


def health(*reports: Report, ready: int = 1) -> dict[str, Any]:
    parsed = spec.parse_target_group(group())
    (folded,) = fold.targets(parsed, reports, ready)
    return dict(folded["targetHealth"])


def test_a_target_is_available_if_most_pods_say_so() -> None:
    assert health(target("a"))["state"] == "AVAILABLE"
    mixed = health(target("a"), target("b"), target("c", "UNAVAILABLE", "UNREACHABLE"))
    assert mixed["state"] == "AVAILABLE"
    assert mixed["description"] == "1 of 3 pods: unreachable"


def test_half_of_the_pods_are_not_enough() -> None:
    assert health(target("a"), target("b", "UNAVAILABLE", "AUTH_FAILURE")) == {
        "state": "UNAVAILABLE",
        "reason": "AUTH_FAILURE",
        "description": "1 of 2 pods: auth_failure",
    }


def test_an_unknown_state_or_reason_does_not_get_into_status() -> None:
    assert health(target("a", "EVIL", "EVIL")) == {
        "state": "UNAVAILABLE",
        "reason": "",
        "description": "evil",
    }


@pytest.mark.parametrize(("ready", "reason"), [(0, "PENDING_PROXY_CAPACITY"), (1, "")])
def test_without_reports_a_target_is_registering(ready: int, reason: str) -> None:
    found = health(ready=ready)
    assert (found["state"], found["reason"]) == ("REGISTERING", reason)


def test_a_log_in_is_good_if_it_is_for_every_pod() -> None:
    good = LoginReport("app", "db-0", True, "", "")
    bad = LoginReport("app", "db-0", False, "AUTH_FAILURE", "no")
    reports = [Report("a", good_logins=3), Report("b", good_logins=2, logins=(bad,))]
    (folded,) = fold.bad_logins(reports)
    assert (folded["user"], folded["ok"], folded["reason"]) == ("app", False, "AUTH_FAILURE")
    assert fold.good_logins(reports) == 2
    assert fold.good_logins([Report("old", logins=(good, bad))]) == 1
    assert fold.bad_logins([Report("old", logins=(good,))]) == []


def test_max_connections_are_what_most_pods_say() -> None:
    parsed = spec.parse_target_group(group())
    odd = Report("c", targets=(TargetReport("db-0", "", "", "", "", 1),))
    assert fold.max_connections(parsed, [target("a"), target("b"), odd]) == {"db-0": 100}


def said(
    pod: str, target: str, epoch: int = 0, *, held: bool = False, reason: str = "", uid: str = ""
) -> Report:
    return Report(pod, writer=WriterReport(target, uid, epoch, not held, reason, ""))


def writer(
    *reports: Report, elected: bool = True, before: Any = None, epoch: str | None = "7"
) -> fold.WriterState:
    parsed = spec.parse_target_group(group(**TWO, **(ELECTED if elected else {})))
    obj = stored(group(), "g") | {"status": {"writer": before} if before else {}}
    election = {"metadata": {"uid": "e"}, "data": {"epoch": epoch}} if epoch is not None else None
    return fold.writer(obj, parsed, reports, election if elected else None, NOW)


def test_the_highest_epoch_names_the_writer() -> None:
    found = writer(said("a", "db-0", 6, uid="e"), said("b", "db-1", 7, uid="e"))
    assert found.known
    assert found.record == {"target": "db-1", "uid": "e", "epoch": 7, "since": NOW}


def test_an_epoch_beyond_what_the_operator_reads_is_not_believed() -> None:
    found = writer(said("a", "db-1", 2**50, uid="e"), said("b", "db-0", 7, uid="e"))
    assert found.record is not None
    assert found.record["epoch"] == 7


def test_the_moment_of_the_change_is_kept() -> None:
    before = {"target": "db-0", "uid": "e", "epoch": 7, "since": "earlier"}
    assert writer(said("a", "db-0", 7, uid="e"), before=before).record == before


def test_the_floor_never_falls_within_one_election() -> None:
    before = {"target": "db-0", "uid": "e", "epoch": 7, "since": "earlier"}
    found = writer(said("a", "db-1", 6, uid="e"), before=before)
    assert (found.known, found.reason, found.record) == (False, "EpochFell", before)


def test_a_new_election_resets_the_floor() -> None:
    before = {"target": "db-0", "uid": "old", "epoch": 70, "since": "earlier"}
    found = writer(said("a", "db-1", 1, uid="e"), before=before)
    assert found.known
    assert found.record is not None
    assert (found.record["uid"], found.record["epoch"]) == ("e", 1)


def test_the_last_writer_stays_while_the_election_is_missing() -> None:
    before = {"target": "db-0", "uid": "e", "epoch": 7, "since": "earlier"}
    report = said("a", "db-0", 7, uid="e", reason="ElectionNotFound")
    found = writer(report, before=before, epoch=None)
    assert (found.known, found.reason, found.record) == (False, "ElectionNotFound", before)


def test_a_writer_that_the_election_does_not_know_is_told() -> None:
    found = writer(said("a", "db-0", 7, uid="e", reason="UnknownWriter"), epoch="8")
    assert (found.known, found.reason) == (False, "UnknownWriter")


def test_without_election_most_pods_name_the_writer() -> None:
    most = [said("a", "db-0"), said("b", "db-0"), said("c", "db-1")]
    found = writer(*most, elected=False)
    assert found.known
    assert found.record is not None
    assert found.record["target"] == "db-0"
    tie = writer(*most[1:], elected=False)
    assert (tie.known, tie.reason) == (False, "WriterDisagrees")


@pytest.mark.parametrize("reason", ["NoWriter", "MultipleWriters"])
def test_why_no_writer_is_known_is_told(reason: str) -> None:
    found = writer(said("a", "", held=True, reason=reason), elected=False)
    assert (found.known, found.reason) == (False, reason)


def test_silence_is_not_an_answer() -> None:
    assert writer().reason == "NoReport"
    assert writer(said("a", "db-0", 7, held=True, uid="e")).reason == "NotConfirmed"
