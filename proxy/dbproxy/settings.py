"""The configuration of a pod, parsed once into frozen models: `settings.json` and the credentials.

The watchers call it for what the API server or the mounted files give them, `--check` for its
faults. Every fault names the file and the field. Keys that this version doesn't know are ignored, a
`formatVersion` that it doesn't know is refused.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from dbproxy.envelope import GroupRef, Model, Name, ProxyRef, read_document
from dbproxy.errors import ConfigError, Fault
from dbproxy.families import EngineFamily, PasswordAuthType, auth_type_fault, database_limit_fault

SETTINGS_FILE = "settings.json"
CREDENTIALS_FILE = "credentials.json"
CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"
CA_FILE = "ca.crt"
# For how many seconds SQL's last word on the writer is good, where nobody says otherwise.
CONFIRMATION_TIMEOUT = 30
SECRET_FILES = (CREDENTIALS_FILE, CERTIFICATE_FILE, KEY_FILE, CA_FILE)
PEM_BLOCK = re.compile(rb"(?ms)^-----BEGIN [^\n]+-----.*?^-----END [^\n]+-----")

Port = Annotated[int, Field(ge=1, le=65_535)]
Percent = Annotated[int, Field(ge=0, le=100)]
# More, the operator would take for no revision at all, and never outbid.
Revision = Annotated[int, Field(ge=0, lt=2**53)]
# The election's own range (docs/failover.md).
Epoch = Annotated[int, Field(ge=0, lt=10**15)]
# In seconds, up to 30 days.
Lifetime = Annotated[int, Field(ge=1, le=2_592_000)]
Connections = Annotated[int, Field(ge=1, le=1_000_000)]
Clients = Annotated[int, Field(ge=1, le=1_000_000)]
# A second.
Rate = Annotated[int, Field(ge=1, le=100_000)]
TlsMode = Literal["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"]
PinningFilter = Literal["EXCLUDE_VARIABLE_SETS"]
Role = Literal["READ_WRITE", "READ_ONLY"]


class Listener(Model):
    name: Name
    port: Port
    target_role: Role


class Target(Model):
    name: Name
    host: Name
    port: Port


class Tcp(Model):
    """How a peer that vanished is noticed; without `user_timeout` by the number of questions."""

    keepalive_idle: Annotated[int, Field(ge=1, le=32_767)] = 60
    keepalive_interval: Annotated[int, Field(ge=1, le=32_767)] = 10
    keepalive_count: Annotated[int, Field(ge=1, le=127)] | None = None
    user_timeout: Annotated[int, Field(ge=0, le=86_400)] = 120


class PoolConfig(Model):
    max_connections_percent: Annotated[int, Field(ge=1, le=100)] = 100
    max_idle_connections_percent: Percent = 50
    min_idle_connections_percent: Percent = 0
    max_connections_per_user: Connections | None = None
    max_connections_per_database: Connections | None = None
    connection_borrow_timeout: Annotated[int, Field(ge=0, le=300)] = 120
    max_connection_lifetime: Lifetime | None = None
    init_query: str | None = None
    session_pinning_filters: Annotated[tuple[PinningFilter, ...], Field(strict=False)] = ()
    max_statement_length: Annotated[int, Field(ge=1)] | None = None


class WriterElection(Model):
    """Who names the writer, and for how many seconds SQL's last word on it is good."""

    config_map: Name
    confirmation_timeout: Annotated[int, Field(ge=5, le=3_600)] = CONFIRMATION_TIMEOUT
    strict_fencing: bool = False


class ServerTls(Model):
    mode: TlsMode = "PREFERRED"


class WriterFloor(Model):
    """The newest epoch that any pod is known to have obeyed."""

    target: str
    uid: str
    epoch: Epoch


class Peers(Model):
    """Under which names the pods of the fleet are found, and on which port by each other."""

    hosts: Annotated[tuple[Name, ...], Field(min_length=1, max_length=16, strict=False)]
    port: Port


class TargetGroup(Model):
    name: Name
    uid: str
    generation: int
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=16, strict=False)]
    connection_pool_config: PoolConfig = PoolConfig()
    writer_election: WriterElection | None = None
    # In seconds; None: a replica is read from however late it is.
    max_replica_lag: Annotated[int, Field(ge=1, le=86_400)] | None = None
    tls: ServerTls = ServerTls()
    tcp: Tcp = Tcp()
    writer_floor: WriterFloor | None = None


class Settings(Model):
    """What `settings.json` says."""

    format_version: int
    revision: Revision
    secret_revision: Revision
    proxy: ProxyRef
    engine_family: EngineFamily
    require_tls: bool = Field(default=False, alias="requireTLS")
    idle_client_timeout: Annotated[int, Field(ge=1, le=28_800)] = 1_800
    idle_in_transaction_timeout: Annotated[int, Field(ge=1, le=86_400)] | None = None
    max_client_lifetime: Lifetime | None = None
    max_client_connections: Clients | None = None
    max_client_connections_per_user: Clients | None = None
    max_connection_rate: Rate | None = None
    max_login_rate_per_user: Rate | None = None
    tcp: Tcp = Tcp()
    drain_timeout: Annotated[int, Field(ge=1, le=3_600)] = 60
    budget_divisor: Annotated[int, Field(ge=1)] = 1
    listeners: Annotated[tuple[Listener, ...], Field(strict=False)]
    target_group: TargetGroup | None = None
    report_to: GroupRef | None = None
    peers: Peers | None = None


class PreviousPassword(Model):
    password: Annotated[str, Field(min_length=1)]
    valid_until: float


class User(Model):
    name: Name
    password: Annotated[str, Field(min_length=1)]
    # The family's default if left out.
    client_password_auth_type: PasswordAuthType | None = None
    previous: Annotated[tuple[PreviousPassword, ...], Field(strict=False)] = ()


class Monitor(Model):
    """Who probes. Whether a previous password still works, the database says."""

    name: Name
    password: Annotated[str, Field(min_length=1)]
    previous: Annotated[tuple[PreviousPassword, ...], Field(strict=False)] = ()


class CredentialsFile(Model):
    """What `credentials.json` says."""

    format_version: int
    revision: Revision
    fleet_secret: str
    credential_rotation_grace_period: Annotated[int, Field(ge=0, le=86_400)] = 300
    users: Annotated[tuple[User, ...], Field(max_length=200, strict=False)]
    monitor: Monitor | None = None


@dataclass(frozen=True)
class Credentials:
    """Everything that the Secret holds."""

    file: CredentialsFile
    certificate: str
    key: str
    server_ca: str | None

    @property
    def revision(self) -> int:
        return self.file.revision


@dataclass(frozen=True)
class Config:
    """Settings and the credentials that they need: what a pod runs on."""

    settings: Settings
    credentials: Credentials


M = TypeVar("M", bound=Model)


def _loc(parts: Iterable[int | str]) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _parse(model: type[M], file: str, text: bytes) -> M:
    document = read_document(file, text)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        # A list one of whose items is wrong counts as too short besides.
        faults = [
            Fault(f"{file}: {_loc(e['loc'])}", e["msg"])
            for e in errors
            if e["type"] != "too_short"
            or not any(
                o["loc"] != e["loc"] and o["loc"][: len(e["loc"])] == e["loc"] for o in errors
            )
        ]
        raise ConfigError(faults) from None


def _duplicates(file: str, path: str, names: Iterable[object]) -> list[Fault]:
    seen: set[object] = set()
    faults = []
    for index, name in enumerate(names):
        if name in seen:
            faults.append(Fault(f"{file}: {path.format(index)}", f"{name!r} is there twice"))
        seen.add(name)
    return faults


def parse_settings(text: bytes) -> Settings:
    """Parse `settings.json`, or raise a ConfigError with every fault."""
    settings = _parse(Settings, SETTINGS_FILE, text)
    group = settings.target_group
    faults = _duplicates(
        SETTINGS_FILE, "listeners[{}].port", (listener.port for listener in settings.listeners)
    ) + _duplicates(
        SETTINGS_FILE, "listeners[{}].name", (listener.name for listener in settings.listeners)
    )
    if group is not None:
        path = "targetGroup.targets[{}].name"
        faults += _duplicates(SETTINGS_FILE, path, (target.name for target in group.targets))
        limit = group.connection_pool_config.max_connections_per_database
        if fault := database_limit_fault(settings.engine_family, limit):
            path = "targetGroup.connectionPoolConfig.maxConnectionsPerDatabase"
            faults.append(Fault(f"{SETTINGS_FILE}: {path}", fault))
    if faults:
        raise ConfigError(faults)
    return settings


def _pem(text: bytes) -> str:
    """The blocks of a PEM file; the words around them may be in any language and encoding."""
    blocks = PEM_BLOCK.findall(text)
    return "".join(block.decode("ascii", errors="backslashreplace") + "\n" for block in blocks)


def _certificate_faults(certificate: str, key: str) -> list[Fault]:
    """The ssl module loads files only: these two exist in memory, and only for this check."""
    descriptor = os.memfd_create("dbproxy-certificate")
    try:
        os.write(descriptor, (certificate + key).encode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: b"")
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            return [Fault(KEY_FILE, f"is not the key of the certificate in {CERTIFICATE_FILE}")]
        return [Fault(CERTIFICATE_FILE, f"with {KEY_FILE}: not a certificate and key in PEM")]
    finally:
        os.close(descriptor)
    return []


def _ca_faults(ca: str) -> list[Fault]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError):
        return [Fault(CA_FILE, "holds no CA certificate in PEM")]
    return []


def _fleet_secret_faults(file: CredentialsFile) -> list[Fault]:
    path = f"{CREDENTIALS_FILE}: fleetSecret"
    try:
        secret = base64.b64decode(file.fleet_secret, validate=True)
    except (binascii.Error, ValueError):
        return [Fault(path, "is not base64")]
    return [] if len(secret) >= 32 else [Fault(path, "is shorter than 32 bytes")]


def parse_credentials(files: Mapping[str, bytes]) -> Credentials:
    """Parse the keys of the Secret, or raise a ConfigError with every fault."""
    required = (CREDENTIALS_FILE, CERTIFICATE_FILE, KEY_FILE)
    faults = [Fault(name, "is missing") for name in required if name not in files]
    parsed: CredentialsFile | None = None
    if CREDENTIALS_FILE in files:
        try:
            parsed = _parse(CredentialsFile, CREDENTIALS_FILE, files[CREDENTIALS_FILE])
        except ConfigError as error:
            faults += error.faults
        else:
            faults += _fleet_secret_faults(parsed)
            faults += _duplicates(
                CREDENTIALS_FILE, "users[{}].name", (user.name for user in parsed.users)
            )
    certificate, key, ca = (
        _pem(files[name]) if name in files else None
        for name in (CERTIFICATE_FILE, KEY_FILE, CA_FILE)
    )
    if certificate is not None and key is not None:
        faults += _certificate_faults(certificate, key)
    if ca is not None:
        faults += _ca_faults(ca)
    if faults or parsed is None or certificate is None or key is None:
        raise ConfigError(faults)
    return Credentials(file=parsed, certificate=certificate, key=key, server_ca=ca)


def pair_faults(settings: Settings, credentials: Credentials) -> list[Fault]:
    """What is wrong with these two together, each being right by itself."""
    faults = []
    if settings.secret_revision > credentials.revision:
        faults.append(
            Fault(
                f"{SETTINGS_FILE}: secretRevision",
                f"needs credentials of revision {settings.secret_revision}, "
                f"there are those of {credentials.revision}",
            )
        )
    for index, user in enumerate(credentials.file.users):
        if fault := auth_type_fault(settings.engine_family, user.client_password_auth_type):
            path = f"{CREDENTIALS_FILE}: users[{index}].clientPasswordAuthType"
            faults.append(Fault(path, fault))
    group = settings.target_group
    if group is not None and group.tls.mode.startswith("VERIFY") and credentials.server_ca is None:
        faults.append(
            Fault(CA_FILE, f"is missing; targetGroup.tls.mode {group.tls.mode} verifies against it")
        )
    return faults


def resolve_directory(directory: Path) -> Path:
    """A projected volume swaps the link `..data`: through it, all files are of one generation."""
    data = directory / "..data"
    return data.resolve() if data.is_symlink() else directory


def read_directory(directory: Path) -> dict[str, bytes]:
    """The files of a configuration directory that are there now."""
    files = {}
    base = resolve_directory(directory)
    for name in (SETTINGS_FILE, *SECRET_FILES):
        try:
            files[name] = (base / name).read_bytes()
        except FileNotFoundError:
            continue
    return files


def load_directory(directory: Path) -> Config:
    """Parse a whole configuration directory, or raise a ConfigError with every fault in it."""
    try:
        files = read_directory(directory)
    except OSError as error:
        raise ConfigError([Fault(str(directory), error.strerror or str(error))]) from error
    faults: list[Fault] = []
    settings: Settings | None = None
    credentials: Credentials | None = None
    try:
        if SETTINGS_FILE not in files:
            raise ConfigError([Fault(SETTINGS_FILE, "is missing")])
        settings = parse_settings(files[SETTINGS_FILE])
    except ConfigError as error:
        faults += error.faults
    try:
        credentials = parse_credentials(files)
    except ConfigError as error:
        faults += error.faults
    if settings is None or credentials is None:
        raise ConfigError(faults)
    faults = pair_faults(settings, credentials)
    if faults:
        raise ConfigError(faults)
    return Config(settings, credentials)
