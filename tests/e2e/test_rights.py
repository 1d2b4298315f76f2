"""What the chart's rights let the operator and users do, as the API server itself judges them."""

import pytest
from tests.fix_cluster import Cluster, Object, RefusedError, eventually, manifest

OPERATOR = "system:serviceaccount:dbproxy-system:dbproxy-operator"
PROXY_RULES: list[Object] = [
    {
        "apiGroups": [""],
        "resources": ["secrets", "configmaps"],
        "resourceNames": ["orders-config"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["dbproxy.dev"],
        "resources": ["dbproxytargetgroups/status"],
        "resourceNames": ["orders-db"],
        "verbs": ["patch"],
    },
]


def role(rules: list[Object]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "orders-proxy"},
        "rules": rules,
    }


def apply_as_operator(namespace: Cluster, made: Object) -> None:
    namespace.kubectl(
        *("apply", "--server-side", "--dry-run=server", "--as", OPERATOR, "-f", "-"),
        stdin=manifest(made),
    )


def may(namespace: Cluster, who: str, verb: str, what: str) -> bool:
    """Whether a user may do a thing to a kind, or to a kind/subresource."""
    kind, _, subresource = what.partition("/")
    scope = ["--subresource", subresource] if subresource else []
    try:
        namespace.kubectl("auth", "can-i", "-q", verb, kind, *scope, "--as", who)
    except RefusedError as refusal:
        if "rror" in str(refusal):
            raise
        return False
    return True


def test_the_operator_may_hand_a_proxy_its_rights(namespace_of_module: Cluster) -> None:
    apply_as_operator(namespace_of_module, role(PROXY_RULES))


def test_the_operator_may_not_hand_on_rights_it_lacks(namespace_of_module: Cluster) -> None:
    more = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}
    with pytest.raises(RefusedError, match="attempting to grant RBAC permissions not currently"):
        apply_as_operator(namespace_of_module, role([*PROXY_RULES, more]))


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("create", "pods"),
        ("get", "pods/log"),
        ("create", "pods/exec"),
        ("create", "dbproxies.dbproxy.dev"),
        ("patch", "dbproxies.dbproxy.dev"),
        ("delete", "dbproxytargetgroups.dbproxy.dev"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
        ("escalate", "roles.rbac.authorization.k8s.io"),
        ("bind", "roles.rbac.authorization.k8s.io"),
        ("create", "serviceaccounts/token"),
        ("delete", "leases.coordination.k8s.io"),
    ],
)
def test_the_operator_may_not(namespace_of_module: Cluster, verb: str, what: str) -> None:
    assert not may(namespace_of_module, OPERATOR, verb, what)


@pytest.mark.parametrize(
    ("role_name", "verb", "what", "allowed"),
    [
        ("view", "get", "dbproxies.dbproxy.dev", True),
        ("view", "get", "dbproxies.dbproxy.dev/scale", True),
        ("view", "update", "dbproxies.dbproxy.dev", False),
        ("edit", "create", "dbproxytargetgroups.dbproxy.dev", True),
        ("edit", "patch", "dbproxies.dbproxy.dev/scale", True),
        ("edit", "patch", "dbproxies.dbproxy.dev/status", False),
    ],
)
def test_the_usual_roles_cover_the_resources(
    namespace: Cluster, role_name: str, verb: str, what: str, allowed: bool
) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "someone"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role_name,
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "someone"}],
    }
    namespace.apply(binding)
    eventually(
        lambda: may(namespace, "someone", verb, what) is allowed,
        f"{role_name} may {'' if allowed else 'not '}{verb} {what}",
        seconds=20,
    )
