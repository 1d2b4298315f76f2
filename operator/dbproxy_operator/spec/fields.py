"""What the models of all resources are made of: the base, names, labels, quantities."""

import ipaddress
import re
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic.alias_generators import to_camel

RESERVED_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
)
RESERVED_PREFIX = "dbproxy.dev/"

SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SERVICE_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
LABEL_VALUE = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
HOST = r"^([A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
QUANTITY = r"^\+?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE][-+]?[0-9]+))?$"

DNS_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
DNS_NAME = rf"^([*][.])?{DNS_LABEL}([.]{DNS_LABEL})*$"


def _no_address(text: str) -> str:
    if re.search(r"(^|[.])[0-9]+$", text):
        raise ValueError("an IP address is none of the dnsNames: put it into ipAddresses")
    return text


def _address(text: str) -> str:
    if "%" in text:
        raise ValueError("a zone is no part of an IP address")
    ipaddress.ip_address(text)
    return text


DNSName = Annotated[
    StrictStr, Field(min_length=1, max_length=253, pattern=DNS_NAME), AfterValidator(_no_address)
]
IPAddress = Annotated[StrictStr, Field(min_length=2, max_length=45), AfterValidator(_address)]
ObjectName = Annotated[StrictStr, Field(min_length=1, max_length=253, pattern=SUBDOMAIN)]
ProxyName = Annotated[StrictStr, Field(min_length=1, max_length=50, pattern=SERVICE_NAME)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
# In seconds, up to 30 days.
Lifetime = Annotated[StrictInt, Field(ge=1, le=2592000)]
Connections = Annotated[StrictInt, Field(ge=1, le=1000000)]
Clients = Annotated[StrictInt, Field(ge=1, le=1000000)]
# A second.
Rate = Annotated[StrictInt, Field(ge=1, le=100000)]
Quantity = StrictInt | Annotated[StrictStr, Field(pattern=QUANTITY)]
Quantities = Annotated[dict[str, Quantity], Field(max_length=16)]
LabelValue = Annotated[StrictStr, Field(max_length=63, pattern=LABEL_VALUE)]
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


class Tcp(Model):
    """How a peer that vanished is noticed: seconds, but for the count."""

    keepalive_idle: Annotated[StrictInt, Field(ge=1, le=32767)] = 60
    keepalive_interval: Annotated[StrictInt, Field(ge=1, le=32767)] = 10
    keepalive_count: Annotated[StrictInt, Field(ge=1, le=127)] | None = None
    user_timeout: Annotated[StrictInt, Field(ge=0, le=86400)] = 120

    @model_validator(mode="after")
    def _count_counts(self) -> Self:
        if self.keepalive_count is not None and self.user_timeout != 0:
            raise ValueError(
                "keepaliveCount counts only where userTimeout is 0: "
                "the kernel goes by userTimeout otherwise"
            )
        return self
