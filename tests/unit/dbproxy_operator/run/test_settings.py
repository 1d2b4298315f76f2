"""What the pod's environment says."""

import pytest

from dbproxy_operator.errors import StartupError
from dbproxy_operator.run.settings import from_environment

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
