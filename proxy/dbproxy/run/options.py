"""How an agent was started; `__main__` says it, all of `run` reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dbproxy.dataplane import Engine, EngineOptions

if TYPE_CHECKING:
    from dbproxy.kube import Kube


@dataclass(frozen=True)
class Options:
    """`election_dir`: the election as files. `workers`: None for as many as suit the CPUs and the
    smallest target. `pod_address`: where other pods find this one, None if there are none. `kube`:
    None outside of Kubernetes."""

    config_dir: Path
    election_dir: Path | None
    listen_address: str
    max_clients: int
    workers: int | None
    pod: str
    kube: Kube | None
    start_engine: Callable[[EngineOptions], Engine]
    pod_address: str | None = None
