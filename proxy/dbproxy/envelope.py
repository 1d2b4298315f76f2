"""What configuration of every format has: the format itself, whose it is, and where pods report.

So a pod that can't read a format that is newer than its image still says which one it reads, in its
report, and the operator writes that. `settings` reads the rest.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from dbproxy.errors import ConfigError, Fault

# The newest that this version reads; it reads the one before too, once there is one.
FORMAT_VERSION = 1

Name = Annotated[str, Field(min_length=1, max_length=253)]


class Model(BaseModel):
    """Frozen, in camelCase outside, and forgiving about keys of later versions."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, strict=True
    )


class ProxyRef(Model):
    namespace: Name
    name: Name
    uid: str
    generation: int


class GroupRef(Model):
    """The DBProxyTargetGroup whose status takes this pod's report, served or not."""

    name: Name
    uid: str


class Envelope(Model):
    """The part of `settings.json` that is the same in every format."""

    proxy: ProxyRef
    report_to: GroupRef | None = None


class UnknownFormatError(ConfigError):
    """The file has a format that this version doesn't read. `envelope`: what it says all the same,
    if it is `settings.json`."""

    def __init__(self, fault: Fault, envelope: Envelope | None) -> None:
        super().__init__([fault])
        self.envelope = envelope


def read_document(file: str, text: bytes) -> dict[str, Any]:
    """The JSON object in the text, in a format that is known; or a ConfigError."""
    try:
        document = json.loads(text)
    except RecursionError:
        raise ConfigError([Fault(file, "is not JSON (nesting)")]) from None
    except ValueError as error:
        # The error's own text could quote the document, and that may hold a password.
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "encoding"
        raise ConfigError([Fault(file, f"is not JSON ({where})")]) from None
    if not isinstance(document, dict):
        raise ConfigError([Fault(file, "is not a JSON object")])
    version = document.get("formatVersion")
    if version != FORMAT_VERSION:
        told = f"is {version!r}; this proxy reads {FORMAT_VERSION}"
        raise UnknownFormatError(Fault(f"{file}: formatVersion", told), _envelope(document))
    return document


def _envelope(document: dict[str, Any]) -> Envelope | None:
    try:
        return Envelope.model_validate(document)
    except ValidationError:
        return None
