"""The whole desired state of the data plane; made by the planner, handed to the engine as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from dbproxy.families import Method

TargetRole = Literal["READ_WRITE", "READ_ONLY", "UNKNOWN"]


@dataclass(frozen=True)
class SnapshotListener:
    name: str
    port: int
    role: Literal["READ_WRITE", "READ_ONLY"]


@dataclass(frozen=True)
class SnapshotTls:
    certificate: str
    key: str


@dataclass(frozen=True)
class SnapshotUser:
    """Newest password first: all of them log clients in, backends use the newest that works."""

    name: str
    passwords: tuple[str, ...]
    method: Method


@dataclass(frozen=True)
class SnapshotTarget:
    """A database server, with this pod's share of its connections."""

    name: str
    addresses: tuple[str, ...]
    server_name: str
    role: TargetRole
    available: bool
    max_connections: int
    max_idle: int
    min_idle: int
    defaults: str


@dataclass(frozen=True)
class SnapshotWriter:
    """`open` is false while the writer is known and not yet confirmed."""

    target: str
    epoch: int
    open: bool


@dataclass(frozen=True)
class SnapshotServerTls:
    mode: str
    ca: str | None


@dataclass(frozen=True)
class SnapshotTcp:
    keepalive_idle_ms: int
    keepalive_interval_ms: int
    keepalive_count: int
    user_timeout_ms: int | None


@dataclass(frozen=True)
class SnapshotRules:
    """When sessions are bound to their connections; bytes, None: however long a statement is."""

    longest_statement: int | None
    excludes_settings: bool


@dataclass(frozen=True)
class SnapshotLimits:
    """Milliseconds, and numbers in a second; None: there is no such limit."""

    max_clients: int
    max_clients_of_user: int | None
    connection_rate: int | None
    login_rate: int | None
    max_connections_of_user: int | None
    max_connections_of_database: int | None
    borrow_timeout_ms: int
    idle_client_timeout_ms: int
    idle_in_transaction_timeout_ms: int | None
    client_lifetime_ms: int | None
    backend_lifetime_ms: int | None
    client_tcp: SnapshotTcp
    backend_tcp: SnapshotTcp


@dataclass(frozen=True)
class Snapshot:
    """`version`: as what the proxy greets clients where the server speaks first; None while that
    isn't known, and in the other family."""

    revision: int
    version: str | None
    listeners: tuple[SnapshotListener, ...]
    tls: SnapshotTls | None
    require_tls: bool
    users: tuple[SnapshotUser, ...]
    fleet_secret: str
    targets: tuple[SnapshotTarget, ...]
    writer: SnapshotWriter | None
    server_tls: SnapshotServerTls
    init_query: str | None
    rules: SnapshotRules
    limits: SnapshotLimits

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()
