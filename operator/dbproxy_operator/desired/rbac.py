"""What a proxy pod may do: read its own configuration and the election, report into its group."""

from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import Key, Object

_READ = ["get", "list", "watch"]


def service_account(key: Key, proxy: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": names.child_metadata(key, proxy, names.account_name(key.name)),
        "automountServiceAccountToken": False,
    }


def role(key: Key, proxy: Object, group: str | None, election: str | None) -> Object:
    """Each object by its name: the operator itself holds every verb that is granted here."""
    config = names.config_name(key.name)
    maps = [config] if election is None or election == config else [config, election]
    rules: list[Object] = [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [config], "verbs": _READ},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": maps, "verbs": _READ},
    ]
    if group is not None:
        rules.append(
            {
                "apiGroups": ["dbproxy.dev"],
                "resources": ["dbproxytargetgroups/status"],
                "resourceNames": [group],
                "verbs": ["patch"],
            }
        )
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": names.child_metadata(key, proxy, names.account_name(key.name)),
        "rules": rules,
    }


def role_binding(key: Key, proxy: Object) -> Object:
    account = names.account_name(key.name)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": names.child_metadata(key, proxy, account),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": account,
        },
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": key.namespace}],
    }
