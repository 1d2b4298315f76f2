"""Operators come, go, double and lose their API server; proxies serve on. Each test runs alone."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.fix_cluster import (
    ROOT,
    SYSTEM,
    Cluster,
    RefusedError,
    eventually,
    fresh_namespace,
    install,
)
from tests.fix_shop import (
    OPERATOR,
    Shop,
    basic_auth,
    scale_operator,
    settles,
    wait_for_operator,
)
from tests.resources import proxy

pytestmark = [pytest.mark.alone, pytest.mark.timeout(400)]
SELECTOR = f"app.kubernetes.io/name={OPERATOR}"
NODE = [sys.executable, "-m", "tests.cluster.node"]


@pytest.fixture
def as_before(operator: Cluster) -> Iterator[Cluster]:
    """Whatever a test made of the operator, it is put back."""
    yield operator
    install(operator)
    wait_for_operator(operator)


def operators(cluster: Cluster) -> list[str]:
    found = cluster.within(SYSTEM).list("pods", SELECTOR)
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def leads(cluster: Cluster, pod: str) -> bool:
    path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy/metrics"
    try:
        metrics = cluster.kubectl("get", "--raw", path).splitlines()
    except RefusedError:
        # It has no address yet, or doesn't listen.
        return False
    return "dbproxy_operator_leader 1.0" in metrics


def leaders(cluster: Cluster) -> list[str]:
    return [pod for pod in operators(cluster) if leads(cluster, pod)]


def holder(cluster: Cluster) -> str:
    lease = cluster.within(SYSTEM).get("lease", "dbproxy-operator")
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


def applied(shop: Shop, seconds: int) -> bool:
    """Whether every pod reports the settings of a spec with this idle time."""
    config = shop.cluster.get("configmap", "orders-config")
    ready = shop.condition("dbproxy", "orders", "Ready")
    seen = shop.cluster.get("dbproxy", "orders")
    assert config is not None
    assert seen is not None
    settings = json.loads(config["data"]["settings.json"])
    current = ready.get("observedGeneration") == seen["metadata"]["generation"]
    return bool(settings["idleClientTimeout"] == seconds and current and ready["status"] == "True")


def change(shop: Shop, seconds: int) -> None:
    shop.cluster.patch("dbproxy", "orders", {"spec": {"idleClientTimeout": seconds}})


def test_of_two_operators_one_works_and_the_other_takes_over(
    shop: Shop, as_before: Cluster
) -> None:
    shop.open()
    install(as_before, "--set", "replicas=2")
    wait_for_operator(as_before)
    eventually(lambda: len(operators(as_before)) == 2, "two operators run")
    (leader,) = eventually(lambda: leaders(as_before), "one of them leads")
    assert holder(as_before) == leader
    change(shop, 101)
    eventually(lambda: applied(shop, 101), "a change is applied")
    as_before.within(SYSTEM).kubectl("delete", "pod", leader, "--force", "--grace-period=0")
    change(shop, 102)
    eventually(lambda: applied(shop, 102), "the other one applies the next change", 60)
    assert len(leaders(as_before)) == 1
    assert holder(as_before) != leader


def test_an_upgrade_to_another_pod_template_restarts_no_proxy_until_asked(
    shop: Shop, as_before: Cluster
) -> None:
    shop.open()
    pods = shop.pods()
    install(as_before, "--set", "proxyImage.tag=next")
    wait_for_operator(as_before)
    message = shop.expect("dbproxy", "orders", "UpgradeAvailable", "True", "NewerTemplate", 60)
    assert "annotate the DBProxy with dbproxy.dev/upgrade=" in message
    change(shop, 103)
    eventually(lambda: applied(shop, 103), "settings still reach the pods")
    assert shop.pods() == pods
    assert shop.restarts() == 0
    shop.cluster.kubectl("annotate", "dbproxy", "orders", "dbproxy.dev/upgrade=now")
    eventually(lambda: image(shop) == "localhost/dbproxy-proxy:next", "the newer template is taken")
    assert pods.items() <= shop.pods().items(), "the old pods serve until new ones are ready"


def image(shop: Shop) -> str:
    deployment = shop.cluster.get("deployment", "orders")
    assert deployment is not None
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def unserved(home: Cluster, release: str) -> str:
    """How many of its namespaces an operator leaves out; nothing while it does not say."""
    selector = f"app.kubernetes.io/instance={release}"
    for pod in home.list("pods", selector):
        path = f"/api/v1/namespaces/{home.namespace}/pods/{pod['metadata']['name']}:8080"
        try:
            metrics = home.kubectl("get", "--raw", f"{path}/proxy/metrics").splitlines()
        except RefusedError:
            continue
        for line in metrics:
            if line.startswith("dbproxy_operator_unserved_namespaces "):
                return line.split()[1]
    return ""


def beside(operator: Cluster, home: Cluster, release: str, *values: str) -> None:
    """Install one more release of the chart."""
    common = ["crds.enabled=false", "rbac.aggregate=false", *values]
    arguments = [part for value in common for part in ("--set", value)]
    install(operator, *arguments, release=release, namespace=home.namespace)


def test_an_operator_of_chosen_namespaces_serves_only_those_and_goes_on_without_one(
    shop: Shop, database: None, operator: Cluster
) -> None:
    scale_operator(operator, 0)
    try:
        with (
            fresh_namespace(operator) as elsewhere,
            fresh_namespace(operator) as doomed,
            fresh_namespace(operator) as home,
        ):
            both = f"watchNamespaces={{{shop.name},{doomed.namespace}}}"
            beside(operator, home, "few", both)
            elsewhere.apply(basic_auth("app", "app", "app-1"), proxy(replicas=1))
            shop.open()
            shop.must_work()
            seen = elsewhere.get("dbproxy", "orders")
            assert seen is not None
            assert seen["status"]["observedGeneration"] == -1
            doomed.kubectl("delete", "namespace", doomed.namespace)
            change(shop, 105)
            eventually(lambda: applied(shop, 105), "a change is applied elsewhere")
            # Its watches last for minutes; one that starts now finds the rights gone.
            home.kubectl("delete", "pod", "--all", "--force", "--grace-period=0")
            eventually(lambda: unserved(home, "few") == "1.0", "the operator leaves it out")
            change(shop, 106)
            eventually(lambda: applied(shop, 106), "a change is still applied elsewhere")
            shop.cluster.kubectl("delete", "dbproxy", "orders")
            home.run("helm", "uninstall", "few", "--wait")
    finally:
        scale_operator(operator, 1)


def test_operators_of_two_classes_leave_each_other_s_proxies_alone(
    shop: Shop, operator: Cluster
) -> None:
    with fresh_namespace(operator) as home:
        beside(operator, home, "next", "operatorClass=next")
        shop.open(operatorClass="next")
        shop.must_work()
        settles(lambda: versions(shop), "what belongs to the proxy")
        home.kubectl("scale", "deployment/next-operator", "--replicas=0")
        eventually(lambda: not home.list("pods"), "the operator of the other class ends")
        before = versions(shop)
        shop.cluster.kubectl("delete", "poddisruptionbudget", "orders")
        shop.cluster.apply({**proxy(replicas=1), "metadata": {"name": "ours"}})
        shop.ready("dbproxy/ours")
        assert versions(shop) == before
        assert shop.cluster.get("poddisruptionbudget", "orders") is None
        home.kubectl("scale", "deployment/next-operator", "--replicas=1")
        eventually(
            lambda: shop.cluster.get("poddisruptionbudget", "orders"), "its own operator repairs it"
        )
        home.run("helm", "uninstall", "next", "--wait")


def versions(shop: Shop) -> dict[str, str]:
    """Of what an operator of that proxy would write."""
    found = [shop.cluster.get(kind, name) for kind, name in OF_ORDERS]
    return {
        f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
        for one in found
        if one is not None
    }


OF_ORDERS = (
    ("dbproxy", "orders"),
    ("configmap", "orders-config"),
    ("secret", "orders-config"),
    ("service", "orders"),
    ("role", "orders-proxy"),
)


CLIENT = """
import sys, time, psycopg
where = sys.argv[1]
held = psycopg.connect(where, autocommit=True)
print("ready", flush=True)
done = failed = 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    try:
        held.execute("select 1")
        with psycopg.connect(where, autocommit=True) as fresh:
            fresh.execute("select 2")
        done += 1
    except psycopg.Error as error:
        failed += 1
        print(error, file=sys.stderr)
    time.sleep(0.2)
print(done, failed, flush=True)
"""


def node(*arguments: str) -> None:
    subprocess.run([*NODE, *arguments], cwd=ROOT, check=True, timeout=120)


def test_without_an_api_server_clients_go_on_and_what_changed_is_applied_after(
    shop: Shop, as_before: Cluster
) -> None:
    shop.open(replicas=2)
    service = shop.cluster.get("service", "orders")
    assert service is not None
    pods = shop.pods()
    where = f"host={service['spec']['clusterIP']} user=app password=app-1 dbname=shop"
    client = subprocess.Popen(
        [*NODE, "inside", sys.executable, "-c", CLIENT, f"{where} sslmode=require", "60"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    assert client.stdout.readline().strip() == "ready"
    node("stop-apiserver")
    try:
        output, faults = client.communicate(timeout=120)
    finally:
        node("start-apiserver")
    done, failed = output.split()
    assert int(failed) == 0, faults
    assert int(done) > 20
    change(shop, 104)
    eventually(lambda: applied(shop, 104), "what changed is applied", 120)
    assert shop.pods() == pods
    assert shop.restarts() == 0
