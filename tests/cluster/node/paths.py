"""Where everything of the local cluster lives; nothing of it is inside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
MODULE = CHECKOUT / "tests" / "cluster"

CACHE = Path(os.environ.get("DBPROXY_CACHE") or Path.home() / ".cache" / "dbproxy").resolve()
CLUSTER = CACHE / "cluster"
KUBECONFIG = CLUSTER / "kubeconfig"
BUILDS = CACHE / "kubernetes"
# A link to the newest build: kubectl, helm and the components.
BINARIES = CACHE / "bin"
MEMORY_SERVERS = CACHE / "memapi"
IMAGES = CACHE / "images"
VENV = CACHE / "venv"
TARGET = CACHE / "target"
CORE = CACHE / "core"
# One folder a major: bin, lib, share.
DATABASES = CACHE / "postgresql"
# A folder for each of the two kinds.
MYSQL = CACHE / "mysql"
PGBOUNCER = CACHE / "pgbouncer"
LOADS = CACHE / "loads"

PKI = CLUSTER / "pki"
ETC = CLUSTER / "etc"
ETCD = CLUSTER / "etcd"
LOGS = CLUSTER / "log"
KUBELET = CLUSTER / "kubelet"
CONTAINERD_ROOT = CLUSTER / "containerd"

# Short, because a Unix socket's path may have 107 bytes at most, and gone after a reboot.
RUN = Path("/run/dbproxy-node")
PIDS = RUN / "pids"
CONTAINERD_STATE = RUN / "containerd"
CONTAINERD_SOCKET = RUN / "containerd.sock"

NETNS = "dbproxy-node"
NETNS_FILE = Path("/run/netns") / NETNS
HOST_ADDRESS = "10.255.255.1"
NODE_ADDRESS = "10.255.255.2"
NODE_NAME = "dbproxy-node"
POD_RANGE = "10.244.0.0/24"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
# One cgroup holds every pod, so that what a crash leaves is found without guessing.
CGROUP = "dbproxy-node"
