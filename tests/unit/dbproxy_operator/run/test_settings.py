"""What the pod's environment says."""

import pytest

from dbproxy_operator.errors import StartupError
from dbproxy_operator.run.settings import from_environment, log_level

BASE = {"PROXY_IMAGE": "proxy:1", "POD_NAMESPACE": "system", "POD_NAME": "op-1"}


def test_no_namespaces_are_all_namespaces() -> None:
    for listed in ({}, {"WATCH_NAMESPACES": ""}, {"WATCH_NAMESPACES": " , "}):
        assert from_environment(BASE | listed).namespaces == ()


def test_namespaces_are_separated_by_commas() -> None:
    read = from_environment(BASE | {"WATCH_NAMESPACES": "shop, bank,shop"})
    assert read.namespaces == ("bank", "shop")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(StartupError, match="PROXY_IMAGE, POD_NAME"):
        from_environment({"POD_NAMESPACE": "system", "PROXY_IMAGE": " "})


def test_the_cluster_s_domain_is_the_usual_one_unless_another_is_said() -> None:
    assert from_environment(BASE).cluster_domain == "cluster.local"
    assert from_environment(BASE | {"CLUSTER_DOMAIN": "corp.example"}).cluster_domain == (
        "corp.example"
    )
    with pytest.raises(StartupError, match="CLUSTER_DOMAIN"):
        from_environment(BASE | {"CLUSTER_DOMAIN": "not a name"})


def test_defaults_for_pods_are_checked_as_a_template_is() -> None:
    read = from_environment(BASE | {"PROXY_POD_DEFAULTS": '{"imagePullSecrets": [{"name": "r"}]}'})
    assert [one.name for one in read.pod_defaults.image_pull_secrets] == ["r"]
    for wrong in ('{"imagePullPolicy": "Sometimes"}', '{"containers": [{"name": "proxy"}]}', "no"):
        with pytest.raises(StartupError, match="PROXY_POD_DEFAULTS"):
            from_environment(BASE | {"PROXY_POD_DEFAULTS": wrong})


def test_a_log_level_that_there_is_not_is_told() -> None:
    assert log_level({}) == "info"
    with pytest.raises(StartupError, match="loud"):
        log_level({"LOG_LEVEL": "loud"})
