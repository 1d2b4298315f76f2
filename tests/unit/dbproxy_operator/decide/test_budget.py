"""The database's connections, divided over pods that come and go."""

from fractions import Fraction
from typing import Any

import pytest
from tests.resources import Object

from dbproxy_operator.decide import budget
from dbproxy_operator.decide.budget import Growth, Holder, Sizes
from dbproxy_operator.observe.reports import Report

NOW = 1_763_716_450.0
LATER, EARLIER = "2026-11-21T09:15:00Z", "2025-11-21T09:14:00Z"
# 20 usable, 15 %: two parts are one connection each, three are none.
UNKNOWN = Sizes()
TINY = Sizes({"db-0": 20}, 15)


def pod(name: str, phase: str = "Running", leaves_until: str | None = None) -> Object:
    metadata: dict[str, Any] = {"name": name}
    if leaves_until:
        metadata["deletionTimestamp"] = leaves_until
    return {"metadata": metadata, "status": {"phase": phase}}


def holder(name: str, divisor: int, **how: bool) -> Holder:
    return Holder(name, Fraction(1, divisor) if divisor else Fraction(0), **how)


def grow(
    wanted: int, current: int | None, *pods: Holder, sizes: Sizes = UNKNOWN, former: int = 0
) -> Growth:
    return budget.growth(wanted, current, sizes, pods, former)


def held(made: Object, *, divisor: int | None = None) -> Holder:
    reports = {} if divisor is None else {made["metadata"]["name"]: Report("a", divisor=divisor)}
    (found,) = budget.holders([made], reports, 3, NOW)
    return found


def test_there_is_a_part_for_each_replica_and_for_the_surge_of_a_rollout() -> None:
    assert grow(2, None).divisor == 3
    assert grow(2, 2, holder("a", 3), holder("b", 3), holder("c", 3)).divisor == 3


def test_a_leaving_pod_counts_with_what_it_holds_and_takes_no_part_from_others() -> None:
    leaving = held(pod("a", leaves_until=LATER), divisor=20)
    assert (leaving.part, leaving.stuck) == (Fraction(1, 20), False)
    assert grow(2, 2, leaving, holder("b", 3), holder("c", 3)).divisor == 3


def test_a_leaving_pod_that_said_farewell_counts_no_more() -> None:
    assert held(pod("a", leaves_until=EARLIER), divisor=0) == Holder("a", Fraction(0), leaving=True)


def test_a_pod_that_runs_and_says_nothing_counts_with_a_whole_share() -> None:
    assert held(pod("a")).part == Fraction(1, 3)
    assert held(pod("a", phase="Pending")).part == 0


@pytest.mark.parametrize(
    ("until", "divisor"), [(LATER, None), (EARLIER, 3)], ids=["unheard", "past its grace"]
)
def test_for_a_pod_that_should_be_gone_and_is_not_there_is_one_part_more(
    until: str, divisor: int | None
) -> None:
    stuck = held(pod("a", leaves_until=until), divisor=divisor)
    assert stuck.stuck
    assert grow(2, 2, stuck, holder("b", 3), holder("c", 3)).divisor == 4


def test_a_leaving_pod_is_looked_at_again_when_its_grace_ends() -> None:
    found = budget.next_overdue([pod("a"), pod("b", leaves_until=LATER)], NOW)
    assert found is not None
    assert found > NOW


def test_the_first_deployment_and_a_smaller_one_wait_for_nobody() -> None:
    assert grow(4, None, holder("a", 2)).replicas == 4
    assert grow(1, 4, holder("a", 2)) == Growth(1, 1, 2)


def test_growth_waits_until_connections_are_given_back() -> None:
    waits = grow(4, 2, holder("a", 3), holder("b", 3))
    assert (waits.replicas, waits.divisor) == (2, 5)
    assert [pod.pod for pod in waits.waiting_for] == ["a", "b"]
    goes = grow(4, 2, holder("a", 5), holder("b", 5))
    assert (goes.replicas, goes.held_back) == (4, False)


def test_the_deployment_grows_by_as_many_pods_as_there_is_room_for() -> None:
    some = grow(10, 2, holder("a", 3), holder("b", 11))
    # 1 - 1/3 - 1/11 are six parts of eleven and a bit; one of them is the surge's.
    assert (some.replicas, some.divisor) == (7, 11)
    assert [pod.pod for pod in some.waiting_for] == ["a"]


def test_pods_that_are_to_come_are_counted_before_they_are_there() -> None:
    assert grow(4, 3, holder("a", 5), holder("b", 5)).replicas == 4
    assert grow(4, 3, holder("a", 5), holder("b", 3)).replicas == 3


def test_a_leaving_pod_that_holds_connections_is_waited_for() -> None:
    growth = grow(4, 2, holder("a", 5), holder("b", 5), holder("gone", 2, leaving=True))
    assert growth.replicas == 2
    assert [pod.pod for pod in growth.waiting_for] == ["gone"]


def test_the_wait_names_the_pods_and_what_they_hold() -> None:
    sizes = Sizes({"db-0": 97, "db-1": 60}, 100)
    growth = grow(4, 2, holder("a", 3), holder("b", 5), holder("c", 3, heard=False), sizes=sizes)
    assert growth.share == "17 of db-0, 10 of db-1"
    assert growth.holding == (
        "a (up to 30 of db-0, 18 of db-1)",
        "c (up to 30 of db-0, 18 of db-1)",
    )


def test_more_pods_than_there_are_connections_are_refused_and_those_that_serve_go_on() -> None:
    growth = grow(4, 1, holder("a", 2), sizes=TINY)
    assert (growth.replicas, growth.divisor, growth.held_back) == (1, 2, False)
    assert growth.refused is not None
    assert (growth.refused.reason, growth.refused.contradiction) == ("Budget", True)
    assert "15 % of the 20 connections" in growth.refused.message
    assert "each of 1 pods and one more for rollouts, and 4 pods are wanted" in (
        growth.refused.message
    )


def test_a_wish_is_granted_as_far_as_it_fits() -> None:
    sizes = Sizes({"db-0": 100, "db-1": 60}, 10)
    # 60 * 10 % are five parts of one connection.
    growth = grow(9, 2, holder("a", 5), holder("b", 5), sizes=sizes)
    assert (growth.replicas, growth.divisor) == (4, 5)
    assert growth.refused is not None
    assert "db-1" in growth.refused.message


def test_a_limit_that_was_lowered_takes_the_share_of_nobody_to_zero() -> None:
    growth = grow(3, 3, holder("a", 4), holder("b", 4), holder("c", 4), sizes=TINY)
    assert (growth.replicas, growth.divisor) == (3, 2)
    assert growth.refused is not None


def test_what_nobody_can_have_is_told_and_scales_nothing() -> None:
    growth = grow(3, 2, holder("a", 3), sizes=Sizes({"db-0": 3}, 10))
    assert (growth.replicas, growth.divisor) == (2, 3)
    assert growth.refused is not None
    assert "each of 0 pods" in growth.refused.message


def test_a_target_too_small_for_anybody_does_not_starve_the_others() -> None:
    sizes = Sizes({"db-0": 2, "db-1": 100}, 50)
    assert sizes.most == 25
    assert sizes.tightest == "db-1"


def test_while_no_size_is_known_a_lowered_divisor_stays() -> None:
    assert grow(3, 3, former=2).divisor == 2
    assert grow(3, 3, former=9).divisor == 4
    assert grow(4, 3, former=2).divisor == 5
