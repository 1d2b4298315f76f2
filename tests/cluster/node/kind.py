"""The same verbs as `local`, carried out by kind where a Docker daemon answers."""

from __future__ import annotations

import subprocess

from . import paths
from .console import note, run, step, wait_until

NAME = "dbproxy"
CONTROL_PLANE = f"{NAME}-control-plane"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
PUT_ASIDE = "/etc/kubernetes/kube-apiserver.yaml"


def up() -> None:
    if NAME in run(["kind", "get", "clusters"]).split():
        run(["kind", "export", "kubeconfig", "--name", NAME, "--kubeconfig", paths.KUBECONFIG])
        note(f"kind's cluster is there already; KUBECONFIG={paths.KUBECONFIG}")
        return
    paths.CLUSTER.mkdir(parents=True, exist_ok=True)
    with step("Creating a cluster with kind"):
        command = ["kind", "create", "cluster", "--name", NAME, "--wait", "180s"]
        config = paths.CHECKOUT / "kind-config.yaml"
        run([*command, "--config", config, "--kubeconfig", paths.KUBECONFIG])
    note(f"KUBECONFIG={paths.KUBECONFIG}")


def down() -> None:
    with step("Deleting kind's cluster"):
        run(["kind", "delete", "cluster", "--name", NAME])
        paths.KUBECONFIG.unlink(missing_ok=True)


def status() -> None:
    print(run(["docker", "ps", "--filter", f"name={NAME}-"]))


def stop_apiserver() -> None:
    run(["docker", "exec", CONTROL_PLANE, "mv", MANIFEST, PUT_ASIDE])
    wait_until("the API server's end", lambda: not answers(), 60)


def start_apiserver() -> None:
    run(["docker", "exec", CONTROL_PLANE, "mv", PUT_ASIDE, MANIFEST])
    wait_until("the API server", answers, 120)


def answers() -> bool:
    command = ["kubectl", "--kubeconfig", str(paths.KUBECONFIG), "get", "--raw", "/readyz"]
    return subprocess.run(command, capture_output=True).returncode == 0


def inside(command: list[str]) -> int:
    return subprocess.run(["docker", "exec", "-i", CONTROL_PLANE, *command]).returncode
