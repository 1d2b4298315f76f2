"""What of the settings limits clients and connections, or binds the one to the other, as the engine
is told it; for the planner."""

from __future__ import annotations

from dbproxy.decide.snapshot import SnapshotLimits, SnapshotRules, SnapshotTcp
from dbproxy.settings import PoolConfig, Settings, Tcp

# Linux's own.
KEEPALIVE_COUNT = 9


def limits(settings: Settings, max_clients: int, divisor: int) -> SnapshotLimits:
    """`max_clients`: as many as this pod has room for. It has one `divisor`-th of connections."""
    group = settings.target_group
    pool = group.connection_pool_config if group else PoolConfig()
    return SnapshotLimits(
        max_clients=min(max_clients, settings.max_client_connections or max_clients),
        max_clients_of_user=settings.max_client_connections_per_user,
        connection_rate=settings.max_connection_rate,
        login_rate=settings.max_login_rate_per_user,
        max_connections_of_user=_part(pool.max_connections_per_user, divisor),
        max_connections_of_database=_part(pool.max_connections_per_database, divisor),
        borrow_timeout_ms=1000 * pool.connection_borrow_timeout,
        idle_client_timeout_ms=1000 * settings.idle_client_timeout,
        idle_in_transaction_timeout_ms=_ms(settings.idle_in_transaction_timeout),
        client_lifetime_ms=_ms(settings.max_client_lifetime),
        backend_lifetime_ms=_ms(pool.max_connection_lifetime),
        client_tcp=_tcp(settings.tcp),
        backend_tcp=_tcp(group.tcp if group else Tcp()),
    )


def rules(settings: Settings) -> SnapshotRules:
    group = settings.target_group
    pool = group.connection_pool_config if group else PoolConfig()
    return SnapshotRules(
        longest_statement=pool.max_statement_length,
        excludes_settings="EXCLUDE_VARIABLE_SETS" in pool.session_pinning_filters,
    )


def _part(connections: int | None, divisor: int) -> int | None:
    """Nobody is kept out altogether: one at least."""
    return None if connections is None else max(1, connections // divisor)


def _tcp(tcp: Tcp) -> SnapshotTcp:
    return SnapshotTcp(
        keepalive_idle_ms=1000 * tcp.keepalive_idle,
        keepalive_interval_ms=1000 * tcp.keepalive_interval,
        keepalive_count=tcp.keepalive_count or KEEPALIVE_COUNT,
        user_timeout_ms=_ms(tcp.user_timeout or None),
    )


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else 1000 * seconds
