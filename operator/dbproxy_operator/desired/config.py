"""The ConfigMap and the Secret that configure the pods, and their revisions.

Both carry a revision that rises whenever their content changes, and only then. The Secret is a
superset: it is written first, and the settings name the revision of it that they need. Entries of
the former Secret are the memory of what must outlast a change: the fleet secret, the passwords
still in grace, and the credentials of a Secret that has vanished. Keys that the agent does not know
(`secret`, `spec`, `retiringSince`) are the operator's own notes; the agent ignores them.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import Key, Object, generation, name, uid
from dbproxy_operator.spec import DBProxySpec, DBProxyTargetGroupSpec, WriterElection
from dbproxy_operator.spec.families import PasswordAuthType

FLEET_SECRET_BYTES = 32
PREVIOUS_PASSWORDS = 4
# Where the settings note a spec as it was read, for the day on which it can't be.
SPEC_NOTE = "spec"


@dataclass(frozen=True)
class Login:
    """A database user as the DBProxy's `auth` and its Secret give it."""

    user: str
    password: str
    auth_type: PasswordAuthType
    secret: str


@dataclass(frozen=True)
class Monitor:
    """Who probes. `secret`: where that is from; None: the first of `auth`, with its password."""

    user: str
    password: str
    secret: str | None


@dataclass(frozen=True)
class Listener:
    """A port in the pods. `retiring_since`: its endpoint is gone, its Service may not be."""

    name: str
    port: int
    role: str
    retiring_since: int | None = None


@dataclass(frozen=True)
class Served:
    """What the composed objects say now; empty where they are absent or unreadable."""

    settings: Object
    credentials: Object
    files: dict[str, str]


def served(config_map: Object | None, secret: Object | None) -> Served:
    data = decoded(secret) if secret else {}
    return Served(
        settings=_json_object((config_map or {}).get("data", {}).get(names.SETTINGS_KEY)),
        credentials=_json_object(data.get(names.CREDENTIALS_KEY)),
        files={key: text for key, text in data.items() if key != names.CREDENTIALS_KEY},
    )


def decoded(secret: Object) -> dict[str, str]:
    """The Secret's data as text; what isn't text is left out."""
    texts: dict[str, str] = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            texts[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return texts


def former_users(before: Served) -> dict[str, Object]:
    """The entries of the former Secret, by the name of the user."""
    users = before.credentials.get("users")
    if not isinstance(users, list):
        return {}
    return {
        entry["name"]: entry
        for entry in users
        if isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("password"), str)
    }


def credentials(
    spec: DBProxySpec,
    logins: Iterable[Login],
    monitor: Monitor | None,
    before: Served,
    fresh_secret: bytes,
    now: float,
) -> Object:
    """The content of credentials.json in the newest format, but for that and its revision."""
    former = former_users(before)
    users = [
        {
            "name": login.user,
            "password": login.password,
            "clientPasswordAuthType": login.auth_type,
            "previous": _previous(
                login.password, former.get(login.user), spec.credential_rotation_grace_period, now
            ),
            "secret": login.secret,
        }
        for login in logins
    ]
    return {
        "fleetSecret": _fleet_secret(before, fresh_secret),
        "credentialRotationGracePeriod": spec.credential_rotation_grace_period,
        "users": users,
        "monitor": _monitor(monitor, before, spec.credential_rotation_grace_period, now)
        if monitor
        else None,
    }


def settings(
    proxy: Object,
    spec: DBProxySpec,
    listeners: Iterable[Listener],
    target_group: Object | None,
    *,
    report_to: Object | None,
    budget_divisor: int,
    drain_timeout: int,
) -> Object:
    """The content of settings.json in the newest format, but for that and its revisions.

    `report_to` is the DBProxyTargetGroup, served or not: its status takes what the pods say.
    """
    return {
        "proxy": {
            "namespace": proxy["metadata"]["namespace"],
            "name": name(proxy),
            "uid": uid(proxy),
            "generation": generation(proxy),
            SPEC_NOTE: proxy["spec"],
        },
        "reportTo": {"name": name(report_to), "uid": uid(report_to)} if report_to else None,
        "engineFamily": spec.engine_family,
        "requireTLS": spec.require_tls,
        "idleClientTimeout": spec.idle_client_timeout,
        "idleInTransactionTimeout": spec.idle_in_transaction_timeout,
        "maxClientLifetime": spec.max_client_lifetime,
        "maxClientConnections": spec.max_client_connections,
        "maxClientConnectionsPerUser": spec.max_client_connections_per_user,
        "maxConnectionRate": spec.max_connection_rate,
        "maxLoginRatePerUser": spec.max_login_rate_per_user,
        "tcp": spec.tcp.model_dump(by_alias=True),
        "drainTimeout": drain_timeout,
        "budgetDivisor": budget_divisor,
        "listeners": [_listener(listener) for listener in listeners],
        "targetGroup": target_group,
        "peers": {
            "hosts": [
                names.service_host(proxy["metadata"]["namespace"], names.peers_name(name(proxy)))
            ],
            "port": names.PEER_PORT,
        },
    }


def target_group(
    group: Object, spec: DBProxyTargetGroupSpec, writer_floor: Object | None
) -> Object:
    pool = spec.connection_pool_config
    election = spec.writer_election
    return {
        "name": name(group),
        "uid": uid(group),
        "generation": generation(group),
        SPEC_NOTE: group["spec"],
        "targets": [
            {"name": target.name, "host": target.host, "port": target.port}
            for target in spec.targets
        ],
        "connectionPoolConfig": {
            "maxConnectionsPercent": pool.max_connections_percent,
            "maxIdleConnectionsPercent": pool.idle_percent,
            "minIdleConnectionsPercent": pool.min_idle_connections_percent,
            "maxConnectionsPerUser": pool.max_connections_per_user,
            "maxConnectionsPerDatabase": pool.max_connections_per_database,
            "connectionBorrowTimeout": pool.connection_borrow_timeout,
            "maxConnectionLifetime": pool.max_connection_lifetime,
            "initQuery": pool.init_query,
            "sessionPinningFilters": list(pool.session_pinning_filters),
            "maxStatementLength": pool.max_statement_length,
        },
        "writerElection": _election(election) if election else None,
        "maxReplicaLag": spec.max_replica_lag,
        "tls": {"mode": spec.tls.mode},
        "tcp": spec.tcp.model_dump(by_alias=True),
        "writerFloor": writer_floor if election else None,
    }


def _election(election: WriterElection) -> Object:
    return {
        "configMap": election.config_map_ref.name,
        "confirmationTimeout": election.confirmation_timeout,
        "strictFencing": election.strict_fencing,
    }


def secret_object(
    key: Key, proxy: Object, content: Object, files: dict[str, str], before: Served, now: float
) -> tuple[Object, int]:
    """The Secret, and its revision."""
    old = before.credentials
    same = _content(old) == content and before.files == files
    floor = max(_revision(old, "revision"), _revision(before.settings, "secretRevision"))
    revision = _revision(old, "revision") if same and floor else _next(floor, now)
    texts = {names.CREDENTIALS_KEY: _dump({**content, "revision": revision}), **files}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.child_metadata(key, proxy, names.config_name(key.name)),
        "type": "Opaque",
        "data": {path: base64.b64encode(text.encode()).decode() for path, text in texts.items()},
    }, revision


def config_map_object(
    key: Key, proxy: Object, content: Object, secret_revision: int, before: Served, now: float
) -> tuple[Object, int]:
    """The ConfigMap, and its revision."""
    old = before.settings
    revision = _revision(old, "revision")
    if not revision or _content(old) != content:
        revision = _next(revision, now)
    else:
        # The same settings work with a newer Secret: naming it would only cause a new revision.
        secret_revision = min(_revision(old, "secretRevision") or secret_revision, secret_revision)
    text = _dump({**content, "revision": revision, "secretRevision": secret_revision})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.child_metadata(key, proxy, names.config_name(key.name)),
        "data": {names.SETTINGS_KEY: text},
    }, revision


def next_expiry(content: Object) -> float | None:
    """When the first previous password leaves its grace."""
    named = [*content["users"], *([content["monitor"]] if content["monitor"] else [])]
    ends = [float(old["validUntil"]) for user in named for old in user["previous"]]
    return min(ends, default=None)


def former_format(before: Served) -> int:
    """The format of what is served; 0 if nothing is."""
    return _revision(before.settings, "formatVersion")


def former_revisions(before: Served) -> tuple[int, int]:
    """Of the settings and of the Secret that are served; 0 if nothing is."""
    return _revision(before.settings, "revision"), _revision(before.credentials, "revision")


def former_divisor(before: Served) -> int:
    """The divisor that the pods know; 0 if there is none."""
    value = before.settings.get("budgetDivisor")
    return value if isinstance(value, int) and 0 < value < 2**31 else 0


def former_listeners(before: Served) -> list[Listener]:
    found: list[Listener] = []
    for entry in before.settings.get("listeners") or ():
        try:
            since = entry.get("retiringSince")
            found.append(
                Listener(
                    name=str(entry["name"]),
                    port=int(entry["port"]),
                    role=str(entry["targetRole"]),
                    retiring_since=int(since) if since is not None else None,
                )
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return found


def _monitor(monitor: Monitor, before: Served, grace: int, now: float) -> Object:
    former = before.credentials.get("monitor")
    same = (
        isinstance(former, dict)
        and former.get("name") == monitor.user
        and isinstance(former.get("password"), str)
    )
    entry: Object = {
        "name": monitor.user,
        "password": monitor.password,
        "previous": _previous(monitor.password, former if same else None, grace, now),
    }
    return entry if monitor.secret is None else entry | {"secret": monitor.secret}


def _listener(listener: Listener) -> Object:
    entry: Object = {"name": listener.name, "port": listener.port, "targetRole": listener.role}
    if listener.retiring_since is not None:
        entry["retiringSince"] = listener.retiring_since
    return entry


def _previous(password: str, former: Object | None, grace: int, now: float) -> list[Object]:
    """Older passwords of the user that are still good, newest first."""
    if former is None:
        return []
    older = [dict(old) for old in former.get("previous") or () if _is_previous(old)]
    if former["password"] != password:
        older.insert(0, {"password": former["password"], "validUntil": int(now) + grace})
    latest = int(now) + grace
    kept: list[Object] = []
    seen = {password}
    for old in older:
        # A grace period that was shortened shortens what is running, too.
        until = min(int(old["validUntil"]), latest)
        if until > now and old["password"] not in seen:
            seen.add(old["password"])
            kept.append({"password": old["password"], "validUntil": until})
    return kept[:PREVIOUS_PASSWORDS]


def _is_previous(old: Any) -> bool:
    return (
        isinstance(old, dict)
        and isinstance(old.get("password"), str)
        and isinstance(old.get("validUntil"), int)
    )


def _fleet_secret(before: Served, fresh: bytes) -> str:
    """Made once and kept: all pods derive from it, and a new one would cut what they share."""
    kept = before.credentials.get("fleetSecret")
    try:
        if (
            isinstance(kept, str)
            and len(base64.b64decode(kept, validate=True)) >= FLEET_SECRET_BYTES
        ):
            return kept
    except binascii.Error:
        pass
    return base64.b64encode(fresh).decode()


def _content(document: Object) -> Object:
    return {
        key: value for key, value in document.items() if key not in ("revision", "secretRevision")
    }


def _revision(document: Object, field: str) -> int:
    value = document.get(field)
    return value if isinstance(value, int) and 0 < value < 2**53 else 0


def _next(floor: int, now: float) -> int:
    return max(floor + 1, int(now * 1000))


def _json_object(text: str | None) -> Object:
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _dump(value: Object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
