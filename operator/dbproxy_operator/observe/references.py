"""Which other objects a resource refers to by name; `observe` reads them, handlers watch them.

Works on raw objects, since a handler must also know what a faulty resource refers to.
"""

from collections.abc import Iterator
from typing import Any

from dbproxy_operator.observe.world import Object


def proxy_secrets(proxy: Object) -> set[str]:
    spec = _mapping(proxy.get("spec"))
    names = {_ref(_mapping(item), "secretRef") for item in _items(spec.get("auth"))}
    names.add(_text(_mapping(spec.get("tls")).get("secretName")))
    return {name for name in names if name}


def group_secrets(group: Object) -> set[str]:
    spec = _mapping(group.get("spec"))
    names = {
        _ref(spec, "monitorSecretRef"),
        _ref(_mapping(spec.get("tls")), "caSecretRef"),
    }
    return {name for name in names if name}


def election(group: Object) -> str | None:
    return _ref(_mapping(_mapping(group.get("spec")).get("writerElection")), "configMapRef") or None


def proxy_of(obj: Object) -> str | None:
    """The proxy that a target group or an endpoint belongs to."""
    return _ref(_mapping(obj.get("spec")), "proxyRef") or None


def _ref(value: dict[str, Any], field: str) -> str:
    return _text(_mapping(value.get(field)).get("name"))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
