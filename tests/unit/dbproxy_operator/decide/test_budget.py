"""The database's connections, divided over pods that come and go."""

import pytest
from tests.resources import group

from dbproxy_operator import spec
from dbproxy_operator.decide import budget
from dbproxy_operator.observe.reports import Report


@pytest.mark.parametrize(
    ("replicas", "alive", "parts"), [(2, 0, 3), (2, 2, 3), (2, 5, 6), (5, 2, 6)]
)
def test_the_divisor_counts_wanted_or_living_pods_and_the_surge(
    replicas: int, alive: int, parts: int
) -> None:
    assert budget.divisor(replicas, alive) == parts


def test_the_first_deployment_and_a_smaller_one_wait_for_nobody() -> None:
    assert budget.growth(4, None, ["a"], {}).replicas == 4
    assert budget.growth(1, 4, ["a"], {}).replicas == 1


def test_growth_waits_until_every_ready_pod_has_given_up_its_part() -> None:
    reports = {"a": Report("a", divisor=5), "b": Report("b", divisor=3)}
    waiting = budget.growth(4, 2, ["a", "b", "c"], reports)
    assert waiting == budget.Growth(2, ("b", "c"))
    assert budget.growth(4, 2, ["a"], reports) == budget.Growth(4)


def test_less_than_one_connection_for_each_pod_is_told() -> None:
    parsed = spec.parse_target_group(group(connectionPoolConfig={"maxConnectionsPercent": 10}))
    assert budget.share_problem(parsed, {"db-0": 30}, 3) is None
    problem = budget.share_problem(parsed, {"db-0": 29}, 3)
    assert problem is not None
    assert (problem.reason, problem.contradiction) == ("Budget", True)
    assert "db-0" in problem.message
