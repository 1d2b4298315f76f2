"""The PodDisruptionBudget: node drains take one pod at a time, and never wait for a sick one."""

from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import Key, Object


def pod_disruption_budget(key: Key, proxy: Object) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": names.child_metadata(key, proxy, key.name),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.selector(key.name)},
        },
    }
