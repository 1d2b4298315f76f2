"""What of the settings limits clients and connections, as the engine is told; for the planner."""

from __future__ import annotations

from dbproxy.decide.snapshot import SnapshotLimits
from dbproxy.settings import PoolConfig, Settings


def limits(settings: Settings, max_clients: int) -> SnapshotLimits:
    """`max_clients`: as many as this pod has room for."""
    group = settings.target_group
    pool = group.connection_pool_config if group else PoolConfig()
    return SnapshotLimits(
        max_clients=max_clients,
        borrow_timeout_ms=1000 * pool.connection_borrow_timeout,
        idle_client_timeout_ms=1000 * settings.idle_client_timeout,
        idle_in_transaction_timeout_ms=_ms(settings.idle_in_transaction_timeout),
    )


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else 1000 * seconds
