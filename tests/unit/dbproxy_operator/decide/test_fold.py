"""What all pods report of targets and log-ins, folded."""

from typing import Any

import pytest
from tests.resources import group

from dbproxy_operator import spec
from dbproxy_operator.decide import fold
from dbproxy_operator.observe.reports import LoginReport, Report, TargetReport


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
    reports = [Report("a", good_logins=1), Report("b", good_logins=2, logins=(bad,))]
    (folded,) = fold.bad_logins(reports)
    assert (folded["user"], folded["ok"], folded["reason"]) == ("app", False, "AUTH_FAILURE")
    assert fold.good_logins(reports, users=5, bad=1) == 3
    assert fold.good_logins([Report("old", logins=(good, bad))], users=2, bad=1) == 1
    assert fold.bad_logins([Report("old", logins=(good,))]) == []


def test_pinned_sessions_are_those_of_all_pods_that_say_how_many_they_have() -> None:
    reports = [
        Report("a", pinned_sessions={"listen": 2, "advisory_lock": 1}),
        Report("b", pinned_sessions={"listen": 3, "held_cursor": 0}),
        Report("old"),
    ]
    by_reason = {"advisory_lock": 1, "listen": 5}
    assert fold.pinned_sessions(reports) == {"total": 6, "byReason": by_reason}
    assert fold.pinned_sessions([Report("a", pinned_sessions={})]) == {"total": 0, "byReason": {}}
    assert fold.pinned_sessions([Report("old")]) is None


def test_pinned_sessions_beyond_all_numbers_fit_into_the_status() -> None:
    reports = [Report(str(pod), pinned_sessions={"listen": 2**53 - 1}) for pod in range(3)]
    largest = 2**31 - 1
    assert fold.pinned_sessions(reports) == {"total": largest, "byReason": {"listen": largest}}


def test_a_user_that_several_pods_tried_counts_once() -> None:
    reports = [Report("a", good_logins=4), Report("b", good_logins=5)]
    assert fold.good_logins(reports, users=5, bad=0) == 5
    assert fold.good_logins(reports, users=5, bad=1) == 4


def test_the_usable_connections_are_what_most_pods_say() -> None:
    odd = Report("c", targets=(TargetReport("db-0", "", "", "", "", 1),))
    said = [target("a"), target("b"), odd]
    assert fold.usable_connections(["db-0", "db-1"], said) == {"db-0": 100}
