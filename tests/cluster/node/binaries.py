"""Builds Kubernetes, helm, CoreDNS and pause from the Go module, once per version of it.

The result is kept in the cache under a key of everything that decides its content, so a second
call costs nothing. Called by `local` and by the demo (kubectl, helm).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from . import packages, paths
from .console import Command, StepError, alone, note, run, step

COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
SOURCES = ("main.go", "coredns/main.go", "pause/main.go", "go.mod", "go.sum")


def key() -> str:
    digest = hashlib.sha256(run(["go", "version"], cwd=paths.MODULE).encode())
    for name in SOURCES:
        digest.update((paths.MODULE / name).read_bytes())
    return digest.hexdigest()[:16]


def kubernetes_version() -> str:
    found = re.search(r"k8s\.io/kubernetes (v[\d.]+)", (paths.MODULE / "go.mod").read_text())
    if not found:
        raise StepError("tests/cluster/go.mod names no version of k8s.io/kubernetes")
    return found.group(1)


def build() -> Path:
    """Returns the folder with all programs, which it builds unless they are there."""
    folder = paths.BUILDS / key()
    if not folder.exists():
        with step(f"Building Kubernetes {kubernetes_version()}, helm and CoreDNS (5 min, once)"):
            unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
            unfinished.mkdir(parents=True)
            compile_into(unfinished)
            unfinished.rename(folder)
        forget_older(folder)
    if not paths.BINARIES.is_symlink() or paths.BINARIES.resolve() != folder:
        paths.BINARIES.unlink(missing_ok=True)
        paths.BINARIES.symlink_to(folder)
    return folder


def memory_server() -> Path:
    """The API server in memory, for the bench of the operator: built when it is first asked for.

    It comes from the same modules as Kubernetes, which the compiler has done by then.
    """
    digest = hashlib.sha256(run(["go", "version"], cwd=paths.MODULE).encode())
    sources = [*sorted((paths.MODULE / "memapi").glob("*.go")), paths.MODULE / "go.sum"]
    for source in sources:
        digest.update(source.read_bytes())
    folder = paths.MEMORY_SERVERS / digest.hexdigest()[:16]
    with alone(paths.MEMORY_SERVERS.with_suffix(".lock")):
        if not folder.exists():
            with step("Building the API server in memory (once)"):
                unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
                unfinished.mkdir(parents=True)
                go_build(unfinished, "-s -w", ["./memapi"])
                unfinished.rename(folder)
            forget_older(folder)
    return folder / "memapi"


def ensure() -> None:
    """kubectl and helm, for tests and lint; beside Docker and kind, the machine's own."""
    if not packages.docker_with_kind():
        build()


def compile_into(folder: Path) -> None:
    version = kubernetes_version()
    major, minor = version[1:].split(".")[:2]
    package = "k8s.io/component-base/version"
    flags = f"-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major}"
    flags += f" -X {package}.gitMinor={minor}"
    for title, target, wanted in (
        ("kubernetes", folder / "kubernetes", ["."]),
        ("helm, coredns, pause", folder, ["helm.sh/helm/v3/cmd/helm", "./coredns", "./pause"]),
    ):
        with step(f"go build {title}"):
            go_build(target, flags, wanted)
    for name in COMPONENTS:
        (folder / name).symlink_to("kubernetes")


def go_build(target: Path, flags: str, wanted: Sequence[str]) -> None:
    command: Command = ["go", "build", "-trimpath", "-ldflags", flags, "-o", target, *wanted]
    run(command, cwd=paths.MODULE, env={"CGO_ENABLED": "0"})


def forget_older(current: Path) -> None:
    """All builds beside it but the newest."""
    finished = [path for path in current.parent.iterdir() if path.is_dir() and path != current]
    for path in sorted(finished, key=lambda path: path.stat().st_mtime)[:-1]:
        note(f"forgetting an older build: {path.name}")
        shutil.rmtree(path)


def find(name: str) -> Path:
    """kubectl or helm: the machine's own beside kind, else the one built here."""
    built = paths.BINARIES / name
    if built.exists():
        return built
    installed = shutil.which(name)
    if not installed:
        raise StepError(f"{name} is not there: `make cluster-up` builds it")
    return Path(installed)
