"""What the operator's pod is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from dbproxy_operator.errors import StartupError

HTTP_PORT = 8080


@dataclass(frozen=True)
class Settings:
    """`namespaces`: those that are served; all if empty."""

    namespaces: tuple[str, ...]
    proxy_image: str
    pod_namespace: str
    pod_name: str
    http_port: int


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
    return Settings(
        namespaces=tuple(sorted({name.strip() for name in listed if name.strip()})),
        proxy_image=environment["PROXY_IMAGE"].strip(),
        pod_namespace=environment["POD_NAMESPACE"].strip(),
        pod_name=environment["POD_NAME"].strip(),
        http_port=int(port),
    )
