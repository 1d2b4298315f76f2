"""The three custom resources as frozen models: CR dict -> model, or SpecError.

The CRDs (crds/*.yaml) are the one truth about fields, limits and defaults; a contract test holds
the two together. The models check again because an older CRD may still be installed. Unknown
fields are ignored, so that a newer CRD does not stop an older operator.
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from dbproxy_operator.errors import SpecError

DEFAULT_PORT = 5432
RESERVED_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
)
RESERVED_PREFIX = "dbproxy.dev/"
PROXY_CONTAINER = "proxy"

_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SERVICE_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
_LABEL_VALUE = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
_HOST = r"^([A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$"
_QUANTITY = r"^\+?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE][-+]?[0-9]+))?$"

ObjectName = Annotated[StrictStr, Field(min_length=1, max_length=253, pattern=_SUBDOMAIN)]
ProxyName = Annotated[StrictStr, Field(min_length=1, max_length=50, pattern=_SERVICE_NAME)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Quantity = StrictInt | Annotated[StrictStr, Field(pattern=_QUANTITY)]
Quantities = Annotated[dict[str, Quantity], Field(max_length=16)]
LabelValue = Annotated[StrictStr, Field(max_length=63, pattern=_LABEL_VALUE)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32)]
AnnotationValue = Annotated[StrictStr, Field(max_length=65536)]
Annotations = Annotated[dict[str, AnnotationValue], Field(max_length=64)]


class Model(BaseModel):
    """The base of all: frozen, camelCase outside, unknown fields ignored."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore"
    )


class SecretRef(Model):
    name: ObjectName


class ConfigMapRef(Model):
    name: ObjectName


class ProxyRef(Model):
    name: ProxyName


class Decorations(Model):
    """Labels and annotations that the user adds to what the operator makes."""

    labels: Labels = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)

    @model_validator(mode="after")
    def _leave_ours_alone(self) -> Self:
        for key in (*self.labels, *self.annotations):
            if key.startswith(RESERVED_PREFIX):
                raise ValueError(f"keys that begin with {RESERVED_PREFIX} belong to the operator")
        for key in RESERVED_LABELS:
            if key in self.labels:
                raise ValueError(f"the label {key} is set by the operator")
        return self


class Toleration(Model):
    key: Annotated[StrictStr, Field(max_length=317)] | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: Annotated[StrictStr, Field(max_length=63)] | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: StrictInt | None = None


class Resources(Model):
    requests: Quantities = Field(default_factory=dict)
    limits: Quantities = Field(default_factory=dict)


class SidecarPort(Model):
    model_config = ConfigDict(extra="allow")

    host_port: Annotated[StrictInt, Field(ge=0, le=0)] | None = None


class Sidecar(Model):
    """A container beside the proxy; what is not named here is handed through to the pod."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[StrictStr, Field(min_length=1, max_length=63, pattern=_LABEL)]
    image: Annotated[StrictStr, Field(min_length=1, max_length=1024)]
    ports: Annotated[tuple[SidecarPort, ...], Field(max_length=32)] | None = None

    @model_validator(mode="after")
    def _not_ours(self) -> Self:
        if self.name == PROXY_CONTAINER:
            raise ValueError(
                "the container `proxy` is the operator's: set spec.image "
                "and spec.template.spec.resources instead"
            )
        return self


class PodSpec(Model):
    """The allow-list of what a user may say about the proxy's pods."""

    resources: Resources | None = None
    affinity: dict[str, Any] | None = None
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=64)] = ()
    node_selector: Annotated[
        dict[str, Annotated[StrictStr, Field(max_length=63)]], Field(max_length=32)
    ] = Field(default_factory=dict)
    topology_spread_constraints: (
        Annotated[tuple[dict[str, Any], ...], Field(max_length=16)] | None
    ) = None
    priority_class_name: ObjectName | None = None
    runtime_class_name: ObjectName | None = None
    containers: Annotated[tuple[Sidecar, ...], Field(max_length=16)] = ()


class Template(Model):
    metadata: Decorations = Field(default_factory=Decorations)
    spec: PodSpec = Field(default_factory=PodSpec)


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


PasswordAuthType = Literal["POSTGRES_SCRAM_SHA_256", "POSTGRES_MD5"]


class Auth(Model):
    secret_ref: SecretRef
    client_password_auth_type: PasswordAuthType | None = None
    description: Annotated[StrictStr, Field(max_length=1024)] | None = None

    @property
    def password_auth_type(self) -> PasswordAuthType:
        return self.client_password_auth_type or "POSTGRES_SCRAM_SHA_256"


class ServerCertificate(Model):
    secret_name: ObjectName


class DBProxySpec(Model):
    engine_family: Literal["POSTGRESQL"]
    auth: Annotated[tuple[Auth, ...], Field(min_length=1, max_length=200)]
    credential_rotation_grace_period: Annotated[StrictInt, Field(ge=0, le=86400)] = 300
    require_tls: StrictBool = Field(default=False, alias="requireTLS")
    tls: ServerCertificate | None = None
    idle_client_timeout: Annotated[StrictInt, Field(ge=1, le=28800)] = 1800
    replicas: Annotated[StrictInt, Field(ge=1)] = 2
    drain_timeout: Annotated[StrictInt, Field(ge=1, le=3600)] = 60
    port: Port | None = None
    image: Annotated[StrictStr, Field(min_length=1, max_length=1024)] | None = None
    template: Template = Field(default_factory=Template)
    service: ServiceSpec = Field(default_factory=ServiceSpec)

    @property
    def service_port(self) -> int:
        return self.port or DEFAULT_PORT


class Target(Model):
    name: Annotated[StrictStr, Field(min_length=1, max_length=63, pattern=_LABEL)]
    host: Annotated[StrictStr, Field(min_length=1, max_length=253, pattern=_HOST)]
    port: Port | None = None

    @property
    def server_port(self) -> int:
        return self.port or DEFAULT_PORT


class ConnectionPoolConfig(Model):
    max_connections_percent: Annotated[StrictInt, Field(ge=1, le=100)] = 100
    max_idle_connections_percent: Annotated[StrictInt, Field(ge=0, le=100)] | None = None
    connection_borrow_timeout: Annotated[StrictInt, Field(ge=0, le=300)] = 120
    init_query: Annotated[StrictStr, Field(min_length=1, max_length=16384)] | None = None

    @model_validator(mode="after")
    def _idle_within_all(self) -> Self:
        if self.idle_percent > self.max_connections_percent:
            raise ValueError(
                "maxIdleConnectionsPercent may not be higher than maxConnectionsPercent"
            )
        return self

    @property
    def idle_percent(self) -> int:
        if self.max_idle_connections_percent is not None:
            return self.max_idle_connections_percent
        return self.max_connections_percent // 2


class WriterElection(Model):
    config_map_ref: ConfigMapRef


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
    tls: TargetTLS = Field(default_factory=TargetTLS)

    @model_validator(mode="after")
    def _each_target_once(self) -> Self:
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            raise ValueError("two targets may not have the same name")
        addresses = [(target.host, target.server_port) for target in self.targets]
        if len(set(addresses)) < len(addresses):
            raise ValueError("two targets may not have the same host and port")
        return self


class DBProxyEndpointSpec(Model):
    proxy_ref: ProxyRef
    target_role: Literal["READ_WRITE", "READ_ONLY"] = "READ_WRITE"
    service: ServiceSpec = Field(default_factory=ServiceSpec)


M = TypeVar("M", bound=Model)


def parse_proxy(obj: dict[str, Any]) -> DBProxySpec:
    return _parse(DBProxySpec, obj)


def parse_target_group(obj: dict[str, Any]) -> DBProxyTargetGroupSpec:
    return _parse(DBProxyTargetGroupSpec, obj)


def parse_endpoint(obj: dict[str, Any]) -> DBProxyEndpointSpec:
    return _parse(DBProxyEndpointSpec, obj)


def _parse(model: type[M], obj: dict[str, Any]) -> M:
    try:
        return model.model_validate(obj.get("spec", {}))
    except ValidationError as error:
        # The input itself stays out of the text: it ends up in a condition that many may read.
        faults = [
            f"{_path(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise SpecError("; ".join(faults)) from error


def _path(location: tuple[int | str, ...]) -> str:
    path = "spec"
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path
