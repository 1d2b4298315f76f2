"""Operators come, go, double and lose their API server; proxies serve on. Each test runs alone."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.fix_cluster import ROOT, SYSTEM, Cluster, eventually, fresh_namespace, install
from tests.fix_shop import (
    OPERATOR,
    Shop,
    basic_auth,
    scale_operator,
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
    metrics = cluster.kubectl("get", "--raw", path).splitlines()
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


def test_an_operator_of_chosen_namespaces_serves_only_those(
    shop: Shop, database: None, operator: Cluster
) -> None:
    scale_operator(operator, 0)
    try:
        with fresh_namespace(operator) as elsewhere, fresh_namespace(operator) as home:
            only = ["--set", f"watchNamespaces={{{shop.name}}}", "--set", "crds.enabled=false"]
            install(
                operator,
                *only,
                "--set",
                "rbac.aggregate=false",
                release="few",
                namespace=home.namespace,
            )
            elsewhere.apply(basic_auth("app", "app", "app-1"), proxy(replicas=1))
            shop.open()
            shop.must_work()
            seen = elsewhere.get("dbproxy", "orders")
            assert seen is not None
            assert seen["status"]["observedGeneration"] == -1
            shop.cluster.kubectl("delete", "dbproxy", "orders")
            home.run("helm", "uninstall", "few", "--wait")
    finally:
        scale_operator(operator, 1)


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
    assert int(done) > 100
    change(shop, 104)
    eventually(lambda: applied(shop, 104), "what changed is applied", 120)
    assert shop.pods() == pods
    assert shop.restarts() == 0
