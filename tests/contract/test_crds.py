"""The custom resources among themselves: parts that several kinds share are the same everywhere."""

import pytest
import yaml
from tests.fix_contract import ROOT, Object

from dbproxy_operator import spec
from dbproxy_operator.spec.families import FAMILIES, EngineFamily


def test_what_two_kinds_share_is_the_same_in_both(schemas: dict[str, Object]) -> None:
    spec = {kind: schema["properties"]["spec"]["properties"] for kind, schema in schemas.items()}
    assert spec["DBProxy"]["service"] == spec["DBProxyEndpoint"]["service"]
    group, endpoint = (
        spec[kind]["proxyRef"]["properties"]["name"]
        for kind in ("DBProxyTargetGroup", "DBProxyEndpoint")
    )
    assert group["pattern"] == endpoint["pattern"]
    assert group["maxLength"] == endpoint["maxLength"] == 50


def test_every_status_begins_unseen_and_has_the_same_conditions(
    schemas: dict[str, Object],
) -> None:
    statuses = [schema["properties"]["status"] for schema in schemas.values()]
    for status in statuses:
        assert status["default"] == {"observedGeneration": -1}
        assert status["properties"]["conditions"] == statuses[0]["properties"]["conditions"]


def test_what_a_pod_reports_is_its_own_entry_and_each_list_in_it_is_whole(
    schemas: dict[str, Object],
) -> None:
    status = schemas["DBProxyTargetGroup"]["properties"]["status"]["properties"]
    proxies = status["proxies"]
    assert proxies["x-kubernetes-list-type"] == "map"
    assert proxies["x-kubernetes-list-map-keys"] == ["pod"]
    for field in proxies["items"]["properties"].values():
        if field["type"] == "array":
            assert field["x-kubernetes-list-type"] == "atomic"
            assert field["maxItems"]
        elif field["type"] == "object":
            assert field["x-kubernetes-map-type"] == "atomic"
        elif field["type"] == "string":
            assert field["maxLength"]


def test_every_field_a_user_sets_says_what_it_is_for(schemas: dict[str, Object]) -> None:
    for kind, schema in schemas.items():
        for name, field in schema["properties"]["spec"]["properties"].items():
            assert "description" in field or "enum" in field, f"{kind}.spec.{name}"


@pytest.mark.parametrize(
    ("folder", "family", "port"), [("", "POSTGRESQL", 5432), ("mysql", "MYSQL", 3306)]
)
def test_each_family_has_an_example_of_all_three_kinds(
    schemas: dict[str, Object], folder: str, family: EngineFamily, port: int
) -> None:
    paths = (ROOT / "examples" / folder).glob("*.yaml")
    documents = [one for path in paths for one in yaml.safe_load_all(path.read_text())]
    kinds = {one["kind"]: one for one in documents if one["kind"] in schemas}
    assert kinds.keys() == schemas.keys()
    assert spec.parse_proxy(kinds["DBProxy"]).engine_family == family
    found = spec.parse_target_group(kinds["DBProxyTargetGroup"], FAMILIES[family])
    assert {target.port for target in found.targets} == {port}
    secrets = {one["metadata"]["name"] for one in documents if one["kind"] == "Secret"}
    named = {one["secretRef"]["name"] for one in kinds["DBProxy"]["spec"]["auth"]}
    named.add(kinds["DBProxyTargetGroup"]["spec"]["monitorSecretRef"]["name"])
    assert named <= secrets


def test_the_example_of_an_autoscaler_targets_the_scale_of_a_dbproxy(
    crds: dict[str, Object],
) -> None:
    text = (ROOT / "examples" / "autoscaling" / "hpa.yaml").read_text()
    target = yaml.safe_load(text)["spec"]["scaleTargetRef"]
    crd = crds[target["kind"]]
    (version,) = crd["spec"]["versions"]
    assert target["apiVersion"] == f"{crd['spec']['group']}/{version['name']}"
    scale = version["subresources"]["scale"]
    assert scale["specReplicasPath"] == ".spec.replicas"
    assert scale["labelSelectorPath"] == ".status.selector"
