"""What the API server itself refuses, by OpenAPI and CEL of crds/, and in which words."""

import pytest
from tests.fix_cluster import Cluster, RefusedError
from tests.resources import (
    Object,
    chosen,
    endpoint,
    group,
    named,
    pod,
    pool,
    proxy,
    secrets,
    targets,
)

OWN = "belong to the operator"
LOWER = "it must begin with a lower-case letter"
REFUSED: dict[str, tuple[Object, str]] = {
    "no engine family": (
        proxy() | {"spec": {"auth": secrets(1)}},
        "spec.engineFamily: Required value",
    ),
    "an unknown engine family": (
        proxy(engineFamily="ORACLE"),
        'supported values: "POSTGRESQL", "MYSQL"',
    ),
    "no spec": ({**proxy(), "spec": None}, "spec: Required value"),
    "no user": (proxy(auth=[]), "spec.auth"),
    "201 users": (proxy(auth=secrets(201)), "must have at most 200 items"),
    "a user without Secret": (proxy(auth=[{}]), "spec.auth[0].secretRef: Required value"),
    "an impossible name of a Secret": (
        proxy(auth=[{"secretRef": {"name": "No_Secret"}}]),
        "spec.auth[0].secretRef.name",
    ),
    "a way to log in that is none": (
        proxy(auth=[chosen("SQL_SERVER_AUTHENTICATION")]),
        'supported values: "POSTGRES_SCRAM_SHA_256", "POSTGRES_MD5", "MYSQL_CACHING_SHA2_PASSWORD"',
    ),
    "MySQL's way to log in to PostgreSQL": (
        proxy(auth=[*secrets(1), chosen("MYSQL_NATIVE_PASSWORD")]),
        "clientPasswordAuthType is POSTGRES_SCRAM_SHA_256 or POSTGRES_MD5",
    ),
    "MariaDB's way to log in to PostgreSQL": (
        proxy(auth=[chosen("MARIADB_CLIENT_ED25519")]),
        "with engineFamily POSTGRESQL",
    ),
    "PostgreSQL's way to log in to MySQL": (
        proxy(engineFamily="MYSQL", auth=[*secrets(1), chosen("POSTGRES_MD5")]),
        "MYSQL_NATIVE_PASSWORD or MARIADB_CLIENT_ED25519",
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
    "names beside a certificate of one's own": (
        proxy(tls={"secretName": "mine", "dnsNames": ["db.example"]}),
        "leave out either them or secretName",
    ),
    "an address among the names": (
        proxy(tls={"dnsNames": ["10.0.0.1"]}),
        "put it into ipAddresses",
    ),
    "a name that is none": (proxy(tls={"dnsNames": ["not a name"]}), "spec.tls.dnsNames[0]"),
    "a name twice": (proxy(tls={"dnsNames": ["a", "a"]}), "Duplicate value"),
    "an address that is none": (
        proxy(tls={"ipAddresses": ["10.0.0.256"]}),
        "spec.tls.ipAddresses[0]",
    ),
    "an address that may be octal": (
        proxy(tls={"ipAddresses": ["10.0.0.010"]}),
        "a part of an IP address has no leading zeros",
    ),
    "33 addresses": (
        proxy(tls={"ipAddresses": [f"10.0.0.{number}" for number in range(33)]}),
        "must have at most 32 items",
    ),
    "a field that is none": (proxy(sessionPinning=True), 'unknown field "spec.sessionPinning"'),
    "another service account": (
        pod(serviceAccountName="admin"),
        'unknown field "spec.template.spec.serviceAccountName"',
    ),
    "the node's network": (pod(hostNetwork=True), 'unknown field "spec.template.spec.hostNetwork"'),
    "a volume of the node": (
        pod(volumes=[{"name": "root", "hostPath": {"path": "/"}}]),
        'unknown field "spec.template.spec.volumes[0].hostPath"',
    ),
    "a volume of the operator's": (
        pod(volumes=[{"name": "config", "emptyDir": {}}]),
        "the volumes `config` and `tmp` are the operator's",
    ),
    "a variable of the operator's": (
        pod(env=[{"name": "POD_UID", "value": "x"}]),
        "POD_NAME, POD_NAMESPACE, POD_UID and DBPROXY_POD_IP are set by the operator",
    ),
    "a class that is no label": (proxy(operatorClass="Team_A"), "spec.operatorClass"),
    "a sidecar in place of the proxy": (
        pod(containers=[{"name": "proxy", "image": "other"}]),
        "the container `proxy` is the operator's",
    ),
    "a sidecar on a port of the node": (
        pod(
            containers=[
                {"name": "log", "image": "log", "ports": [{"containerPort": 1, "hostPort": 1}]}
            ]
        ),
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
    "a group's name that begins with a digit": (
        named(group(), "1a"),
        "begin with a lower-case letter",
    ),
    "an endpoint's name of 51 characters": (named(endpoint(), "a" * 51), "at most 50 characters"),
    "an endpoint's name that begins with a digit": (named(endpoint(), "1a"), LOWER),
    "an endpoint named as its proxy": (
        named(endpoint(), "orders"),
        "an endpoint may not be named as its proxy",
    ),
    "an endpoint named as the Service of its proxy's pods": (
        named(endpoint(), "orders-peers"),
        "which is that of the Service by which the proxy's pods find each other",
    ),
    "an endpoint without proxy": (
        {**endpoint(), "spec": {"targetRole": "READ_ONLY"}},
        "spec.proxyRef: Required value",
    ),
    "an unknown role": (
        endpoint(targetRole="WRITER"),
        'supported values: "READ_WRITE", "READ_ONLY"',
    ),
    "an endpoint's label of the operator's": (
        endpoint(service={"labels": {"dbproxy.dev/proxy": "other"}}),
        OWN,
    ),
    "no target": (group(targets=[]), "spec.targets"),
    "a limit on the lag that no replica could keep": (group(maxReplicaLag=0), "spec.maxReplicaLag"),
    "a limit on the lag of more than a day": (group(maxReplicaLag=86401), "spec.maxReplicaLag"),
    "17 targets": (group(targets=targets(17)), "must have at most 16 items"),
    "two targets of one name": (
        group(targets=[{"name": "db", "host": "a"}, {"name": "db", "host": "b"}]),
        "Duplicate value",
    ),
    "two targets of one address": (
        group(targets=[{"name": "a", "host": "db"}, {"name": "b", "host": "db"}]),
        "two targets may not have the same host and port",
    ),
    "two targets of one address, written out": (
        group(
            targets=[
                {"name": "a", "host": "db", "port": 3306},
                {"name": "b", "host": "db", "port": 3306},
            ]
        ),
        "two targets may not have the same host and port",
    ),
    "a target without host": (
        group(targets=[{"name": "db"}]),
        "spec.targets[0].host: Required value",
    ),
    "a host with a port": (
        group(targets=[{"name": "db", "host": "db:5432x"}]),
        "spec.targets[0].host",
    ),
    "a host with a space": (
        group(targets=[{"name": "db", "host": "db 0"}]),
        "spec.targets[0].host",
    ),
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
    "more idle connections at least than at most": (
        pool(maxIdleConnectionsPercent=20, minIdleConnectionsPercent=21),
        "minIdleConnectionsPercent may not be higher than maxIdleConnectionsPercent",
    ),
    "more idle connections at least than half": (
        pool(maxConnectionsPercent=31, minIdleConnectionsPercent=16),
        "which is half of maxConnectionsPercent if left out",
    ),
    "a number of questions to clients that the kernel doesn't count": (
        proxy(tcp={"keepaliveCount": 3}),
        "keepaliveCount counts only where userTimeout is 0",
    ),
    "a number of questions to targets that the kernel doesn't count": (
        group(tcp={"keepaliveCount": 3, "userTimeout": 60}),
        "keepaliveCount counts only where userTimeout is 0",
    ),
    "a transaction that may not idle at all": (
        proxy(idleInTransactionTimeout=0),
        "should be greater than or equal to 1",
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
    "a monitor without name": (
        group(monitorSecretRef={}),
        "spec.monitorSecretRef.name: Required value",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(namespace_of_module: Cluster, case: str) -> None:
    made, message = REFUSED[case]
    with pytest.raises(RefusedError) as refusal:
        namespace_of_module.create(made, dry_run=True)
    assert message in str(refusal.value)
