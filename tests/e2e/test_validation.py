"""What the API server accepts, fills in, keeps unchanged and shows of the three resources."""

import json
from collections.abc import Callable

import pytest
import yaml
from tests.fix_cluster import ROOT, Cluster, RefusedError
from tests.resources import (
    API,
    Object,
    chosen,
    endpoint,
    group,
    named,
    pool,
    proxy,
    secrets,
    targets,
)

from dbproxy_operator.spec.families import FAMILIES

ACCEPTED: dict[str, Object] = {
    "the least proxy": proxy(),
    "200 users": proxy(auth=secrets(200)),
    "200 users of MySQL, each with a way to log in": proxy(
        engineFamily="MYSQL", auth=[chosen("MYSQL_CACHING_SHA2_PASSWORD")] * 200
    ),
    "each way to log in to PostgreSQL": proxy(
        auth=[chosen(way) for way in FAMILIES["POSTGRESQL"].auth_types]
    ),
    "each way to log in to MySQL and MariaDB": proxy(
        engineFamily="MYSQL", auth=[chosen(way) for way in FAMILIES["MYSQL"].auth_types]
    ),
    "the longest name": named(proxy(), "a" * 50),
    "the lowest numbers": proxy(
        credentialRotationGracePeriod=0,
        idleClientTimeout=1,
        replicas=1,
        drainTimeout=1,
        port=1,
        idleInTransactionTimeout=1,
        maxClientLifetime=1,
        maxClientConnections=1,
        maxClientConnectionsPerUser=1,
        maxConnectionRate=1,
        maxLoginRatePerUser=1,
    ),
    "the highest numbers": proxy(
        credentialRotationGracePeriod=86400,
        idleClientTimeout=28800,
        drainTimeout=3600,
        port=65535,
        idleInTransactionTimeout=86400,
        maxClientLifetime=2592000,
        maxClientConnections=1000000,
        maxClientConnectionsPerUser=1000000,
        maxConnectionRate=100000,
        maxLoginRatePerUser=100000,
    ),
    "a full template": proxy(
        template={
            "metadata": {"labels": {"team": "shop"}, "annotations": {"note": "a longer text"}},
            "spec": {
                "resources": {
                    "requests": {"cpu": "250m", "memory": 134217728},
                    "limits": {"cpu": 2},
                },
                "affinity": {
                    "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}
                },
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
    "further names and addresses": proxy(
        tls={
            "dnsNames": ["db.example.com", "*.pg.example"],
            "ipAddresses": ["192.0.2.1", "2001:db8::1"],
        }
    ),
    "16 targets": group(targets=targets(16)),
    "targets by address": group(
        targets=[{"name": "four", "host": "10.1.2.3"}, {"name": "six", "host": "2001:db8::1"}]
    ),
    "one host, two ports": group(
        targets=[
            {"name": "a", "host": "db", "port": 5432},
            {"name": "b", "host": "db", "port": 5433},
        ]
    ),
    "one host, a port of PostgreSQL's and one left out": group(
        targets=[{"name": "a", "host": "db"}, {"name": "b", "host": "db", "port": 5432}]
    ),
    "as many idle connections as connections": pool(
        maxConnectionsPercent=30, maxIdleConnectionsPercent=30
    ),
    "the lowest lifetime of connections": pool(maxConnectionLifetime=1),
    "connections of a user and to a database": pool(
        maxConnectionsPerUser=1, maxConnectionsPerDatabase=1_000_000
    ),
    "what binds sessions": pool(
        sessionPinningFilters=["EXCLUDE_VARIABLE_SETS"], maxStatementLength=262_144
    ),
    "peers that are asked a number of times": group(tcp={"keepaliveCount": 3, "userTimeout": 0}),
    "a verified target": group(tls={"mode": "VERIFY_IDENTITY", "caSecretRef": {"name": "ca"}}),
    "a writer by ConfigMap": group(
        writerElection={"configMapRef": {"name": "election"}}, monitorSecretRef={"name": "monitor"}
    ),
    "an endpoint for readers": endpoint(),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepts(namespace_of_module: Cluster, case: str) -> None:
    namespace_of_module.create(ACCEPTED[case], dry_run=True)


@pytest.mark.parametrize("folder", [".", "mysql", "mariadb"])
def test_accepts_the_examples(namespace_of_module: Cluster, folder: str) -> None:
    for path in (ROOT / "examples" / folder).glob("*.yaml"):
        for made in yaml.safe_load_all(path.read_text()):
            if made["apiVersion"] == API:
                del made["metadata"]["namespace"]
                namespace_of_module.create(made, dry_run=True)


IMMUTABLE: dict[str, tuple[Object, Object, str]] = {
    "the family of a proxy": (
        proxy(),
        {"spec": {"engineFamily": "MYSQL"}},
        "engineFamily cannot be changed; create another DBProxy instead",
    ),
    "the class of a proxy": (
        proxy(operatorClass="a"),
        {"spec": {"operatorClass": "b"}},
        "operatorClass cannot be changed; create another DBProxy instead",
    ),
    "the class of a proxy, by leaving it out": (
        proxy(operatorClass="a"),
        {"spec": {"operatorClass": None}},
        "operatorClass cannot be changed; create another DBProxy instead",
    ),
    "that a proxy has no class": (
        proxy(),
        {"spec": {"operatorClass": "a"}},
        "operatorClass cannot be changed; create another DBProxy instead",
    ),
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
    with pytest.raises(RefusedError) as refusal:
        namespace.patch(made["kind"], made["metadata"]["name"], change)
    assert message in str(refusal.value)


OF_A_PROXY = {
    "credentialRotationGracePeriod": 300,
    "requireTLS": False,
    "idleClientTimeout": 1800,
    "replicas": 2,
    "drainTimeout": 60,
    "minReadySeconds": 0,
}
DEFAULTS: dict[str, tuple[Object, Object]] = {
    "a proxy": (proxy(service={}), OF_A_PROXY | {"service": {"type": "ClusterIP"}}),
    # What the family decides is left to the operator.
    "a proxy for MySQL": (proxy(engineFamily="MYSQL"), OF_A_PROXY),
    "a group": (
        group(),
        {
            "connectionPoolConfig": {
                "maxConnectionsPercent": 100,
                "minIdleConnectionsPercent": 0,
                "connectionBorrowTimeout": 120,
            },
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
    """Its proxy or its Secret does not exist, so the operator cannot make it Ready either."""
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
    "dbp": "NAME ENGINE ENDPOINT WRITER READY PODS HEALTHY TARGETS AGE",
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
    # The operator takes back what pods that don't exist have said.
    namespace.apply(waiting_pod("a"), waiting_pod("b"))
    namespace.create(group())
    for pod_name, revision in (("a", 1), ("b", 2), ("a", 3)):
        report(namespace, pod_name, [{"pod": pod_name, "revision": revision, "listeners": [15432]}])
    assert reports(namespace) == {"a": 3, "b": 2}
    report(namespace, "a", [])
    assert reports(namespace) == {"b": 2}


def waiting_pod(name: str) -> Object:
    """A pod of the proxy that no node ever gets."""
    contained = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"dbproxy.dev/proxy": "orders"}},
        "spec": {
            "schedulingGates": [{"name": "dbproxy.dev/never"}],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "proxy", "image": "none", "securityContext": contained}],
        },
    }


def report(namespace: Cluster, manager: str, entries: list[Object]) -> None:
    status = {
        "apiVersion": API,
        "kind": "DBProxyTargetGroup",
        "metadata": {"name": "orders-db"},
        "status": {"proxies": entries} if entries else {},
    }
    namespace.kubectl(
        *(
            "apply",
            "--server-side",
            "--subresource=status",
            f"--field-manager=dbproxy/{manager}",
            "-f",
            "-",
        ),
        stdin=json.dumps(status),
    )


def reports(namespace: Cluster) -> dict[str, int]:
    seen = namespace.get("dbptg", "orders-db")
    assert seen is not None
    return {entry["pod"]: entry["revision"] for entry in seen["status"].get("proxies", [])}
