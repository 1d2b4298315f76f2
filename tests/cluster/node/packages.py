"""Debian packages and other prerequisites: named at once when missing, installed where allowed.

Called by the Makefile's preflight (`require`) and before the local node starts (`install`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .console import StepError, run, step, succeeds

# What the local node needs: a program that each package brings, and the package.
NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "conntrack": "conntrack",
    "iptables": "iptables",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "mount": "mount",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
# What tests and benchmarks run beside the programs.
TESTS = {
    "/usr/lib/postgresql/15/bin/postgres": "postgresql-15",
    "pgbouncer": "pgbouncer",
    "lua5.4": "lua5.4",
    "ip": "iproute2",
    "unshare": "util-linux",
}
OLDEST_GO = (1, 21)
OLDEST_RUST = (1, 87)
OLDEST_PYTHON = (3, 11)


def missing(wanted: dict[str, str]) -> list[str]:
    return sorted({package for program, package in wanted.items() if not found(program)})


def found(program: str) -> bool:
    """Whether there is this program on the PATH, or any file by its whole path."""
    return shutil.which(program) is not None or (program.startswith("/") and Path(program).exists())


def install(wanted: dict[str, str]) -> None:
    absent = missing(wanted)
    if not absent:
        return
    with step(f"Installing Debian packages: {' '.join(absent)}"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-qq"], env=quiet)
        # PostgreSQL's package would otherwise start a server of its own on port 5432.
        keep_quiet_before_postgresql(absent)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent], env=quiet)
    still = missing(wanted)
    if still:
        raise StepError(f"installed, but their programs are not on the PATH: {' '.join(still)}")


def keep_quiet_before_postgresql(packages: list[str]) -> None:
    settings = Path("/etc/postgresql-common/createcluster.conf")
    if "postgresql-15" in packages and not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text("create_main_cluster = false\n")


def docker_with_kind() -> bool:
    return bool(shutil.which("kind") and shutil.which("docker")) and succeeds(["docker", "info"])


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def release() -> str:
    path = Path("/etc/os-release")
    return path.read_text() if path.exists() else ""


def version_of(command: list[str]) -> tuple[int, ...]:
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    found = re.search(r"(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else ()


def build_faults() -> list[str]:
    """What is missing for building and testing the two programs on this machine."""
    faults = []
    if sys.version_info < OLDEST_PYTHON:
        faults.append(f"Python >= 3.11 (this one is {sys.version.split()[0]})")
    if not succeeds([sys.executable, "-c", "import ensurepip, venv"]):
        faults.append("Python's venv module (Debian package python3-venv)")
    if version_of(["cargo", "--version"]) < OLDEST_RUST:
        faults.append("Rust >= 1.87: cargo on the PATH (rustup, stable toolchain)")
    if not shutil.which("cc"):
        faults.append("a C linker: cc (Debian package gcc)")
    return faults


def image_faults() -> list[str]:
    """Docker builds the images by itself; elsewhere the host does."""
    return [] if docker_with_kind() else build_faults()


def cluster_faults() -> list[str]:
    """What is missing for a cluster: either Docker, kind and helm, or root on Debian and Go."""
    if docker_with_kind():
        return [] if shutil.which("helm") else ["helm (Docker and kind are here)"]
    faults = []
    if sys.platform != "linux" or os.geteuid() != 0:
        faults.append("root on Linux for the local node (or a running Docker, with kind and helm)")
    if "VERSION_CODENAME=bookworm" not in release():
        faults.append("Debian 12, which the images are made of (or Docker, kind and helm)")
    if version_of(["go", "version"]) < OLDEST_GO:
        faults.append("Go >= 1.21 on the PATH, to build Kubernetes (or Docker, kind and helm)")
    absent = missing(NODE)
    if absent and not can_install():
        faults.append(f"packages, and no right to install them: {' '.join(absent)}")
    return faults


def database_faults() -> list[str]:
    absent = missing({"/usr/lib/postgresql/15/bin/postgres": "postgresql-15"})
    return [f"package {name}, and no right to install it" for name in absent if not can_install()]


def require(areas: list[str]) -> None:
    """Names everything that is missing, all at once, before any work is done."""
    known = {
        "build": build_faults,
        "images": image_faults,
        "cluster": cluster_faults,
        "database": database_faults,
    }
    unknown = sorted(set(areas) - known.keys())
    if unknown:
        raise StepError(f"unknown: {' '.join(unknown)}; one of {' '.join(known)}")
    faults = list(dict.fromkeys(fault for area in areas for fault in known[area]()))
    if faults:
        raise StepError("missing on this machine:\n" + "\n".join(f"  - {line}" for line in faults))
