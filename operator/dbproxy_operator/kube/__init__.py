"""The only door to the Kubernetes client: plain dictionaries in and out, errors of our own."""

from dbproxy_operator.kube.client import Kube, connect
from dbproxy_operator.kube.errors import (
    ConflictError,
    KubeError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from dbproxy_operator.kube.kinds import KINDS, Kind

__all__ = [
    "KINDS",
    "ConflictError",
    "Kind",
    "Kube",
    "KubeError",
    "NotFoundError",
    "RefusedError",
    "UnreachableError",
    "connect",
]
