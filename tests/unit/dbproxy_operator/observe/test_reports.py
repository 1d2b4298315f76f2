"""Reports are untrusted: whatever stands there is read without harm."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dbproxy_operator.observe import reports
from dbproxy_operator.observe.reports import Report

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *("pod", "formatVersion", "revision", "generation", "budgetDivisor"),
        *("listeners", "writer", "targets", "logins", "pinnedSessions"),
    ]
)


def group(*entries: Any) -> dict[str, Any]:
    return {"status": {"proxies": list(entries)}}


@given(st.lists(st.dictionaries(FIELDS, ANYTHING) | ANYTHING, max_size=4))
def test_nothing_that_a_pod_writes_breaks_the_reading(entries: list[Any]) -> None:
    found = reports.read(group({"pod": "a"}, *entries), ["a"])
    assert found["a"] == Report("a")
    reports.pods_named(group(*entries))
    reports.digest(group(*entries))


def test_only_living_pods_are_heard_and_only_once() -> None:
    found = reports.read(
        group({"pod": "gone"}, {"pod": "a", "revision": 1}, {"pod": "a", "revision": 2}), ["a"]
    )
    assert found == {"a": Report("a", format_version=1, revision=1)}


def test_numbers_are_bounded_and_text_is_one_short_line() -> None:
    entry = {
        "pod": "a",
        "revision": 2**70,
        "generation": -1,
        "problem": "one\ntwo\x1b[31m" + "x" * 9999,
        "targets": [{"name": "n" * 999, "usableConnections": True}] * 99,
    }
    report = reports.read(group(entry), ["a"])["a"]
    assert (report.revision, report.generation) == (0, 0)
    assert report.problem.startswith("one two [31m")
    assert len(report.problem) == 512
    assert len(report.targets) == 16
    assert len(report.targets[0].name) == 63
    assert report.targets[0].usable_connections is None


def test_of_pinned_sessions_so_many_reasons_count_and_none_that_is_no_reason() -> None:
    many = {
        f"reason_{chr(97 + number // 26)}{chr(97 + number % 26)}": number for number in range(99)
    }
    said = many | {"No Reason": 1, "listen": -1}
    found = reports.read(group({"pod": "a", "pinnedSessions": said}), ["a"])["a"].pinned_sessions
    assert found is not None
    assert len(found) == 32
    assert found["listen"] == 0
    assert found["reason_ab"] == 1
    assert (
        reports.read(group({"pod": "old", "revision": 1}), ["old"])["old"].pinned_sessions is None
    )


def test_the_digest_is_that_of_the_reports() -> None:
    one = {"pod": "a", "revision": 1}
    same = group(dict(reversed(one.items()))) | {"metadata": {"resourceVersion": "9"}}
    assert reports.digest(group(one)) == reports.digest(same)
    assert reports.digest(group(one)) != reports.digest(group({"pod": "a", "revision": 2}))
