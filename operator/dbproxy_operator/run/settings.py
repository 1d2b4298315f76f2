"""What the operator's pod is told by its environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dbproxy_operator.errors import SpecError, StartupError
from dbproxy_operator.spec import parse_pod_defaults
from dbproxy_operator.spec.fields import SUBDOMAIN
from dbproxy_operator.spec.pods import PodSpec

HTTP_PORT = 8080
CLUSTER_DOMAIN = "cluster.local"
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Settings:
    """`namespaces`: those that are served; all if empty. `pod_defaults`: for the proxies' pods.
    `operator_class`: of the DBProxies that are served; those without one if empty. `unserved`:
    namespaces that should be served too, and can't be for want of rights.
    """

    namespaces: tuple[str, ...]
    proxy_image: str
    pod_defaults: PodSpec
    operator_class: str
    cluster_domain: str
    pod_namespace: str
    pod_name: str
    http_port: int
    unserved: tuple[str, ...] = ()


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    missing = [
        name
        for name in ("PROXY_IMAGE", "POD_NAMESPACE", "POD_NAME")
        if not environment.get(name, "").strip()
    ]
    if missing:
        raise StartupError(f"set the environment variables {', '.join(missing)}")
    listed = environment.get("WATCH_NAMESPACES", "").split(",")
    port = environment.get("HTTP_PORT", str(HTTP_PORT))
    if not port.isdigit():
        raise StartupError(f"HTTP_PORT is not a number: {port}")
    domain = environment.get("CLUSTER_DOMAIN", "").strip() or CLUSTER_DOMAIN
    if not re.fullmatch(SUBDOMAIN, domain):
        raise StartupError(f"CLUSTER_DOMAIN (the chart's clusterDomain) is no DNS name: {domain}")
    try:
        pod_defaults = parse_pod_defaults(environment.get("PROXY_POD_DEFAULTS", "{}"))
    except SpecError as error:
        raise StartupError(f"PROXY_POD_DEFAULTS (the chart's proxyDefaults): {error}") from error
    return Settings(
        namespaces=tuple(sorted({name.strip() for name in listed if name.strip()})),
        proxy_image=environment["PROXY_IMAGE"].strip(),
        pod_defaults=pod_defaults,
        operator_class=environment.get("OPERATOR_CLASS", "").strip(),
        cluster_domain=domain,
        pod_namespace=environment["POD_NAMESPACE"].strip(),
        pod_name=environment["POD_NAME"].strip(),
        http_port=int(port),
    )


def log_level(environment: Mapping[str, str] = os.environ) -> str:
    """Asked for before all other settings, so that their mistakes are told as they should be."""
    level = environment.get("LOG_LEVEL", "info")
    if level not in LOG_LEVELS:
        raise StartupError(f"LOG_LEVEL is {level!r}: set one of {', '.join(LOG_LEVELS)}")
    return level
