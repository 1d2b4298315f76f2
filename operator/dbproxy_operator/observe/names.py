"""Names, labels and owners of what the operator makes; the proxy's agent knows some of them too."""

from typing import Any

from dbproxy_operator.observe.world import PROXY_LABEL, Key, Object, Ref, uid

MANAGER = "dbproxy-operator"
API_VERSION = "dbproxy.dev/v1alpha1"
DEFAULT_LISTENER_PORT = 15432
# Where pods bring each other the cancels of each other's clients.
PEER_PORT = 15431
SETTINGS_KEY = "settings.json"
CREDENTIALS_KEY = "credentials.json"


def pod_manager(pod: str) -> str:
    """The field manager under which a pod writes its part of the status."""
    return f"dbproxy/{pod}"


def account_name(proxy: str) -> str:
    return f"{proxy}-proxy"


def config_name(proxy: str) -> str:
    return f"{proxy}-config"


def ca_key_name(proxy: str) -> str:
    return f"{proxy}-ca-key"


def ca_name(proxy: str) -> str:
    return f"{proxy}-ca"


def peers_name(proxy: str) -> str:
    """The Service under whose name the pods find each other."""
    return f"{proxy}-peers"


def outputs(proxy: str) -> list[Ref]:
    """What the operator only writes: nothing is decided from it while the rest is there."""
    account = account_name(proxy)
    return [
        ("ServiceAccount", account),
        ("Role", account),
        ("RoleBinding", account),
        ("ConfigMap", ca_name(proxy)),
        ("PodDisruptionBudget", proxy),
    ]


def selector(proxy: str) -> dict[str, str]:
    return {PROXY_LABEL: proxy}


def child_labels(proxy: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "dbproxy",
        "app.kubernetes.io/instance": proxy,
        "app.kubernetes.io/managed-by": MANAGER,
        PROXY_LABEL: proxy,
    }


def child_metadata(key: Key, owner: Object, name: str) -> dict[str, Any]:
    """`owner` is the DBProxy or the DBProxyEndpoint; its deletion takes the child along."""
    return {
        "name": name,
        "namespace": key.namespace,
        "labels": child_labels(key.name),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": uid(owner),
                "controller": True,
            }
        ],
    }


def service_hosts(namespace: str, service: str, cluster_domain: str) -> list[str]:
    return [
        service,
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}.svc.{cluster_domain}",
    ]


def service_host(namespace: str, service: str) -> str:
    """What status shows: it resolves from every namespace, whatever the cluster's domain is."""
    return f"{service}.{namespace}.svc"


def identity(obj: Object) -> dict[str, Any]:
    """The metadata of an apply that is meant for this very object, not for a namesake."""
    metadata = obj["metadata"]
    return {"name": metadata["name"], "namespace": metadata["namespace"], "uid": uid(obj)}
