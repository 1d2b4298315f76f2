"""A DBProxy from apply to delete: Ready, its children, scaling, repair of edits."""

import base64
import json

import pytest
from tests.fix_cluster import Object, eventually
from tests.fix_shop import Shop, basic_auth, restart_operator, scale_operator, settles
from tests.resources import group, proxy

pytestmark = pytest.mark.timeout(300)

CHILDREN = {
    ("Deployment", "orders"),
    ("Service", "orders"),
    ("Service", "orders-peers"),
    ("PodDisruptionBudget", "orders"),
    ("ServiceAccount", "orders-proxy"),
    ("Role", "orders-proxy"),
    ("RoleBinding", "orders-proxy"),
    ("ConfigMap", "orders-config"),
    ("Secret", "orders-config"),
    ("ConfigMap", "orders-ca"),
    ("Secret", "orders-ca-key"),
}
KINDS = "deploy,service,pdb,serviceaccount,role,rolebinding,configmap,secret,pod"


def children(shop: Shop) -> set[tuple[str, str]]:
    return {
        (one["kind"], one["metadata"]["name"])
        for one in shop.cluster.list(KINDS, "app.kubernetes.io/managed-by=dbproxy-operator")
        if one["kind"] != "Pod"
    }


def test_three_resources_make_a_proxy_that_psql_goes_through(shop: Shop) -> None:
    shop.add_endpoint()
    shop.open(replicas=2)
    shop.expect("dbpe", "orders-ro", "Ready", "False", "NoReader")
    assert shop.psql("select current_user").strip() == "app"
    assert children(shop) - {("Service", "orders-ro")} == CHILDREN
    line = shop.cluster.kubectl("get", "dbproxy", "orders").splitlines()[1].split()
    endpoint = f"orders.{shop.name}.svc:5432"
    assert line[:7] == ["orders", "POSTGRESQL", endpoint, "db-0", "True", "2/2", "1/1"]


def test_an_endpoint_gets_its_service_once_the_pods_listen(shop: Shop) -> None:
    shop.open()
    shop.add_endpoint(targetRole="READ_WRITE")
    shop.ready("dbproxyendpoint/orders-ro")
    # The node's kube-proxy learns of the new Service when it does.
    eventually(lambda: shop.works(service="orders-ro"), "the endpoint's Service answers")
    seen = shop.cluster.get("dbpe", "orders-ro")
    assert seen is not None
    assert seen["status"]["endpoint"] == f"orders-ro.{shop.name}.svc:5432"
    service = shop.cluster.get("service", "orders-ro")
    assert service is not None
    assert service["spec"]["ports"][0]["targetPort"] == seen["status"]["port"]
    pods = shop.pods()
    shop.cluster.kubectl("delete", "dbpe", "orders-ro")
    eventually(lambda: shop.cluster.get("service", "orders-ro") is None, "the Service goes")
    assert shop.pods() == pods


def test_a_change_of_settings_reaches_the_pods_without_a_restart(shop: Shop) -> None:
    shop.open()
    pods = shop.pods()
    shop.cluster.patch("dbproxy", "orders", {"spec": {"idleClientTimeout": 77}})
    generation = 2

    def proven() -> bool:
        seen = shop.condition("dbproxy", "orders", "Ready")
        return bool(seen["status"] == "True" and seen["observedGeneration"] >= generation)

    eventually(proven, "every pod reports the new settings")
    assert shop.pods() == pods
    assert shop.restarts() == 0


def test_kubectl_scale_changes_the_number_of_pods(shop: Shop) -> None:
    shop.open()
    shop.cluster.kubectl("scale", "dbp", "orders", "--replicas=2")
    eventually(lambda: len(shop.pods()) == 2, "a second pod comes")
    shop.ready("dbproxy/orders")
    shop.cluster.kubectl("scale", "dbp", "orders", "--replicas=1")
    eventually(lambda: len(shop.pods()) == 1, "one pod is left")
    shop.must_work()


EDITS: dict[str, tuple[str, str, Object]] = {
    "a Service's port": (
        "service",
        "orders",
        {"spec": {"ports": [{"name": "database", "port": 5432, "targetPort": 1}]}},
    ),
    "a Service's selector": ("service", "orders", {"spec": {"selector": {"app": "other"}}}),
    "settings": ("configmap", "orders-config", {"data": {"settings.json": "{}", "more": "x"}}),
    "credentials": ("secret", "orders-config", {"stringData": {"credentials.json": "{}"}}),
    "rights": ("role", "orders-proxy", {"rules": []}),
    "the number of pods": ("deployment", "orders", {"spec": {"replicas": 3}}),
}


def meaning(kind: str, one: Object) -> Object:
    """What an edit changes; revisions rise with each repair."""
    if kind in ("configmap", "secret"):
        texts = {
            key: base64.b64decode(value).decode() if kind == "secret" else value
            for key, value in one["data"].items()
        }
        return {key: stable(text) for key, text in texts.items()}
    if kind == "role":
        return {"rules": one["rules"]}
    keys = ("ports", "selector", "replicas")
    return {key: one["spec"][key] for key in keys if key in one["spec"]}


def stable(text: str) -> str:
    if not text.startswith("{"):
        return text
    values = json.loads(text)
    return json.dumps(
        {
            key: value
            for key, value in values.items()
            if "evision" not in key and key != "fleetSecret"
        }
    )


def test_what_is_edited_by_hand_comes_back(shop: Shop) -> None:
    shop.open()
    for what, (kind, name, change) in EDITS.items():
        before = shop.cluster.get(kind, name)
        assert before is not None
        wanted = meaning(kind, before)
        shop.cluster.patch(kind, name, change)

        def repaired(kind: str = kind, name: str = name, wanted: Object = wanted) -> bool:
            now = shop.cluster.get(kind, name)
            return now is not None and meaning(kind, now) == wanted

        eventually(repaired, f"{what} come back")
    shop.ready("dbproxy/orders")
    shop.must_work()


def test_what_is_deleted_by_hand_comes_back(shop: Shop) -> None:
    shop.open()
    # The pods last: the token of those that run is good for the ServiceAccount that was.
    deleted = CHILDREN - {("Secret", "orders-ca-key")}
    for kind, name in sorted(deleted, key=lambda child: (child[0] == "Deployment", child)):
        before = shop.cluster.get(kind, name)
        assert before is not None
        uid = before["metadata"]["uid"]
        shop.cluster.kubectl("delete", kind, name, "--wait=false")

        def recreated(kind: str = kind, name: str = name, uid: str = uid) -> bool:
            now = shop.cluster.get(kind, name)
            return now is not None and now["metadata"]["uid"] != uid

        eventually(recreated, f"{kind} {name} comes back")
    shop.ready("dbproxy/orders")
    eventually(shop.works, "psql goes through again")


@pytest.mark.alone
def test_an_operator_killed_at_any_moment_converges_after_its_restart(shop: Shop) -> None:
    shop.cluster.apply(
        basic_auth("app", "app", "app-1"), basic_auth("monitor", "monitor", "monitor-1")
    )
    shop.cluster.apply(proxy(replicas=1, drainTimeout=5))
    eventually(lambda: children(shop), "the first child is there")
    restart_operator(shop.cluster)
    shop.open()
    assert children(shop) == CHILDREN
    shop.must_work()


@pytest.mark.alone
def test_a_restart_of_the_operator_restarts_no_proxy(shop: Shop) -> None:
    shop.open()
    pods = shop.pods()
    revision = shop.cluster.get("configmap", "orders-config")
    restart_operator(shop.cluster)
    shop.cluster.patch("dbproxy", "orders", {"spec": {"idleClientTimeout": 99}})
    eventually(lambda: shop.cluster.get("configmap", "orders-config") != revision, "it works again")
    shop.ready("dbproxy/orders")
    assert shop.pods() == pods
    assert shop.restarts() == 0


def test_deleting_the_proxy_removes_every_child_and_keeps_what_is_the_users(shop: Shop) -> None:
    shop.add_endpoint(targetRole="READ_WRITE")
    shop.open()
    shop.ready("dbproxyendpoint/orders-ro")
    shop.cluster.kubectl("delete", "dbproxy", "orders")
    eventually(lambda: children(shop) <= {("Service", "orders-ro")}, "all children go")
    eventually(lambda: not shop.pods(), "all pods go")
    shop.expect("dbptg", "orders-db", "Ready", "False", "ProxyNotFound")
    shop.expect("dbpe", "orders-ro", "Ready", "False", "ProxyNotFound")


@pytest.mark.alone
def test_deleting_the_proxy_removes_every_child_while_the_operator_is_down(shop: Shop) -> None:
    shop.open()
    scale_operator(shop.cluster, 0)
    try:
        shop.cluster.kubectl("delete", "dbproxy", "orders", "--timeout=30s")
        eventually(lambda: not children(shop), "all children go")
        eventually(lambda: not shop.pods(), "all pods go")
    finally:
        scale_operator(shop.cluster, 1)


def test_nothing_that_is_done_is_done_again_and_again(shop: Shop) -> None:
    shop.open()
    kinds = "dbproxy,dbptg,deployment,service,configmap,secret,role,pdb"

    def versions() -> dict[str, str]:
        return {
            f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
            for one in shop.cluster.list(kinds, "")
        }

    settles(versions, "what is stored", quiet=10)


def test_a_group_without_its_proxy_waits_for_it(shop: Shop) -> None:
    shop.cluster.apply(group())
    shop.expect("dbptg", "orders-db", "Ready", "False", "ProxyNotFound")
    shop.open()
    shop.must_work()
