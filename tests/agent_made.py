"""Configurations, facts and certificates for the agent's tests, with as little said as possible."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dbproxy.facts import Election, Probe, ServerFacts
from dbproxy.settings import Config, Credentials, Settings, parse_credentials, parse_settings

FLEET_SECRET = base64.b64encode(b"f" * 32).decode()


def certificate(name: str = "proxy") -> tuple[bytes, bytes]:
    """A self-signed certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return signed.public_bytes(pem), key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


CERTIFICATE, KEY = certificate()


def group_document(**changes: Any) -> dict[str, Any]:
    return {
        "name": "orders-db",
        "uid": "group-uid",
        "generation": 2,
        "targets": [
            {"name": "db-0", "host": "127.0.0.1", "port": 5000},
            {"name": "db-1", "host": "127.0.0.1", "port": 5001},
        ],
        "connectionPoolConfig": {
            "maxConnectionsPercent": 100,
            "maxIdleConnectionsPercent": 50,
            "connectionBorrowTimeout": 120,
            "initQuery": None,
        },
        "writerElection": {"configMap": "orders-election"},
        "tls": {"mode": "PREFERRED"},
        "writerFloor": None,
    } | changes


def settings_document(**changes: Any) -> dict[str, Any]:
    return {
        "formatVersion": 1,
        "revision": 10,
        "secretRevision": 10,
        "proxy": {"namespace": "shop", "name": "orders", "uid": "u", "generation": 3},
        "engineFamily": "POSTGRESQL",
        "requireTLS": False,
        "idleClientTimeout": 1800,
        "drainTimeout": 60,
        "budgetDivisor": 3,
        "listeners": [
            {"name": "orders", "port": 15432, "targetRole": "READ_WRITE"},
            {"name": "orders-ro", "port": 15433, "targetRole": "READ_ONLY"},
        ],
        "targetGroup": group_document(),
    } | changes


def credentials_document(**changes: Any) -> dict[str, Any]:
    return {
        "formatVersion": 1,
        "revision": 10,
        "fleetSecret": FLEET_SECRET,
        "credentialRotationGracePeriod": 300,
        "users": [{"name": "app", "password": "new"}],
        "monitor": {"name": "monitor", "password": "m"},
    } | changes


def settings_of(**changes: Any) -> Settings:
    return parse_settings(json.dumps(settings_document(**changes)).encode())


def secret_files(**changes: Any) -> dict[str, bytes]:
    document = json.dumps(credentials_document(**changes)).encode()
    return {"credentials.json": document, "tls.crt": CERTIFICATE, "tls.key": KEY}


def credentials_of(**changes: Any) -> Credentials:
    return parse_credentials(secret_files(**changes))


def config_of(
    group: dict[str, Any] | None = None, credentials: dict[str, Any] | None = None, **changes: Any
) -> Config:
    """A configuration; `group` and `credentials` change parts of theirs."""
    if group is not None:
        changes["target_group"] = group_document(**group)
        changes["targetGroup"] = changes.pop("target_group")
    return Config(settings_of(**changes), credentials_of(**(credentials or {})))


def elected(writer: str, epoch: int, uid: str = "cm") -> Election:
    return Election("FOUND", uid, writer, epoch)


def answered(
    target: str,
    at: float,
    *,
    writes: bool,
    timeline: int | None = 1,
    max_connections: int = 100,
    reserved: int = 3,
    replay_lag: float | None = None,
) -> Probe:
    server = ServerFacts(
        not writes, max_connections, reserved, timeline if writes else None, replay_lag
    )
    return Probe(target, "OK", at, 0.001, server=server)


def failed(target: str, at: float, *, decisive: bool = True, reason: Any = "UNREACHABLE") -> Probe:
    return Probe(
        target, "FAILED", at, 0.001, reason=reason, decisive=decisive, message="connection refused"
    )
