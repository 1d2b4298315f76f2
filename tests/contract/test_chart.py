"""The chart as Helm renders it: what it installs, what it asks for, and what values it refuses."""

import subprocess
import sys

import pytest
import yaml
from tests.fix_contract import ROOT, HelmRefusedError, Object, Render

from dbproxy_operator.run.lease import lease_name
from dbproxy_operator.run.settings import from_environment


def only(objects: list[Object], kind: str, name: str = "") -> Object:
    found = [
        one for one in objects if one["kind"] == kind and name in ("", one["metadata"]["name"])
    ]
    assert len(found) == 1
    return found[0]


def kinds(objects: list[Object]) -> set[str]:
    return {one["kind"] for one in objects}


def pod_of(objects: list[Object]) -> Object:
    spec = only(objects, "Deployment")["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def test_the_copies_of_the_custom_resources_are_in_step() -> None:
    script = ROOT / "helm" / "sync_crds.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_installs_the_custom_resources_and_keeps_them(
    render: Render, crds: dict[str, Object]
) -> None:
    installed = [one for one in render() if one["kind"] == "CustomResourceDefinition"]
    assert {one["spec"]["names"]["kind"]: one["spec"] for one in installed} == {
        kind: crd["spec"] for kind, crd in crds.items()
    }
    for one in installed:
        assert one["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_leaves_the_custom_resources_out_if_asked(render: Render) -> None:
    assert "CustomResourceDefinition" not in kinds(render("crds.enabled=false"))


def test_lets_the_custom_resources_go_if_asked(render: Render) -> None:
    for one in render("crds.keep=false"):
        if one["kind"] == "CustomResourceDefinition":
            assert "annotations" not in one["metadata"]


def test_the_operator_runs_under_restricted_pod_security(render: Render) -> None:
    pod = pod_of(render())
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"]
    assert pod["enableServiceLinks"] is False


def test_images_carry_the_version_of_the_chart(render: Render) -> None:
    version = yaml.safe_load((ROOT / "helm/dbproxy/Chart.yaml").read_text())["appVersion"]
    (container,) = pod_of(render())["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert container["image"] == f"dbproxy-operator:{version}"
    assert environment["PROXY_IMAGE"] == f"dbproxy-proxy:{version}"


def test_serves_all_namespaces_by_one_cluster_role(render: Render) -> None:
    objects = render("rbac.aggregate=false")
    rules = only(objects, "ClusterRole")["rules"]
    assert any("secrets" in rule["resources"] for rule in rules)
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "Role"] == [
        "dbproxy-operator-lease"
    ]


def test_serves_chosen_namespaces_by_a_role_in_each(render: Render) -> None:
    objects = render("rbac.aggregate=false", "watchNamespaces={shop,bank}")
    assert not {"ClusterRole", "ClusterRoleBinding"} & kinds(objects)
    for kind in ("Role", "RoleBinding"):
        found = {
            one["metadata"]["namespace"]
            for one in objects
            if one["kind"] == kind and one["metadata"]["name"] == "dbproxy-operator"
        }
        assert found == {"shop", "bank"}
    (container,) = pod_of(objects)["containers"]
    assert {"name": "WATCH_NAMESPACES", "value": "shop,bank"} in container["env"]


def test_asks_for_no_right_that_could_raise_rights(render: Render) -> None:
    for one in render("watchNamespaces={shop}") + render():
        for rule in one.get("rules", []):
            assert not {"escalate", "bind", "impersonate", "*"} & set(rule["verbs"])
            assert "*" not in rule["resources"]
            assert "*" not in rule["apiGroups"]


def test_viewers_see_and_editors_change_the_three_kinds(render: Render) -> None:
    objects = render()
    view = only(objects, "ClusterRole", "dbproxy-operator-view")
    edit = only(objects, "ClusterRole", "dbproxy-operator-edit")
    group = "rbac.authorization.k8s.io/aggregate-to-"
    assert {key for key in view["metadata"]["labels"] if key.startswith(group)} == {
        f"{group}{role}" for role in ("view", "edit", "admin")
    }
    assert {key for key in edit["metadata"]["labels"] if key.startswith(group)} == {
        f"{group}{role}" for role in ("edit", "admin")
    }
    seen = {resource for rule in view["rules"] for resource in rule["resources"]}
    assert {"dbproxies", "dbproxytargetgroups", "dbproxyendpoints", "dbproxies/scale"} <= seen


@pytest.mark.parametrize(("replicas", "count"), [(1, 0), (2, 1)])
def test_a_disruption_budget_comes_with_the_second_replica(
    render: Render, replicas: int, count: int
) -> None:
    budgets = [one for one in render(replicas=replicas) if one["kind"] == "PodDisruptionBudget"]
    assert len(budgets) == count


def test_metrics_objects_come_only_if_asked(render: Render) -> None:
    assert not {"Service", "PodMonitor"} & kinds(render())
    asked = render("metrics.service.enabled=true", "metrics.podMonitor.enabled=true")
    assert {"Service", "PodMonitor"} <= kinds(asked)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("replicaCount=2", "replicaCount"),
        ("image.repository=", "repository"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("watchNamespaces={Shop}", "watchNamespaces"),
        ("crds.enabled=perhaps", "enabled"),
        ("resources.request.cpu=1", "request"),
        ("metrics.podMonitor.interval=often", "interval"),
        ("image.digest=latest", "digest"),
        ("logLevel=loud", "logLevel"),
        ("clusterDomain=not a name", "clusterDomain"),
    ],
)
def test_refuses_the_value(render: Render, value: str, complaint: str) -> None:
    with pytest.raises(HelmRefusedError, match=complaint):
        render(value)


@pytest.mark.parametrize("replicas", [0, 11])
def test_refuses_so_many_replicas(render: Render, replicas: int) -> None:
    with pytest.raises(HelmRefusedError, match="replicas"):
        render(replicas=replicas)


def test_images_are_named_by_their_digest_where_there_is_one(render: Render) -> None:
    digest = "sha256:" + "ab" * 32
    objects = render(f"image.digest={digest}", f"proxyImage.digest={digest}")
    (container,) = pod_of(objects)["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert container["image"] == f"dbproxy-operator@{digest}"
    assert environment["PROXY_IMAGE"] == f"dbproxy-proxy@{digest}"


def test_defaults_for_proxies_reach_the_operator_as_it_reads_them(render: Render) -> None:
    asked = (
        "proxyDefaults.imagePullSecrets[0].name=registry",
        "proxyDefaults.imagePullPolicy=Always",
        "proxyDefaults.resources.requests.cpu=250m",
    )
    (container,) = pod_of(render(*asked))["containers"]
    environment = {one["name"]: one.get("value", "x") for one in container["env"]}
    read = from_environment(environment).pod_defaults
    assert [one.name for one in read.image_pull_secrets] == ["registry"]
    assert read.image_pull_policy == "Always"
    assert read.resources is not None
    assert read.resources.requests == {"cpu": "250m"}


def test_the_cluster_s_domain_reaches_the_operator(render: Render) -> None:
    (container,) = pod_of(render("clusterDomain=corp.example"))["containers"]
    environment = {one["name"]: one.get("value", "x") for one in container["env"]}
    assert from_environment(environment).cluster_domain == "corp.example"


def test_the_platform_may_choose_the_user(render: Render) -> None:
    pod = pod_of(render("podSecurityContext.runAsUser=null", "podSecurityContext.runAsGroup=null"))
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_names_labels_variables_and_spread_are_the_users(render: Render) -> None:
    objects = render(
        "fullnameOverride=dbproxy",
        "commonLabels.team=data",
        "extraEnv[0].name=HTTPS_PROXY",
        "extraEnv[0].value=proxy.example:3128",
        "logLevel=debug",
        "topologySpreadConstraints[0].topologyKey=topology.kubernetes.io/zone",
    )
    assert only(objects, "Deployment")["metadata"]["name"] == "dbproxy"
    for one in objects:
        if one["kind"] != "CustomResourceDefinition":
            assert one["metadata"]["labels"]["team"] == "data"
    pod = pod_of(objects)
    (container,) = pod["containers"]
    assert {"name": "HTTPS_PROXY", "value": "proxy.example:3128"} in container["env"]
    assert {"name": "LOG_LEVEL", "value": "debug"} in container["env"]
    (spread,) = pod["topologySpreadConstraints"]
    assert spread["topologyKey"] == "topology.kubernetes.io/zone"


def test_installs_what_else_the_user_brings(render: Render) -> None:
    objects = render(
        "extraObjects[0].apiVersion=v1",
        "extraObjects[0].kind=ConfigMap",
        r"extraObjects[0].metadata.name=\{\{ .Release.Name \}\}-more",
    )
    assert only(objects, "ConfigMap")["metadata"]["name"].endswith("-more")


def test_a_class_has_a_lease_of_its_own(render: Render) -> None:
    objects = render("operatorClass=team-a")
    (container,) = pod_of(objects)["containers"]
    environment = {one["name"]: one.get("value", "x") for one in container["env"]}
    wanted = lease_name(from_environment(environment).operator_class)
    role = only(objects, "Role", "dbproxy-operator-lease")
    (names,) = [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule]
    assert names == [wanted]
    assert wanted != lease_name("")
