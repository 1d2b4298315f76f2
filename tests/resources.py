"""The three custom resources as tests write them: the least that is valid, and additions."""

import copy
from typing import Any

API = "dbproxy.dev/v1alpha1"
Object = dict[str, Any]


def proxy(**spec: Any) -> Object:
    base = {"engineFamily": "POSTGRESQL", "auth": [{"secretRef": {"name": "app"}}]}
    return {
        "apiVersion": API,
        "kind": "DBProxy",
        "metadata": {"name": "orders"},
        "spec": base | spec,
    }


def group(**spec: Any) -> Object:
    base = {
        "proxyRef": {"name": "orders"},
        "targets": [{"name": "db-0", "host": "db-0.db", "port": 5432}],
    }
    return {
        "apiVersion": API,
        "kind": "DBProxyTargetGroup",
        "metadata": {"name": "orders-db"},
        "spec": base | spec,
    }


def endpoint(**spec: Any) -> Object:
    base = {"proxyRef": {"name": "orders"}, "targetRole": "READ_ONLY"}
    return {
        "apiVersion": API,
        "kind": "DBProxyEndpoint",
        "metadata": {"name": "orders-ro"},
        "spec": base | spec,
    }


def pool(**config: Any) -> Object:
    return group(connectionPoolConfig=config)


def pod(**spec: Any) -> Object:
    return proxy(template={"spec": spec})


def named(made: Object, name: str) -> Object:
    return copy.deepcopy(made) | {"metadata": {"name": name}}


def chosen(auth_type: str) -> Object:
    """A user with a way to log in."""
    return {"secretRef": {"name": "app"}, "clientPasswordAuthType": auth_type}


def targets(count: int) -> list[Object]:
    return [{"name": f"db-{number}", "host": f"db-{number}.db"} for number in range(count)]


def secrets(count: int) -> list[Object]:
    return [{"secretRef": {"name": f"user-{number}"}} for number in range(count)]
