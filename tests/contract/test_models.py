"""The custom resources and the operator's models (spec/) say the same of each field.

Fields, types, limits and defaults of both are brought into one plain form and compared. What CEL
says of several fields together is held by examples, on a real API server (tests/e2e).
"""

import re
from typing import Any

import pytest
from tests.fix_contract import Object

from dbproxy_operator import spec
from dbproxy_operator.spec.families import FAMILIES, EngineFamily
from dbproxy_operator.spec.fields import Model

MODELS: dict[str, type[Model]] = {
    "DBProxy": spec.DBProxySpec,
    "DBProxyTargetGroup": spec.DBProxyTargetGroupSpec,
    "DBProxyEndpoint": spec.DBProxyEndpointSpec,
}
LEAST: dict[str, Object] = {
    "DBProxy": {"engineFamily": "POSTGRESQL", "auth": [{"secretRef": {"name": "app"}}]},
    "DBProxyTargetGroup": {
        "proxyRef": {"name": "orders"},
        "targets": [{"name": "db-0", "host": "db"}],
    },
    "DBProxyEndpoint": {"proxyRef": {"name": "orders"}},
}
LIMITS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "minLength": "minLength",
    "maxLength": "maxLength",
    "minItems": "minItems",
    "maxItems": "maxItems",
    "maxProperties": "maxProperties",
    "pattern": "pattern",
    "default": "default",
}
# The CRD says this in CEL, for the sake of its message.
SAID_IN_CEL = tuple(
    f"DBProxy.template.spec.{containers}.items.ports.items.hostPort"
    for containers in ("containers", "initContainers")
)


def plain_crd(schema: Object, path: str) -> Object:
    """A node of a CRD's schema in the plain form."""
    form = {name: schema[key] for name, key in LIMITS.items() if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": "int-or-string", **form}
    form["type"] = schema["type"]
    if schema.get("nullable"):
        form["nullable"] = True
    if "enum" in schema:
        form = {"type": "string", "enum": sorted(schema["enum"])} | (
            {"default": schema["default"]} if "default" in schema else {}
        )
    if schema["type"] == "array":
        form["items"] = plain_crd(schema["items"], f"{path}.items")
    if schema["type"] == "object":
        form.pop("default", None)
        form["open"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
        form["required"] = sorted(schema.get("required", []))
        if "additionalProperties" in schema:
            form["values"] = plain_crd(schema["additionalProperties"], f"{path}.*")
        form["fields"] = {
            name: plain_crd(field, f"{path}.{name}")
            for name, field in schema.get("properties", {}).items()
        }
    if path in SAID_IN_CEL:
        form |= {"minimum": 0, "maximum": 0}
    return form


def plain_model(schema: Object, definitions: Object) -> Object:
    """A node of a model's JSON schema in the plain form."""
    default = {"default": schema["default"]} if schema.get("default") is not None else {}
    if "$ref" in schema:
        return plain_model(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions) | default
    if "anyOf" in schema:
        kinds = [one for one in schema["anyOf"] if one.get("type") != "null"]
        if [one.get("type") for one in kinds] == ["integer", "string"]:
            return {"type": "int-or-string", "pattern": kinds[1]["pattern"]}
        (only,) = kinds
        return plain_model(only, definitions) | default
    if "enum" in schema or "const" in schema:
        return {
            "type": "string",
            "enum": sorted(schema.get("enum", [schema.get("const")])),
        } | default
    form = {name: schema[key] for name, key in LIMITS.items() if key in schema and key != "default"}
    form = {"type": schema["type"], **form, **default}
    if schema["type"] == "array":
        form.pop("default", None)
        form["items"] = plain_model(schema["items"], definitions)
    if schema["type"] == "object":
        form["open"] = schema.get("additionalProperties") is True
        form["required"] = sorted(schema.get("required", []))
        if isinstance(schema.get("additionalProperties"), dict):
            form["values"] = plain_model(schema["additionalProperties"], definitions)
        form["fields"] = {
            name: plain_model(field, definitions)
            for name, field in schema.get("properties", {}).items()
        }
    return form


def with_defaults(schema: Object, value: Any) -> Any:
    """What the API server makes of a value: the defaults of a structural schema filled in."""
    if isinstance(value, dict):
        filled = dict(value)
        for name, field in schema.get("properties", {}).items():
            if name not in filled and "default" in field:
                filled[name] = field["default"]
            if name in filled:
                filled[name] = with_defaults(field, filled[name])
        return filled
    if isinstance(value, list):
        return [with_defaults(schema["items"], one) for one in value]
    return value


@pytest.mark.parametrize("kind", MODELS)
def test_fields_types_and_limits_are_the_same(kind: str, schemas: dict[str, Object]) -> None:
    model = MODELS[kind].model_json_schema(by_alias=True)
    ours = plain_model(model, model.get("$defs", {}))
    assert ours == plain_crd(schemas[kind]["properties"]["spec"], kind)


@pytest.mark.parametrize("kind", MODELS)
def test_defaults_are_the_same(kind: str, schemas: dict[str, Object]) -> None:
    filled = with_defaults(schemas[kind]["properties"]["spec"], LEAST[kind])
    model = MODELS[kind]
    assert filled != LEAST[kind]
    assert model.model_validate(LEAST[kind]) == model.model_validate(filled)


def test_a_port_that_is_left_out_is_no_familys_in_cel(schemas: dict[str, Object]) -> None:
    """The target group doesn't know its proxy's."""
    targets = schemas["DBProxyTargetGroup"]["properties"]["spec"]["properties"]["targets"]
    (rule,) = (one["rule"] for one in targets["x-kubernetes-validations"])
    for target in ("a", "b"):
        assert f"(has({target}.port) ? {target}.port : 0)" in rule


def test_usual_ports_are_told(schemas: dict[str, Object]) -> None:
    proxy, group = (
        schemas[kind]["properties"]["spec"]["properties"]
        for kind in ("DBProxy", "DBProxyTargetGroup")
    )
    port = group["targets"]["items"]["properties"]["port"]
    for family in FAMILIES.values():
        assert str(family.port) in proxy["port"]["description"]
        assert str(family.port) in port["description"]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_wrong_way_to_log_in_is_answered_with_the_right_ones(
    schemas: dict[str, Object], name: EngineFamily
) -> None:
    (message,) = (
        one["message"]
        for one in schemas["DBProxy"]["properties"]["spec"]["x-kubernetes-validations"]
        if one["message"].startswith(f"with engineFamily {name},")
    )
    named = re.findall(r"[A-Z0-9]+_[A-Z0-9_]+", message)
    assert named == list(FAMILIES[name].auth_types)


def test_the_default_way_to_log_in_of_each_family_is_told(schemas: dict[str, Object]) -> None:
    auth = schemas["DBProxy"]["properties"]["spec"]["properties"]["auth"]["items"]["properties"]
    told = auth["clientPasswordAuthType"]["description"]
    for family in FAMILIES.values():
        assert family.auth_types[0] in told


def test_no_field_of_a_later_issue_is_offered(schemas: dict[str, Object]) -> None:
    text = str(schemas)
    for name in ("serviceAccountAuth", "debugLogging"):
        assert name not in text
