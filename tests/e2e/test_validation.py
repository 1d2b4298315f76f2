"""What the API server itself refuses, fills in and shows of the three resources: OpenAPI and CEL of crds/."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from fix_cluster import Cluster, Object, Refused

API = "dbproxy.dev/v1alpha1"


def proxy(**spec: Any) -> Object:
    base = {"engineFamily": "POSTGRESQL", "auth": [{"secretRef": {"name": "app"}}]}
    return {"apiVersion": API, "kind": "DBProxy", "metadata": {"name": "orders"}, "spec": base | spec}


def group(**spec: Any) -> Object:
    base = {"proxyRef": {"name": "orders"}, "targets": [{"name": "db-0", "host": "db-0.db", "port": 5432}]}
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


def targets(count: int) -> list[Object]:
    return [{"name": f"db-{number}", "host": f"db-{number}.db"} for number in range(count)]


def secrets(count: int) -> list[Object]:
    return [{"secretRef": {"name": f"user-{number}"}} for number in range(count)]


OWN = "belong to the operator"
LOWER = "it must begin with a lower-case letter"
REFUSED: dict[str, tuple[Object, str]] = {
    "no engine family": (
        proxy() | {"spec": {"auth": secrets(1)}},
        "spec.engineFamily: Required value",
    ),
    "an unknown engine family": (proxy(engineFamily="ORACLE"), 'supported values: "POSTGRESQL"'),
    "no spec": ({**proxy(), "spec": None}, "spec: Required value"),
    "no user": (proxy(auth=[]), "spec.auth"),
    "201 users": (proxy(auth=secrets(201)), "must have at most 200 items"),
    "a user without Secret": (proxy(auth=[{}]), "spec.auth[0].secretRef: Required value"),
    "an impossible name of a Secret": (
        proxy(auth=[{"secretRef": {"name": "No_Secret"}}]),
        "spec.auth[0].secretRef.name",
    ),
    "a way of MySQL to log in": (
        proxy(auth=[{"secretRef": {"name": "app"}, "clientPasswordAuthType": "MYSQL_NATIVE_PASSWORD"}]),
        'supported values: "POSTGRES_SCRAM_SHA_256", "POSTGRES_MD5"',
    ),
    "a grace period over a day": (
        proxy(credentialRotationGracePeriod=86401),
        "should be less than or equal to 86400",
    ),
    "a negative grace period": (
        proxy(credentialRotationGracePeriod=-1),
        "should be greater than or equal to 0",
    ),
    "no idle time": (proxy(idleClientTimeout=0), "should be greater than or equal to 1"),
    "nine idle hours": (proxy(idleClientTimeout=32400), "should be less than or equal to 28800"),
    "no replica": (proxy(replicas=0), "should be greater than or equal to 1"),
    "no drain": (proxy(drainTimeout=0), "should be greater than or equal to 1"),
    "a drain over an hour": (proxy(drainTimeout=3601), "should be less than or equal to 3600"),
    "port 0": (proxy(port=0), "should be greater than or equal to 1"),
    "port 65536": (proxy(port=65536), "should be less than or equal to 65535"),
    "no image": (proxy(image=""), "spec.image"),
    "tls without Secret": (proxy(tls={}), "spec.tls.secretName: Required value"),
    "a field that is none": (proxy(sessionPinning=True), 'unknown field "spec.sessionPinning"'),
    "another service account": (
        pod(serviceAccountName="admin"),
        'unknown field "spec.template.spec.serviceAccountName"',
    ),
    "the node's network": (pod(hostNetwork=True), 'unknown field "spec.template.spec.hostNetwork"'),
    "a volume of the node": (
        pod(volumes=[{"name": "root", "hostPath": {"path": "/"}}]),
        'unknown field "spec.template.spec.volumes"',
    ),
    "a sidecar in place of the proxy": (
        pod(containers=[{"name": "proxy", "image": "other"}]),
        "the container `proxy` is the operator's",
    ),
    "a sidecar on a port of the node": (
        pod(containers=[{"name": "log", "image": "log", "ports": [{"containerPort": 1, "hostPort": 1}]}]),
        "a sidecar may not use a port of the node",
    ),
    "two sidecars of one name": (
        pod(containers=[{"name": "log", "image": "a"}, {"name": "log", "image": "b"}]),
        "Duplicate value",
    ),
    "an unreadable quantity": (
        pod(resources={"requests": {"cpu": "half"}}),
        "spec.template.spec.resources.requests.cpu",
    ),
    "a label of the operator's": (
        proxy(template={"metadata": {"labels": {"dbproxy.dev/proxy": "other"}}}),
        OWN,
    ),
    "a common label that the operator sets": (
        proxy(template={"metadata": {"labels": {"app.kubernetes.io/name": "other"}}}),
        "are set by the operator",
    ),
    "an annotation of the operator's": (
        proxy(template={"metadata": {"annotations": {"dbproxy.dev/template": "x"}}}),
        OWN,
    ),
    "an ExternalName Service": (proxy(service={"type": "ExternalName"}), "supported values"),
    "a traffic policy of the outside on the inside": (
        proxy(service={"externalTrafficPolicy": "Local"}),
        "externalTrafficPolicy needs type NodePort or LoadBalancer",
    ),
    "a load balancer's class without one": (
        proxy(service={"type": "NodePort", "loadBalancerClass": "example.com/x"}),
        "loadBalancerClass needs type LoadBalancer",
    ),
    "source ranges without load balancer": (
        proxy(service={"loadBalancerSourceRanges": ["10.0.0.0/8"]}),
        "loadBalancerSourceRanges needs type LoadBalancer",
    ),
    "two families in a single stack": (
        proxy(service={"ipFamilies": ["IPv4", "IPv6"]}),
        "two ipFamilies need ipFamilyPolicy",
    ),
    "a proxy's name of 51 characters": (named(proxy(), "a" * 51), "at most 50 characters"),
    "a proxy's name with a dot": (named(proxy(), "a.b"), LOWER),
    "a proxy's name that begins with a digit": (named(proxy(), "1a"), LOWER),
    "a group's name of 51 characters": (named(group(), "a" * 51), "at most 50 characters"),
    "a group's name that begins with a digit": (named(group(), "1a"), "begin with a lower-case letter"),
    "an endpoint's name of 51 characters": (named(endpoint(), "a" * 51), "at most 50 characters"),
    "an endpoint's name that begins with a digit": (named(endpoint(), "1a"), LOWER),
    "an endpoint named as its proxy": (
        named(endpoint(), "orders"),
        "an endpoint may not be named as its proxy",
    ),
    "an endpoint without proxy": (
        {**endpoint(), "spec": {"targetRole": "READ_ONLY"}},
        "spec.proxyRef: Required value",
    ),
    "an unknown role": (endpoint(targetRole="WRITER"), 'supported values: "READ_WRITE", "READ_ONLY"'),
    "an endpoint's label of the operator's": (
        endpoint(service={"labels": {"dbproxy.dev/proxy": "other"}}),
        OWN,
    ),
    "no target": (group(targets=[]), "spec.targets"),
    "17 targets": (group(targets=targets(17)), "must have at most 16 items"),
    "two targets of one name": (
        group(targets=[{"name": "db", "host": "a"}, {"name": "db", "host": "b"}]),
        "Duplicate value",
    ),
    "two targets of one address": (
        group(targets=[{"name": "a", "host": "db"}, {"name": "b", "host": "db"}]),
        "two targets may not have the same host and port",
    ),
    "a target without host": (group(targets=[{"name": "db"}]), "spec.targets[0].host: Required value"),
    "a host with a port": (group(targets=[{"name": "db", "host": "db:5432x"}]), "spec.targets[0].host"),
    "a host with a space": (group(targets=[{"name": "db", "host": "db 0"}]), "spec.targets[0].host"),
    "a target's port 0": (
        group(targets=[{"name": "db", "host": "db", "port": 0}]),
        "should be greater than or equal to 1",
    ),
    "no connections": (pool(maxConnectionsPercent=0), "should be greater than or equal to 1"),
    "101 percent": (pool(maxConnectionsPercent=101), "should be less than or equal to 100"),
    "negative idle connections": (
        pool(maxIdleConnectionsPercent=-1),
        "should be greater than or equal to 0",
    ),
    "more idle connections than connections": (
        pool(maxConnectionsPercent=30, maxIdleConnectionsPercent=31),
        "maxIdleConnectionsPercent may not be higher than maxConnectionsPercent",
    ),
    "a borrow timeout over five minutes": (
        pool(connectionBorrowTimeout=301),
        "should be less than or equal to 300",
    ),
    "a negative borrow timeout": (
        pool(connectionBorrowTimeout=-1),
        "should be greater than or equal to 0",
    ),
    "an empty initial query": (pool(initQuery=""), "spec.connectionPoolConfig.initQuery"),
    "an unknown TLS mode": (group(tls={"mode": "VERIFY"}), "supported values"),
    "verification without a CA": (
        group(tls={"mode": "VERIFY_CA"}),
        "the modes VERIFY_CA and VERIFY_IDENTITY need caSecretRef",
    ),
    "an election without ConfigMap": (
        group(writerElection={}),
        "spec.writerElection.configMapRef: Required value",
    ),
    "a monitor without name": (group(monitorSecretRef={}), "spec.monitorSecretRef.name: Required value"),
}

ACCEPTED: dict[str, Object] = {
    "the least proxy": proxy(),
    "200 users": proxy(auth=secrets(200)),
    "the longest name": named(proxy(), "a" * 50),
    "the lowest numbers": proxy(
        credentialRotationGracePeriod=0, idleClientTimeout=1, replicas=1, drainTimeout=1, port=1
    ),
    "the highest numbers": proxy(
        credentialRotationGracePeriod=86400, idleClientTimeout=28800, drainTimeout=3600, port=65535
    ),
    "a full template": proxy(
        template={
            "metadata": {"labels": {"team": "shop"}, "annotations": {"note": "a longer text"}},
            "spec": {
                "resources": {"requests": {"cpu": "250m", "memory": 134217728}, "limits": {"cpu": 2}},
                "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
                "tolerations": [{"key": "db", "operator": "Exists", "effect": "NoSchedule"}],
                "nodeSelector": {"pool": "db"},
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone"}],
                "priorityClassName": "high",
                "runtimeClassName": "sandboxed",
                "containers": [{"name": "log", "image": "log", "args": ["-f"], "env": []}],
            },
        }
    ),
    "a load balancer": proxy(
        service={
            "type": "LoadBalancer",
            "labels": {"team": "shop"},
            "annotations": {"example.com/internal": "true"},
            "ipFamilyPolicy": "PreferDualStack",
            "ipFamilies": ["IPv4", "IPv6"],
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Cluster",
            "loadBalancerClass": "example.com/x",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        }
    ),
    "16 targets": group(targets=targets(16)),
    "targets by address": group(
        targets=[{"name": "four", "host": "10.1.2.3"}, {"name": "six", "host": "2001:db8::1"}]
    ),
    "one host, two ports": group(
        targets=[{"name": "a", "host": "db", "port": 5432}, {"name": "b", "host": "db", "port": 5433}]
    ),
    "as many idle connections as connections": pool(
        maxConnectionsPercent=30, maxIdleConnectionsPercent=30
    ),
    "a verified target": group(tls={"mode": "VERIFY_IDENTITY", "caSecretRef": {"name": "ca"}}),
    "a writer by ConfigMap": group(
        writerElection={"configMapRef": {"name": "election"}}, monitorSecretRef={"name": "monitor"}
    ),
    "an endpoint for readers": endpoint(),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(namespace_of_module: Cluster, case: str) -> None:
    made, message = REFUSED[case]
    with pytest.raises(Refused) as refusal:
        namespace_of_module.create(made, dry_run=True)
    assert message in str(refusal.value)


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepts(namespace_of_module: Cluster, case: str) -> None:
    namespace_of_module.create(ACCEPTED[case], dry_run=True)


IMMUTABLE: dict[str, tuple[Object, Object, str]] = {
    "the proxy of a group": (
        group(),
        {"spec": {"proxyRef": {"name": "other"}}},
        "proxyRef.name cannot be changed; create another DBProxyTargetGroup instead",
    ),
    "the proxy of an endpoint": (
        endpoint(),
        {"spec": {"proxyRef": {"name": "other"}}},
        "proxyRef.name cannot be changed; create another DBProxyEndpoint instead",
    ),
    "the role of an endpoint": (
        endpoint(),
        {"spec": {"targetRole": "READ_WRITE"}},
        "targetRole cannot be changed; create another DBProxyEndpoint instead",
    ),
    "the role of an endpoint, by leaving it out": (
        endpoint(),
        {"spec": {"targetRole": None}},
        "targetRole cannot be changed; create another DBProxyEndpoint instead",
    ),
}


@pytest.mark.parametrize("case", IMMUTABLE)
def test_refuses_to_change(namespace: Cluster, case: str) -> None:
    made, change, message = IMMUTABLE[case]
    namespace.create(made)
    with pytest.raises(Refused) as refusal:
        namespace.patch(made["kind"], made["metadata"]["name"], change)
    assert message in str(refusal.value)


DEFAULTS: dict[str, tuple[Object, Object]] = {
    "a proxy": (
        proxy(service={}),
        {
            "credentialRotationGracePeriod": 300,
            "requireTLS": False,
            "idleClientTimeout": 1800,
            "replicas": 2,
            "drainTimeout": 60,
            "service": {"type": "ClusterIP"},
        },
    ),
    "a group": (
        group(),
        {
            "connectionPoolConfig": {"maxConnectionsPercent": 100, "connectionBorrowTimeout": 120},
            "tls": {"mode": "PREFERRED"},
        },
    ),
    "an endpoint": (
        {**endpoint(), "spec": {"proxyRef": {"name": "orders"}}},
        {"targetRole": "READ_WRITE"},
    ),
}


@pytest.mark.parametrize("case", DEFAULTS)
def test_fills_in_the_defaults_of(namespace_of_module: Cluster, case: str) -> None:
    made, defaults = DEFAULTS[case]
    created = namespace_of_module.create(made, dry_run=True)
    assert created["spec"] == made["spec"] | defaults


@pytest.mark.parametrize("make", [proxy, group, endpoint])
def test_a_new_object_never_reads_as_done(namespace: Cluster, make: Callable[[], Object]) -> None:
    """Its proxy does not exist or its Secret does not, so the operator cannot make it Ready either."""
    made = make()
    namespace.create(made)
    seen = namespace.get(made["kind"], made["metadata"]["name"])
    assert seen is not None
    conditions = {one["type"]: one["status"] for one in seen["status"].get("conditions", [])}
    assert seen["status"]["observedGeneration"] == -1 or conditions["Ready"] == "False"


def test_scale_is_the_field_replicas(namespace: Cluster) -> None:
    namespace.create(proxy())
    namespace.patch(
        "dbproxy",
        "orders",
        {"status": {"replicas": 2, "selector": "dbproxy.dev/proxy=orders"}},
        "--subresource=status",
    )
    namespace.kubectl("scale", "dbp", "orders", "--replicas=3")
    path = f"/apis/{API}/namespaces/{namespace.namespace}/dbproxies/orders/scale"
    scale = json.loads(namespace.kubectl("get", "--raw", path))
    assert scale["spec"]["replicas"] == 3
    assert scale["status"]["selector"] == "dbproxy.dev/proxy=orders"


COLUMNS = {
    "dbp": "NAME ENGINE ENDPOINT WRITER READY HEALTHY TARGETS AGE",
    "dbptg": "NAME PROXY WRITER EPOCH AVAILABLE READY AGE",
    "dbpe": "NAME PROXY ROLE ENDPOINT READY AGE",
}


@pytest.mark.parametrize("short", COLUMNS)
def test_kubectl_get_shows_the_columns_of(namespace: Cluster, short: str) -> None:
    namespace.create(proxy())
    namespace.create(group())
    namespace.create(endpoint())
    header = namespace.kubectl("get", short).splitlines()[0]
    assert " ".join(header.split()) == COLUMNS[short]


def test_the_category_lists_all_three_kinds(namespace: Cluster) -> None:
    for made in (proxy(), group(), endpoint()):
        namespace.create(made)
    names = namespace.kubectl("get", "dbproxy-all", "-o", "name").split()
    assert sorted(names) == [
        "dbproxy.dbproxy.dev/orders",
        "dbproxyendpoint.dbproxy.dev/orders-ro",
        "dbproxytargetgroup.dbproxy.dev/orders-db",
    ]


def test_kubectl_get_dbproxy_finds_one_by_name(namespace: Cluster) -> None:
    """A category of that name would hide the kind: `kubectl get` looks for categories first."""
    namespace.create(proxy())
    assert namespace.kubectl("get", "dbproxy", "orders", "-o", "name").split() == [
        "dbproxy.dbproxy.dev/orders"
    ]


def test_pods_share_the_status_of_a_group_without_touching_each_other(namespace: Cluster) -> None:
    namespace.create(group())
    for pod_name, revision in (("a", 1), ("b", 2), ("a", 3)):
        report(namespace, pod_name, [{"pod": pod_name, "revision": revision, "listeners": [15432]}])
    assert reports(namespace) == {"a": 3, "b": 2}
    report(namespace, "a", [])
    assert reports(namespace) == {"b": 2}


def report(namespace: Cluster, manager: str, entries: list[Object]) -> None:
    status = {
        "apiVersion": API,
        "kind": "DBProxyTargetGroup",
        "metadata": {"name": "orders-db"},
        "status": {"proxies": entries} if entries else {},
    }
    namespace.kubectl(
        *("apply", "--server-side", "--subresource=status", f"--field-manager=dbproxy/{manager}", "-f", "-"),
        stdin=json.dumps(status),
    )


def reports(namespace: Cluster) -> dict[str, int]:
    seen = namespace.get("dbptg", "orders-db")
    assert seen is not None
    return {entry["pod"]: entry["revision"] for entry in seen["status"].get("proxies", [])}
