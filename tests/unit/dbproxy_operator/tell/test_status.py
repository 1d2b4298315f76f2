"""Conditions as kstatus and `kubectl wait` read them."""

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.composed import NOW, stored
from tests.resources import Object, proxy

from dbproxy_operator.errors import Problem
from dbproxy_operator.tell import status
from dbproxy_operator.tell.status import Extra, Verdict, judge

MISSING = Problem("SecretNotFound", "create it")
TAKEN = Problem("NameTaken", "rename it", contradiction=True)
ROLLING = Problem("RollingOut", "replacing pods")
FINE = Verdict(serving=True, current=True, ready_message="all is well")


def after(obj: Object, verdict: Verdict, now: float = NOW) -> Object:
    return obj | {"status": {"conditions": list(judge(obj, verdict, now).conditions)}}


def shown(obj: Object) -> dict[str, tuple[str, str]]:
    found = status.conditions_of(obj)
    return {kind: (one["status"], one["reason"]) for kind, one in found.items()}


def fresh(generation: int = 3) -> Object:
    obj = stored(proxy(), "u")
    obj["metadata"]["generation"] = generation
    return obj


def test_all_is_well() -> None:
    obj = after(fresh(), FINE)
    assert shown(obj) == {
        "Ready": ("True", "Ready"),
        "Reconciling": ("False", "Done"),
        "Stalled": ("False", "NotStalled"),
    }
    assert status.conditions_of(obj)["Ready"]["observedGeneration"] == 3


def test_what_may_yet_come_is_waited_for_then_stalled() -> None:
    obj = after(fresh(), Verdict(problem=MISSING))
    assert shown(obj)["Ready"] == ("False", "SecretNotFound")
    assert shown(obj)["Reconciling"] == ("True", "SecretNotFound")
    judged = judge(obj, Verdict(problem=MISSING), NOW + 59)
    assert judged.wake_at == NOW + 60
    assert shown(after(obj, Verdict(problem=MISSING), NOW + 59))["Stalled"][0] == "False"
    stalled = after(obj, Verdict(problem=MISSING), NOW + 60)
    assert shown(stalled)["Stalled"] == ("True", "SecretNotFound")
    assert shown(stalled)["Reconciling"] == ("False", "Stalled")
    again = after(stalled, Verdict(problem=MISSING), NOW + 61)
    assert again == stalled


def test_the_wait_begins_with_the_fault_and_not_with_the_work_before_it() -> None:
    obj = after(fresh(), Verdict(progress=ROLLING), NOW - 500)
    obj = after(obj, Verdict(problem=MISSING))
    assert shown(obj)["Reconciling"] == ("True", "SecretNotFound")
    assert shown(after(obj, Verdict(problem=MISSING), NOW + 30))["Stalled"][0] == "False"


def test_a_contradiction_is_stalled_at_once() -> None:
    assert shown(after(fresh(), Verdict(problem=TAKEN)))["Stalled"] == ("True", "NameTaken")


def test_ready_stays_while_a_new_generation_is_on_its_way_to_pods_that_serve() -> None:
    obj = after(fresh(), FINE)
    obj["metadata"]["generation"] = 4
    obj = after(obj, Verdict(progress=ROLLING, serving=True))
    assert shown(obj)["Ready"] == ("True", "Ready")
    assert status.conditions_of(obj)["Ready"]["observedGeneration"] == 3
    assert shown(obj)["Reconciling"] == ("True", "RollingOut")
    obj = after(obj, FINE)
    assert status.conditions_of(obj)["Ready"]["observedGeneration"] == 4


def test_ready_does_not_come_before_the_work_is_done() -> None:
    obj = after(fresh(), Verdict(progress=ROLLING, serving=True))
    assert shown(obj)["Ready"] == ("False", "RollingOut")
    assert status.conditions_of(obj)["Ready"]["observedGeneration"] == 0


def test_pods_that_are_gone_are_told_at_once() -> None:
    obj = after(after(fresh(), FINE), Verdict(progress=ROLLING, serving=False))
    assert shown(obj)["Ready"] == ("False", "RollingOut")


def test_each_generation_has_its_own_patience() -> None:
    obj = after(after(fresh(), Verdict(problem=MISSING)), Verdict(problem=MISSING), NOW + 60)
    assert shown(obj)["Stalled"] == ("True", "SecretNotFound")
    obj["metadata"]["generation"] = 4
    obj = after(obj, Verdict(problem=MISSING), NOW + 90)
    assert shown(obj)["Reconciling"] == ("True", "SecretNotFound")
    assert shown(after(obj, Verdict(problem=MISSING), NOW + 149))["Stalled"][0] == "False"
    assert shown(after(obj, Verdict(problem=MISSING), NOW + 150))["Stalled"][0] == "True"


def test_progress_that_does_not_come_is_stalled_and_names_what_it_waits_for() -> None:
    waiting = Problem("WaitingForPods", "waiting for these", patience=90, waits_for=("p-0",))
    verdict = Verdict(progress=waiting, serving=True)
    obj = after(after(fresh(), FINE), verdict)
    assert judge(obj, verdict, NOW + 1).wake_at == NOW + 90
    obj = after(obj, verdict, NOW + 90)
    assert shown(obj) == {
        "Ready": ("True", "Ready"),
        "Reconciling": ("False", "Stalled"),
        "Stalled": ("True", "WaitingForPods"),
    }
    found = status.conditions_of(obj)
    assert found["Stalled"]["message"] == "waiting for these: p-0"
    assert found["Ready"]["message"] == status.SERVING


def test_while_something_is_on_its_way_ready_does_not_say_that_all_is_done() -> None:
    obj = after(after(fresh(), FINE), Verdict(progress=ROLLING, serving=True, ready_message="done"))
    assert status.conditions_of(obj)["Ready"]["message"] == status.SERVING


def test_each_change_is_announced_once() -> None:
    obj = fresh()
    extra = (Extra("WriterKnown", False, "NoWriter", "none"),)
    verdict = Verdict(problem=Problem("NoWriter", "none"), extras=extra)
    judged = judge(obj, verdict, NOW)
    (told,) = status.announced(obj, judged.conditions)
    assert told["reason"] == "NoWriter"
    obj = after(obj, verdict)
    assert status.announced(obj, judge(obj, verdict, NOW + 90).conditions) == []
    assert [one["reason"] for one in status.announced(obj, judge(obj, FINE, NOW).conditions)] == [
        "Ready"
    ]


def test_a_step_is_announced_when_it_begins_and_when_it_has_stalled() -> None:
    def waits(*pods: str) -> Verdict:
        return Verdict(progress=Problem("WaitingForPods", "waiting", waits_for=pods))

    obj, told = after(fresh(), FINE), []
    obj["metadata"]["generation"] += 1
    for verdict, now in ((waits("a"), NOW), (waits("b"), NOW + 1), (waits("b"), NOW + 60)):
        conditions = judge(obj, verdict, now).conditions
        told += [(one["type"], one["message"]) for one in status.announced(obj, conditions)]
        obj = after(obj, verdict, now)
    assert told == [("Ready", "waiting: a"), ("Stalled", "waiting: b")]


def test_on_the_way_to_the_first_ready_only_what_goes_wrong_is_announced() -> None:
    probing = (Extra("TargetsAvailable", None, "Probing", "waiting for the first probes"),)
    known = (Extra("WriterKnown", True, "WriterKnown", "db-0 is the writer"),)
    obj, told = fresh(), []
    for verdict, now in (
        (Verdict(progress=ROLLING, extras=probing), NOW),
        (Verdict(progress=ROLLING, extras=probing), NOW + 3600),
        (Verdict(problem=MISSING, extras=known), NOW + 3601),
        (dataclasses.replace(FINE, extras=known), NOW + 3602),
    ):
        conditions = judge(obj, verdict, now).conditions
        told += [(one["type"], one["reason"]) for one in status.announced(obj, conditions)]
        obj = after(obj, verdict, now)
    assert told == [("Stalled", ROLLING.reason), ("Ready", MISSING.reason), ("Ready", "Ready")]


def test_a_writer_that_is_known_again_is_announced() -> None:
    known = (Extra("WriterKnown", True, "WriterKnown", "db-1 is the writer"),)
    obj = after(fresh(), FINE)
    obj = after(obj, Verdict(problem=Problem("NoWriter", "none")))
    healed = judge(obj, dataclasses.replace(FINE, extras=known), NOW)
    found = status.announced(obj, healed.conditions)
    assert [one["type"] for one in found] == ["Ready", "WriterKnown"]


def test_a_status_that_says_it_already_is_not_written() -> None:
    obj = after(fresh(), FINE)
    desired = {"conditions": list(reversed(obj["status"]["conditions"]))}
    assert status.same(desired, obj)
    obj["status"]["proxies"] = [{"pod": "a"}]
    assert status.same(desired, obj)
    assert not status.same(desired | {"ready": "1/2"}, obj)


PROBLEMS = st.sampled_from([None, MISSING, TAKEN])
VERDICTS = st.builds(
    Verdict,
    problem=PROBLEMS,
    progress=st.sampled_from([None, ROLLING]),
    serving=st.booleans(),
    current=st.booleans(),
)


@given(st.lists(st.tuples(VERDICTS, st.floats(0, 100)), min_size=1, max_size=12))
def test_reconciling_and_stalled_are_never_both_true(story: list[tuple[Any, float]]) -> None:
    obj, now = fresh(), NOW
    for verdict, passed in story:
        now += passed
        obj = after(obj, verdict, now)
        found = shown(obj)
        assert (found["Reconciling"][0], found["Stalled"][0]) != ("True", "True")
        if found["Ready"][0] == "False":
            assert "True" in (found["Reconciling"][0], found["Stalled"][0])
        if verdict.problem is not None:
            assert found["Ready"][0] == "False"
        assert after(obj, verdict, now) == obj
