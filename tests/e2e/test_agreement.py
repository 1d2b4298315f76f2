"""What the API server accepts, the operator's models can read: CEL and defaults included.

Objects are put together at random, from values at and around every limit, under a fixed seed. What
one side takes and the other refuses leaves a proxy with a spec that nobody reads.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.fix_cluster import Cluster, RefusedError
from tests.resources import Object, endpoint, group, proxy

from dbproxy_operator import spec

OBJECTS = 120
Choices = dict[str, list[Any]]

SERVICE: Choices = {
    "type": ["ClusterIP", "NodePort", "LoadBalancer"],
    "ipFamilyPolicy": ["SingleStack", "PreferDualStack", "RequireDualStack"],
    "ipFamilies": [["IPv4"], ["IPv6", "IPv4"], []],
    "externalTrafficPolicy": ["Cluster", "Local"],
    "internalTrafficPolicy": ["Local"],
    "loadBalancerClass": ["example.com/x", ""],
    "loadBalancerSourceRanges": [["10.0.0.0/8"], []],
    "labels": [{"team": "a"}, {"dbproxy.dev/x": "a"}, {"app.kubernetes.io/name": "a"}, {"a": "ä"}],
    "annotations": [{"a": ""}, {"dbproxy.dev/x": "a"}, {"app.kubernetes.io/name": "a"}],
}
SIDECARS = [
    [{"name": "log", "image": "i"}],
    [{"name": "proxy", "image": "i"}],
    [{"name": "a", "image": "i", "ports": [{"containerPort": 1, "hostPort": 0}]}],
    [{"name": "a", "image": "i", "ports": [{"containerPort": 1, "hostPort": 1}]}],
    [{"name": "a", "image": "i", "resources": None, "env": [{"name": "A", "value": ""}]}],
]
PROXY: Choices = {
    "auth": [
        [{"secretRef": {"name": "a.b"}, "description": "ä" * 1024}],
        [{"secretRef": {"name": "a"}, "clientPasswordAuthType": "POSTGRES_MD5"}],
        [{"secretRef": {"name": "a"}, "clientPasswordAuthType": "MYSQL_NATIVE_PASSWORD"}],
        [{"secretRef": {"name": "a"}, "clientPasswordAuthType": "MARIADB_CLIENT_ED25519"}],
    ],
    "engineFamily": ["MYSQL", "MYSQL", "POSTGRESQL", "SQLSERVER"],
    "credentialRotationGracePeriod": [0, 86400, 86401, 300.0],
    "requireTLS": [True, "true"],
    "tls": [
        {"secretName": "mine"},
        {"secretName": "mine\n"},
        {},
        *({"dnsNames": [name]} for name in ("*.a.example", "1a", "a.1", "10.0.0.1", "a\n", "a_b")),
        *({"ipAddresses": [one]} for one in ("10.0.0.1", "::", "::ffff:1.2.3.4", "01.2.3.4")),
        *({"ipAddresses": [one]} for one in ("fe80::1%eth0", "1.2.3", "::ffff:1.2.3.04")),
        {"secretName": "mine", "dnsNames": []},
        {"dnsNames": ["a", "a"]},
    ],
    "idleClientTimeout": [1, 28800, 0],
    "replicas": [1, 2.0, 1.5, 0, 2**31 - 1],
    "drainTimeout": [1, 3600, 3601],
    "port": [1, 65535, 65536, 5432.0, None],
    "image": ["i", "", "ä" * 1024],
    "service": [SERVICE],
    "template": [
        {},
        {"metadata": {"labels": {"team": "a"}}},
        {"metadata": {"annotations": {"dbproxy.dev/x": "a"}}},
        *({"spec": {"containers": containers}} for containers in SIDECARS),
        {"spec": {"resources": {"requests": {"cpu": "250m", "memory": 1}, "limits": {"cpu": 2}}}},
        {"spec": {"resources": {"requests": {"cpu": "1 m"}}}},
        {"spec": {"resources": {"requests": {"cpu": 0.5}}}},
        {"spec": {"tolerations": [{"operator": "Exists", "tolerationSeconds": -1}]}},
        {"spec": {"affinity": {}, "nodeSelector": {"a": ""}, "topologySpreadConstraints": []}},
        {"spec": {"priorityClassName": "high", "runtimeClassName": "a_b"}},
    ],
}
GROUP: Choices = {
    "targets": [
        [{"name": "a", "host": "h"}, {"name": "b", "host": "h", "port": 5432}],
        [{"name": "a", "host": "h"}, {"name": "b", "host": "h"}],
        [{"name": "a", "host": "h"}, {"name": "b", "host": "H"}],
        [{"name": "a", "host": "h"}, {"name": "b", "host": "h", "port": 5433}],
        [{"name": "a", "host": "h", "port": 5433.0}],
        [{"name": "a", "host": "h"}, {"name": "a", "host": "i"}],
        [{"name": "a", "host": "2001:db8::1"}, {"name": "b", "host": "h."}],
        [{"name": "a", "host": "h\n"}],
    ],
    "connectionPoolConfig": [
        {},
        {"maxConnectionsPercent": 1},
        {"maxConnectionsPercent": 1, "maxIdleConnectionsPercent": 1},
        {"maxConnectionsPercent": 1, "maxIdleConnectionsPercent": 2},
        {"maxIdleConnectionsPercent": 100},
        {"maxConnectionsPercent": 1, "minIdleConnectionsPercent": 1},
        {"maxConnectionsPercent": 31, "minIdleConnectionsPercent": 15},
        {"maxConnectionsPercent": 31, "minIdleConnectionsPercent": 16},
        {"maxIdleConnectionsPercent": 20, "minIdleConnectionsPercent": 20},
        {"maxIdleConnectionsPercent": 20, "minIdleConnectionsPercent": 21},
        {"maxIdleConnectionsPercent": 0, "connectionBorrowTimeout": 0},
        {"connectionBorrowTimeout": 301},
        {"initQuery": ""},
        {"initQuery": "ä" * 16384},
    ],
    "monitorSecretRef": [{"name": "m"}, {}],
    "writerElection": [{"configMapRef": {"name": "e"}}, {}],
    "maxReplicaLag": [0, 1, 86400, 86401, 10.0, "10"],
    "tls": [
        {},
        {"mode": "VERIFY_CA"},
        {"mode": "VERIFY_IDENTITY", "caSecretRef": {"name": "ca"}},
        {"caSecretRef": {"name": "ca"}},
        {"mode": "DISABLED", "caSecretRef": {}},
    ],
}
ENDPOINT: Choices = {"targetRole": ["READ_ONLY", "READ_WRITE", "ANY"], "service": [SERVICE]}

Make = Callable[..., Object]
Parse = Callable[[Object], object]
KINDS: dict[str, tuple[Make, Choices, Parse]] = {
    "a proxy": (proxy, PROXY, spec.parse_proxy),
    "a target group": (group, GROUP, spec.parse_target_group),
    "an endpoint": (endpoint, ENDPOINT, spec.parse_endpoint),
}


def chosen(choices: Choices, chance: random.Random) -> Object:
    """One to four of the fields, each with one of its values."""
    found: Object = {}
    for field in chance.sample(sorted(choices), min(len(choices), chance.randint(1, 4))):
        value = chance.choice(choices[field])
        found[field] = chosen(value, chance) if value is SERVICE else value
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_api_server_accepts_can_be_read(namespace_of_module: Cluster, kind: str) -> None:
    make, choices, parse = KINDS[kind]
    chance = random.Random(7)
    accepted = 0
    for _ in range(OBJECTS):
        made = make(**chosen(choices, chance))
        try:
            created = namespace_of_module.create(made, dry_run=True)
        except RefusedError:
            continue
        accepted += 1
        parse(created)
    assert OBJECTS // 10 < accepted < OBJECTS
