"""Fixtures for tests on a real cluster: kubectl, a fresh namespace, the chart installed.

The cluster is the one of $KUBECONFIG, or else the local node that `make cluster-up` starts. The
chart is installed once for a whole run, also when pytest-xdist runs it in several processes.
"""

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("DBPROXY_CACHE", Path.home() / ".cache" / "dbproxy"))
SYSTEM = "dbproxy-system"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
PLURALS = {
    "DBProxy": "dbproxies",
    "DBProxyTargetGroup": "dbproxytargetgroups",
    "DBProxyEndpoint": "dbproxyendpoints",
}
Object = dict[str, Any]
T = TypeVar("T")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "alone: disturbs the whole cluster, so no other end-to-end test may run beside"
    )


class RefusedError(Exception):
    """kubectl ended with an error; the text is what it said."""


def tool(name: str) -> str:
    """The path of a program that `make cluster-up` builds, or of the machine's own."""
    found = shutil.which(name, path=f"{CACHE / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.fail(f"{name} is missing: run `make cluster-up`, which builds it")
    return found


def eventually(ask: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """The first answer of `ask` that is true, asked again until a deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)


@dataclass(frozen=True)
class Cluster:
    """kubectl on one kubeconfig and one namespace."""

    kubeconfig: Path
    namespace: str = "default"

    def run(
        self, program: str, *arguments: str, stdin: str | None = None, seconds: float = 90
    ) -> str:
        done = subprocess.run(
            [tool(program), "--kubeconfig", str(self.kubeconfig), "-n", self.namespace, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise RefusedError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = 90) -> str:
        return self.run("kubectl", *arguments, stdin=stdin, seconds=seconds)

    def apply(self, *objects: Object) -> None:
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest(*objects)
        )

    def create(self, made: Object, *, dry_run: bool = False) -> Object:
        """Post one of our resources as it is, past the checks that kubectl makes of its own."""
        path = f"/apis/{made['apiVersion']}/namespaces/{self.namespace}/{PLURALS[made['kind']]}"
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        created = json.loads(
            self.kubectl("create", "--raw", path + query, "-f", "-", stdin=json.dumps(made))
        )
        assert isinstance(created, dict)
        return created

    def patch(self, kind: str, name: str, change: Object, *arguments: str) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(change), *arguments)

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        text = self.kubectl("get", kind, name, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, selector: str = "") -> list[Object]:
        items = json.loads(self.kubectl("get", kind, "-l", selector, "-o", "json"))["items"]
        assert isinstance(items, list)
        return items

    def within(self, namespace: str) -> "Cluster":
        return Cluster(self.kubeconfig, namespace)


def manifest(*objects: Object) -> str:
    """Objects as one document that kubectl reads."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    kubeconfig = Path(os.environ.get("KUBECONFIG") or CACHE / "cluster" / "kubeconfig")
    if not kubeconfig.is_file():
        pytest.fail(f"no cluster: {kubeconfig} is missing; run `make cluster-up`")
    found = Cluster(kubeconfig)
    try:
        found.kubectl("version", "--request-timeout=10s", seconds=20)
    except (RefusedError, subprocess.TimeoutExpired) as error:
        pytest.fail(f"no cluster answers at {kubeconfig}: {error}; run `make cluster-up`")
    return found


@pytest.fixture(scope="session")
def chart(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The namespace that the chart is installed in, with the images of `make images`."""
    once = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        once = once.parent
    with (once / "chart.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (once / "chart.installed").exists():
            install(cluster)
            # Images keep their tag when they are built anew.
            cluster.within(SYSTEM).kubectl("rollout", "restart", "deployment/dbproxy-operator")
            (once / "chart.installed").touch()
    return cluster.within(SYSTEM)


def install(
    cluster: Cluster, *arguments: str, release: str = "dbproxy", namespace: str = SYSTEM
) -> None:
    """Install or upgrade a release of the chart."""
    images = [
        "image.repository=localhost/dbproxy-operator",
        "proxyImage.repository=localhost/dbproxy-proxy",
    ]
    values = [*images, "image.tag=dev", "proxyImage.tag=dev"]
    cluster.within(namespace).run(
        "helm",
        *("upgrade", "--install", release, str(ROOT / "helm" / "dbproxy"), "--create-namespace"),
        *(part for value in values for part in ("--set", value)),
        *arguments,
        seconds=180,
    )


@contextmanager
def fresh_namespace(cluster: Cluster) -> Iterator[Cluster]:
    """A namespace under restricted Pod Security, deleted afterwards without waiting for it."""
    name = f"e2e-{uuid4().hex[:8]}"
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
    )
    try:
        yield cluster.within(name)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(chart: Cluster) -> Iterator[Cluster]:
    with fresh_namespace(chart) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def namespace_of_module(chart: Cluster) -> Iterator[Cluster]:
    with fresh_namespace(chart) as fresh:
        yield fresh
