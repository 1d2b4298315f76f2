"""What a user, or the chart's defaults, may say about the proxy's pods: an allow-list.

Never the ServiceAccount, the node's network, paths or namespaces, nor the container `proxy` itself.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StrictInt, StrictStr, model_validator

from dbproxy_operator.spec.fields import (
    LABEL,
    VARIABLE,
    Decorations,
    Model,
    ObjectName,
    Quantities,
    SecretRef,
)

PROXY_CONTAINER = "proxy"
OWN_VOLUMES = ("config", "tmp")
OWN_VARIABLES = ("POD_NAME", "POD_NAMESPACE", "POD_UID", "DBPROXY_POD_IP")


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

    name: Annotated[StrictStr, Field(min_length=1, max_length=63, pattern=LABEL)]
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


class Volume(Model):
    """A volume for sidecars, of a kind that the Pod Security level `restricted` allows."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=63, pattern=LABEL)]
    config_map: dict[str, Any] | None = None
    csi: dict[str, Any] | None = None
    downward_api: dict[str, Any] | None = Field(default=None, alias="downwardAPI")
    empty_dir: dict[str, Any] | None = None
    ephemeral: dict[str, Any] | None = None
    persistent_volume_claim: dict[str, Any] | None = None
    projected: dict[str, Any] | None = None
    secret: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _not_ours(self) -> Self:
        if self.name in OWN_VOLUMES:
            raise ValueError("the volumes `config` and `tmp` are the operator's: take another name")
        return self


class Variable(Model):
    name: Annotated[StrictStr, Field(min_length=1, max_length=253, pattern=VARIABLE)]
    value: Annotated[StrictStr, Field(max_length=4096)] = ""

    @model_validator(mode="after")
    def _not_ours(self) -> Self:
        if self.name in OWN_VARIABLES:
            told = "POD_NAME, POD_NAMESPACE, POD_UID and DBPROXY_POD_IP are set by the operator"
            raise ValueError(told)
        return self


class PodSecurity(Model):
    """Who the processes of a pod are; that it isn't root is the operator's to say."""

    run_as_user: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] | None = None
    run_as_group: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)] | None = None
    fs_group: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)] | None = None
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = None
    supplemental_groups: (
        Annotated[tuple[Annotated[StrictInt, Field(ge=0, le=2**31 - 1)], ...], Field(max_length=32)]
        | None
    ) = None


class PodSpec(Model):
    """The allow-list of what a user may say about the proxy's pods."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: Annotated[tuple[SecretRef, ...], Field(max_length=16)] = ()
    security_context: PodSecurity | None = None
    env: Annotated[tuple[Variable, ...], Field(max_length=64)] = ()
    volumes: Annotated[tuple[Volume, ...], Field(max_length=16)] = ()
    init_containers: Annotated[tuple[Sidecar, ...], Field(max_length=16)] = ()
    dns_policy: Literal["ClusterFirst", "Default", "None"] | None = None
    dns_config: dict[str, Any] | None = None
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


def merged(user: PodSpec, defaults: PodSpec) -> PodSpec:
    """What the user says of the pods, and the defaults where that says nothing."""
    said = {name: getattr(user, name) for name in user.model_fields_set}
    return defaults.model_copy(update=said)
