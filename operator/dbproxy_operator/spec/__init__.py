"""The three custom resources as frozen models: CR dict -> model, or SpecError.

The CRDs (crds/*.yaml) are the one truth about fields, limits and defaults; a contract test holds
the two together. The models check again because an older CRD may still be installed. Unknown
fields are ignored, so that a newer CRD does not stop an older operator.
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, StrictBool, StrictInt, StrictStr, ValidationError, model_validator

from dbproxy_operator.errors import SpecError
from dbproxy_operator.spec.families import FAMILIES, EngineFamily, Family, PasswordAuthType
from dbproxy_operator.spec.fields import (
    HOST,
    LABEL,
    Clients,
    ConfigMapRef,
    Connections,
    Decorations,
    DNSName,
    IPAddress,
    Lifetime,
    Model,
    ObjectName,
    Port,
    ProxyRef,
    Rate,
    SecretRef,
    Tcp,
)
from dbproxy_operator.spec.pods import PodSpec, Template

SAME_ADDRESS = "two targets may not have the same host and port"


class ServiceSpec(Decorations):
    """How a Service looks; its selector and ports are the operator's."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    ip_families: (
        Annotated[tuple[Literal["IPv4", "IPv6"], ...], Field(min_length=1, max_length=2)] | None
    ) = None
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    internal_traffic_policy: Literal["Cluster", "Local"] | None = None
    load_balancer_class: Annotated[StrictStr, Field(min_length=1, max_length=317)] | None = None
    load_balancer_source_ranges: (
        Annotated[
            tuple[Annotated[StrictStr, Field(min_length=1, max_length=64)], ...],
            Field(min_length=1, max_length=64),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _type_fits(self) -> Self:
        if self.external_traffic_policy and self.type == "ClusterIP":
            raise ValueError("externalTrafficPolicy needs type NodePort or LoadBalancer")
        if self.load_balancer_class and self.type != "LoadBalancer":
            raise ValueError("loadBalancerClass needs type LoadBalancer")
        if self.load_balancer_source_ranges and self.type != "LoadBalancer":
            raise ValueError("loadBalancerSourceRanges needs type LoadBalancer")
        two = self.ip_families is not None and len(self.ip_families) == 2
        if two and self.ip_family_policy in (None, "SingleStack"):
            raise ValueError(
                "two ipFamilies need ipFamilyPolicy PreferDualStack or RequireDualStack"
            )
        return self


class Auth(Model):
    secret_ref: SecretRef
    client_password_auth_type: PasswordAuthType | None = None
    description: Annotated[StrictStr, Field(max_length=1024)] | None = None


class ServerCertificate(Model):
    """One that the user brings, or what to add to the one that the operator issues."""

    secret_name: ObjectName | None = None
    dns_names: Annotated[tuple[DNSName, ...], Field(max_length=32)] = ()
    ip_addresses: Annotated[tuple[IPAddress, ...], Field(max_length=32)] = ()

    @model_validator(mode="after")
    def _names_of_its_own(self) -> Self:
        if self.secret_name is not None and (self.dns_names or self.ip_addresses):
            raise ValueError(
                "dnsNames and ipAddresses are for the certificate that the operator issues: "
                "leave out either them or secretName"
            )
        return self


class DBProxySpec(Model):
    engine_family: EngineFamily
    operator_class: (
        Annotated[StrictStr, Field(min_length=1, max_length=40, pattern=LABEL)] | None
    ) = None
    auth: Annotated[tuple[Auth, ...], Field(min_length=1, max_length=200)]
    credential_rotation_grace_period: Annotated[StrictInt, Field(ge=0, le=86400)] = 300
    require_tls: StrictBool = Field(default=False, alias="requireTLS")
    tls: ServerCertificate | None = None
    idle_client_timeout: Annotated[StrictInt, Field(ge=1, le=28800)] = 1800
    idle_in_transaction_timeout: Annotated[StrictInt, Field(ge=1, le=86400)] | None = None
    max_client_lifetime: Lifetime | None = None
    max_client_connections: Clients | None = None
    max_client_connections_per_user: Clients | None = None
    max_connection_rate: Rate | None = None
    max_login_rate_per_user: Rate | None = None
    tcp: Tcp = Field(default_factory=Tcp)
    replicas: Annotated[StrictInt, Field(ge=1)] = 2
    drain_timeout: Annotated[StrictInt, Field(ge=1, le=3600)] = 60
    min_ready_seconds: Annotated[StrictInt, Field(ge=0, le=300)] = 0
    port: Port | None = None
    image: Annotated[StrictStr, Field(min_length=1, max_length=1024)] | None = None
    template: Template = Field(default_factory=Template)
    service: ServiceSpec = Field(default_factory=ServiceSpec)

    @model_validator(mode="after")
    def _auth_types_of_the_family(self) -> Self:
        right = self.family.auth_types
        for item in self.auth:
            if item.client_password_auth_type not in (None, *right):
                raise ValueError(
                    f"clientPasswordAuthType {item.client_password_auth_type} is not for "
                    f"engineFamily {self.engine_family}: take one of {', '.join(right)}"
                )
        return self

    @property
    def family(self) -> Family:
        return FAMILIES[self.engine_family]

    @property
    def service_port(self) -> int:
        return self.port or self.family.port


class Target(Model):
    name: Annotated[StrictStr, Field(min_length=1, max_length=63, pattern=LABEL)]
    host: Annotated[StrictStr, Field(min_length=1, max_length=253, pattern=HOST)]
    # None only while nobody said of which family the server is (`DBProxyTargetGroupSpec.of`).
    port: Port | None = None


class ConnectionPoolConfig(Model):
    max_connections_percent: Annotated[StrictInt, Field(ge=1, le=100)] = 100
    max_idle_connections_percent: Annotated[StrictInt, Field(ge=0, le=100)] | None = None
    min_idle_connections_percent: Annotated[StrictInt, Field(ge=0, le=100)] = 0
    max_connections_per_user: Connections | None = None
    max_connections_per_database: Connections | None = None
    connection_borrow_timeout: Annotated[StrictInt, Field(ge=0, le=300)] = 120
    max_connection_lifetime: Lifetime | None = None
    init_query: Annotated[StrictStr, Field(min_length=1, max_length=16384)] | None = None
    session_pinning_filters: Annotated[
        tuple[Literal["EXCLUDE_VARIABLE_SETS"], ...], Field(max_length=1)
    ] = ()
    max_statement_length: Annotated[StrictInt, Field(ge=1, le=262144)] | None = None

    @model_validator(mode="after")
    def _idle_within_all(self) -> Self:
        if self.idle_percent > self.max_connections_percent:
            raise ValueError(
                "maxIdleConnectionsPercent may not be higher than maxConnectionsPercent"
            )
        if self.min_idle_connections_percent > self.idle_percent:
            raise ValueError(
                "minIdleConnectionsPercent may not be higher than maxIdleConnectionsPercent, "
                "which is half of maxConnectionsPercent if left out"
            )
        return self

    @property
    def idle_percent(self) -> int:
        if self.max_idle_connections_percent is not None:
            return self.max_idle_connections_percent
        return self.max_connections_percent // 2


class WriterElection(Model):
    config_map_ref: ConfigMapRef
    confirmation_timeout: Annotated[StrictInt, Field(ge=5, le=3600)] = 30
    strict_fencing: StrictBool = False


class TargetTLS(Model):
    mode: Literal["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"] = "PREFERRED"
    ca_secret_ref: SecretRef | None = None

    @model_validator(mode="after")
    def _something_to_verify_against(self) -> Self:
        if self.mode.startswith("VERIFY_") and self.ca_secret_ref is None:
            raise ValueError("the modes VERIFY_CA and VERIFY_IDENTITY need caSecretRef")
        return self


class DBProxyTargetGroupSpec(Model):
    proxy_ref: ProxyRef
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=16)]
    connection_pool_config: ConnectionPoolConfig = Field(default_factory=ConnectionPoolConfig)
    monitor_secret_ref: SecretRef | None = None
    writer_election: WriterElection | None = None
    max_replica_lag: Annotated[StrictInt, Field(ge=1, le=86400)] | None = None
    tls: TargetTLS = Field(default_factory=TargetTLS)
    tcp: Tcp = Field(default_factory=Tcp)

    @model_validator(mode="after")
    def _each_target_once(self) -> Self:
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            raise ValueError("two targets may not have the same name")
        addresses = [(target.host, target.port) for target in self.targets]
        if len(set(addresses)) < len(addresses):
            raise ValueError(SAME_ADDRESS)
        return self

    def of(self, family: Family) -> Self:
        """The group of a proxy of that family, its ports filled in; SpecError if it can't be."""
        ports = [target.port or family.port for target in self.targets]
        hosts = [target.host for target in self.targets]
        if len(set(zip(hosts, ports, strict=True))) < len(ports):
            told = f"{SAME_ADDRESS}; a port that is left out is {family.port}"
            raise SpecError(f"spec.targets: {told}")
        pool = self.connection_pool_config
        if pool.max_connections_per_database is not None and not family.one_database:
            raise SpecError(
                "spec.connectionPoolConfig.maxConnectionsPerDatabase: a connection to "
                f"{family.products} serves all databases: leave the field out, "
                "or take maxConnectionsPerUser"
            )
        filled = [
            target.model_copy(update={"port": port})
            for target, port in zip(self.targets, ports, strict=True)
        ]
        return self.model_copy(update={"targets": tuple(filled)})


class DBProxyEndpointSpec(Model):
    proxy_ref: ProxyRef
    target_role: Literal["READ_WRITE", "READ_ONLY"] = "READ_WRITE"
    service: ServiceSpec = Field(default_factory=ServiceSpec)


M = TypeVar("M", bound=Model)


def parse_proxy(obj: dict[str, Any]) -> DBProxySpec:
    return _parse(DBProxySpec, obj)


def parse_target_group(obj: dict[str, Any], family: Family | None = None) -> DBProxyTargetGroupSpec:
    """`family`: its proxy's; what depends on that is left open where it isn't known."""
    spec = _parse(DBProxyTargetGroupSpec, obj)
    return spec if family is None else spec.of(family)


def parse_endpoint(obj: dict[str, Any]) -> DBProxyEndpointSpec:
    return _parse(DBProxyEndpointSpec, obj)


def parse_pod_defaults(text: str) -> PodSpec:
    """The chart's defaults for all pods, in JSON; raises SpecError."""
    try:
        return PodSpec.model_validate_json(text)
    except ValidationError as error:
        raise SpecError(_told(error)) from error


def _parse(model: type[M], obj: dict[str, Any]) -> M:
    try:
        return model.model_validate(obj.get("spec", {}))
    except ValidationError as error:
        raise SpecError(_told(error)) from error


def _told(error: ValidationError) -> str:
    # The input itself stays out of the text: it ends up in a condition that many may read.
    return "; ".join(
        f"{_path(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_url=False, include_input=False)
    )


def _path(location: tuple[int | str, ...]) -> str:
    path = "spec"
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path
