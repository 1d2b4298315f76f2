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
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("DBPROXY_CACHE", Path.home() / ".cache" / "dbproxy"))
SYSTEM = "dbproxy-system"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
OURS = "/apis/dbproxy.dev/v1alpha1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
# Where the API server keeps what tests read often, by each name that they call it.
PLACES = {
    ("dbproxy", "dbp"): (OURS, "dbproxies"),
    ("dbproxytargetgroup", "dbptg"): (OURS, "dbproxytargetgroups"),
    ("dbproxyendpoint", "dbpe"): (OURS, "dbproxyendpoints"),
    ("pod", "pods"): ("/api/v1", "pods"),
    ("service",): ("/api/v1", "services"),
    ("configmap",): ("/api/v1", "configmaps"),
    ("secret",): ("/api/v1", "secrets"),
    ("serviceaccount",): ("/api/v1", "serviceaccounts"),
    ("deployment", "deploy"): ("/apis/apps/v1", "deployments"),
    ("poddisruptionbudget", "pdb"): ("/apis/policy/v1", "poddisruptionbudgets"),
    ("role",): (RBAC, "roles"),
    ("rolebinding",): (RBAC, "rolebindings"),
    ("lease",): ("/apis/coordination.k8s.io/v1", "leases"),
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


def eventually(ask: Callable[[], T | None], what: str, seconds: float = 90) -> T:
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
    """One namespace, by kubectl as a person would, and for what is read often by plain HTTP."""

    kubeconfig: Path
    address: str
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
        path = self.path(made["kind"]) + "?fieldValidation=Strict"
        created = self.call("POST", path + ("&dryRun=All" if dry_run else ""), made)
        assert created is not None
        return created

    def patch(self, kind: str, name: str, change: Object, *arguments: str) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(change), *arguments)

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        return self.call("GET", f"{self.path(kind)}/{name}")

    def list(self, kinds: str, selector: str = "") -> list[Object]:
        found: list[Object] = []
        for kind in kinds.split(","):
            query = "?labelSelector=" + urllib.parse.quote(selector)
            answer = self.call("GET", self.path(kind) + query) or {}
            # Items of a list do not say what they are.
            what = str(answer.get("kind", "")).removesuffix("List")
            found += [{"kind": what, **item} for item in answer.get("items") or []]
        return found

    def path(self, kind: str) -> str:
        for names, (group, plural) in PLACES.items():
            if kind.lower() in names:
                return f"{group}/namespaces/{self.namespace}/{plural}"
        raise KeyError(kind)

    def call(self, method: str, path: str, body: Object | None = None) -> Object | None:
        """One request to the API server; None where nothing is."""
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = json.load(response)
                assert isinstance(answer, dict)
                return answer
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            if error.code == 404 and method == "GET":
                return None
            raise RefusedError(json.loads(text)["message"] if text[:1] == "{" else text) from None

    def within(self, namespace: str) -> "Cluster":
        return replace(self, namespace=namespace)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What operator and proxies said belongs to the report of a test that failed on them."""
    report = yield
    given = [getattr(value, "cluster", value) for value in getattr(item, "funcargs", {}).values()]
    clusters = [cluster for cluster in given if isinstance(cluster, Cluster)]
    if report.failed and clusters:
        own = [cluster for cluster in clusters if cluster.namespace not in ("default", SYSTEM)]
        report.sections += testimony((own or clusters)[0])
    return report


def testimony(cluster: Cluster) -> list[tuple[str, str]]:
    """Titles and texts."""
    commands = {
        "pods": ("get", "pods", "-A", "-o", "wide"),
        "operator": ("logs", "-n", SYSTEM, "deployment/dbproxy-operator", "--tail=200"),
        "proxies": ("logs", "-l", "dbproxy.dev/proxy", "--tail=100", "--prefix"),
        "resources": ("get", "dbp,dbptg,dbpe", "-o", "yaml"),
    }
    found = []
    for title, command in commands.items():
        try:
            found.append((title, cluster.kubectl(*command)))
        except (RefusedError, subprocess.SubprocessError) as error:
            found.append((title, str(error)))
    return found


def manifest(*objects: Object) -> str:
    """Objects as one document that kubectl reads."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    kubeconfig = Path(os.environ.get("KUBECONFIG") or CACHE / "cluster" / "kubeconfig")
    if not kubeconfig.is_file():
        pytest.fail(f"no cluster: {kubeconfig} is missing; run `make cluster-up`")
    command = [tool("kubectl"), "--kubeconfig", str(kubeconfig), "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        # "Starting to serve on 127.0.0.1:PORT"
        found = Cluster(kubeconfig, f"http://{proxy.stdout.readline().split()[-1]}")
        try:
            found.call("GET", "/version")
            yield found
        except (RefusedError, OSError) as error:
            pytest.fail(f"no cluster answers at {kubeconfig}: {error}; run `make cluster-up`")
        finally:
            proxy.terminate()


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
    """Install or upgrade a release of the chart; waits for whoever else does so at the moment."""
    images = [
        "image.repository=localhost/dbproxy-operator",
        "proxyImage.repository=localhost/dbproxy-proxy",
    ]
    values = [*images, "image.tag=dev", "proxyImage.tag=dev"]
    there = cluster.within(namespace)
    chart = str(ROOT / "helm" / "dbproxy")

    def upgraded() -> bool:
        try:
            there.run(
                *("helm", "upgrade", "--install", release, chart, "--create-namespace"),
                *(part for value in values for part in ("--set", value)),
                *arguments,
                seconds=180,
            )
        except RefusedError as refusal:
            if "another operation" not in str(refusal):
                raise
            return False
        return True

    eventually(upgraded, f"helm is free to install {release}", 120)


@contextmanager
def fresh_namespace(cluster: Cluster, prefix: str = "e2e") -> Iterator[Cluster]:
    """A namespace under restricted Pod Security, deleted afterwards without waiting for it."""
    name = f"{prefix}-{uuid4().hex[:8]}"
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
    )
    try:
        yield cluster.within(name)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def namespace(chart: Cluster) -> Iterator[Cluster]:
    with fresh_namespace(chart) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def namespace_of_module(chart: Cluster) -> Iterator[Cluster]:
    with fresh_namespace(chart) as fresh:
        yield fresh
