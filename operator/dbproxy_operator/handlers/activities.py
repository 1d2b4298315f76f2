"""Kopf's own life: how it logs in, and what it must not do."""

from collections.abc import Callable
from typing import Any

import kopf


class NoComparison(kopf.DiffBaseStorage):
    """Kopf would copy every object whole at each event, to compare it with the last one."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> Any:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        return


def register(registry: kopf.OperatorRegistry, on_change: Callable[[bool], None]) -> None:
    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        on_change(True)

    @kopf.on.cleanup(registry=registry)
    async def cleanup(**_: Any) -> None:
        on_change(False)


def configure(settings: kopf.OperatorSettings) -> None:
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.posting.loggers = False
    # Our CRDs are there before Kopf starts, and nothing else may be scanned under narrow rights.
    settings.scanning.disabled = True
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.watching.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.watching.inactivity_timeout = 70
    settings.watching.chunk_size = 500
    # Each object that is being listed would have a task of its own at once. One that has nothing
    # to do ends soon: it would keep its place from those that wait.
    settings.queueing.worker_limit = 100
    settings.queueing.idle_timeout = 0.1
    settings.process.ultimate_exiting_timeout = 10
    settings.persistence.finalizer = "dbproxy.dev/never"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="dbproxy.dev")
    settings.persistence.diffbase_storage = NoComparison()
