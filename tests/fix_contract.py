"""What contract tests share: the resources as read from crds/, the chart as Helm renders it."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.fix_cluster import tool

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "dbproxy"
Object = dict[str, Any]
Render = Callable[..., list[Object]]


class HelmRefusedError(Exception):
    """helm ended with an error; the text is what it said."""


@pytest.fixture(scope="session")
def crds() -> dict[str, Object]:
    """Each custom resource by its kind."""
    found = (yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml")))
    return {crd["spec"]["names"]["kind"]: crd for crd in found}


@pytest.fixture(scope="session")
def schemas(crds: dict[str, Object]) -> dict[str, Object]:
    """The OpenAPI schema of each kind."""
    return {
        kind: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind, crd in crds.items()
    }


@pytest.fixture(scope="session")
def render() -> Render:
    """The objects that `helm template` makes of some values."""
    helm = tool("helm")

    def run(*values: str, replicas: int = 1) -> list[Object]:
        done = subprocess.run(
            [
                *(helm, "template", "dbproxy", str(CHART), "--kube-version", "1.34.0"),
                *("--namespace", "dbproxy-system"),
                *(part for value in (*values, f"replicas={replicas}") for part in ("--set", value)),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise HelmRefusedError(done.stderr)
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return run
