"""Rights: what the operator hands on, it has; what it asks the API server for, the chart gives."""

from collections.abc import Iterator

import pytest
from tests.composed import KEY, stored
from tests.fix_contract import Object, Render
from tests.resources import proxy

from dbproxy_operator.desired import rbac
from dbproxy_operator.kube import KINDS
from dbproxy_operator.run import lease
from dbproxy_operator.run import rights as operator_rights

Right = tuple[str, str, str]


def rights(rules: list[Object]) -> Iterator[Right]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb


def given(objects: list[Object], kind: str) -> set[Right]:
    """What the chart gives without naming single objects."""
    (role,) = [
        one
        for one in objects
        if one["kind"] == kind and one["metadata"]["name"] == "dbproxy-operator"
    ]
    return set(rights([rule for rule in role["rules"] if "resourceNames" not in rule]))


@pytest.mark.parametrize(
    ("values", "kind"), [((), "ClusterRole"), (("watchNamespaces={shop}",), "Role")]
)
def test_the_operator_has_every_right_that_it_hands_on(
    render: Render, values: tuple[str, ...], kind: str
) -> None:
    owner = stored(proxy(), "proxy-uid")
    handed_on = rbac.role(KEY, owner, "orders-db", "orders-election")["rules"]
    assert set(rights(handed_on)) <= given(render(*values), kind)


def test_a_proxy_is_given_single_objects_only() -> None:
    owner = stored(proxy(), "proxy-uid")
    for rule in rbac.role(KEY, owner, "orders-db", "orders-election")["rules"]:
        assert set(rule["resourceNames"]) <= {"orders-config", "orders-election", "orders-db"}
        assert not {"create", "update", "delete", "*"} & set(rule["verbs"])


def test_a_proxy_without_group_and_election_may_only_read_its_configuration() -> None:
    rules = rbac.role(KEY, stored(proxy(), "proxy-uid"), None, None)["rules"]
    assert {name for rule in rules for name in rule["resourceNames"]} == {"orders-config"}


@pytest.mark.parametrize(
    ("values", "kind"), [((), "ClusterRole"), (("watchNamespaces={shop}",), "Role")]
)
def test_the_chart_gives_what_the_operator_checks_at_start_and_no_more(
    render: Render, values: tuple[str, ...], kind: str
) -> None:
    checked = {
        (
            KINDS[name].group,
            f"{KINDS[name].plural}/{subresource}" if subresource else KINDS[name].plural,
            verb,
        )
        for (name, subresource), verbs in operator_rights.NEEDED.items()
        for verb in verbs
    }
    assert given(render(*values), kind) == checked


def test_the_chart_gives_what_the_lease_needs_and_no_more(render: Render) -> None:
    (role,) = [
        one
        for one in render()
        if one["metadata"]["name"] == "dbproxy-operator-lease" and "rules" in one
    ]
    named = [rule for rule in role["rules"] if "resourceNames" in rule]
    assert [rule["resourceNames"] for rule in named] == [[lease.lease_name("")]]
    needed = {
        ("coordination.k8s.io", "leases", right.verb)
        for right in operator_rights.needed_for(lease.Place("dbproxy-system", ""))
    }
    assert set(rights(role["rules"])) == needed
