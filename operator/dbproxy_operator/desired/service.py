"""Services of the default endpoint and of further ones; and the pods' own, to find each other."""

from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import Key, Object
from dbproxy_operator.spec import DBProxySpec, ServiceSpec


def service(
    key: Key, owner: Object, proxy: DBProxySpec, spec: ServiceSpec, listener_port: int
) -> Object:
    """`owner`: whose Service it is, the DBProxy or an endpoint; `spec`: how that one wants it."""
    metadata = names.child_metadata(key, owner, owner["metadata"]["name"])
    metadata["labels"] = {**spec.labels, **metadata["labels"]}
    if spec.annotations:
        metadata["annotations"] = dict(spec.annotations)
    # The numeric targetPort: named ones would tie the endpoint to the pod template. A mesh that has
    # to guess the protocol waits for the client to speak; of MySQL the server speaks first.
    port: Object = {"name": "database", "port": proxy.service_port, "protocol": "TCP"}
    port |= {"appProtocol": proxy.family.protocol, "targetPort": listener_port}
    body: Object = {
        "type": spec.type,
        "selector": names.selector(key.name),
        "ports": [port],
    }
    choices = {
        "ipFamilyPolicy": spec.ip_family_policy,
        "ipFamilies": list(spec.ip_families) if spec.ip_families else None,
        "externalTrafficPolicy": spec.external_traffic_policy,
        "internalTrafficPolicy": spec.internal_traffic_policy,
        "loadBalancerClass": spec.load_balancer_class,
        "loadBalancerSourceRanges": (
            list(spec.load_balancer_source_ranges) if spec.load_balancer_source_ranges else None
        ),
    }
    body.update({name: value for name, value in choices.items() if value is not None})
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body}


def peers(key: Key, proxy: Object) -> Object:
    """Its name stands for every pod, also one that is not Ready yet or is leaving: its clients are
    there, and so may their cancels be."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.child_metadata(key, proxy, names.peers_name(key.name)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": names.selector(key.name),
            "ports": [{"name": "peers", "port": names.PEER_PORT, "protocol": "TCP"}],
        },
    }
