"""A pod's configuration as the operator composes it, for tests of what the proxy makes of it."""

import base64
import datetime as dt
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from tests.resources import Object, group, proxy

from dbproxy_operator import spec
from dbproxy_operator.desired import certificates, config, formats
from dbproxy_operator.observe.world import Key

NOW = 1_763_716_450.0
KEY = Key("shop", "orders")
MATERIAL = certificates.Material(
    lambda: ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number
)
MONITOR = config.Monitor("monitor", "m", "monitor")


@dataclass(frozen=True)
class Composed:
    """The files of the mounted volume, and the objects that they come from."""

    files: dict[str, bytes]
    proxy: Object
    group: Object | None


def stored(made: Object, uid: str) -> Object:
    """As the API server would give it back."""
    metadata = made["metadata"] | {"namespace": KEY.namespace, "uid": uid, "generation": 3}
    return made | {"metadata": metadata}


def certificate_files() -> dict[str, str]:
    now = dt.datetime.fromtimestamp(NOW, dt.UTC)
    ca = certificates.authority(None, None, None, KEY.name, MATERIAL, now)
    pair = certificates.leaf(None, ca, ["orders", "orders.shop.svc"], MATERIAL, now)
    return {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": ca.bundle}


def compose(
    *,
    proxy_spec: dict[str, Any] | None = None,
    group_spec: dict[str, Any] | None = None,
    with_group: bool = True,
    floor: Object | None = None,
    monitor: config.Monitor | None = MONITOR,
    before: Composed | None = None,
    password: str = "first",
) -> Composed:
    """What the operator would write for these specs, after what it had written before."""
    owner = stored(proxy(**(proxy_spec or {})), "proxy-uid")
    target = stored(group(**(group_spec or {})), "group-uid") if with_group else None
    parsed = spec.parse_proxy(owner)
    served = _served(before)
    auth_type = parsed.family.auth_type(parsed.auth[0].client_password_auth_type)
    credentials = config.credentials(
        parsed,
        [config.Login("app", password, auth_type, "app")],
        monitor,
        served,
        bytes(range(config.FLEET_SECRET_BYTES)),
        NOW,
    )
    newest = max(formats.FORMATS)
    secret, revision = config.secret_object(
        *(KEY, owner, formats.written(newest, credentials), certificate_files(), served, NOW)
    )
    settings = config.settings(
        owner,
        parsed,
        [
            config.Listener("orders", 15432, "READ_WRITE"),
            config.Listener("orders-ro", 15433, "READ_ONLY", retiring_since=int(NOW)),
        ],
        config.target_group(target, spec.parse_target_group(target, parsed.family), floor)
        if target
        else None,
        report_to=target,
        budget_divisor=3,
        drain_timeout=parsed.drain_timeout,
    )
    config_map, _ = config.config_map_object(
        KEY, owner, formats.written(newest, settings), revision, served, NOW
    )
    return Composed(
        files={name: text.encode() for name, text in config_map["data"].items()}
        | {name: base64.b64decode(text) for name, text in secret["data"].items()},
        proxy=owner,
        group=target,
    )


def _served(before: Composed | None) -> config.Served:
    if before is None:
        return config.served(None, None)
    texts = {name: content.decode() for name, content in before.files.items()}
    encoded = {name: base64.b64encode(content).decode() for name, content in before.files.items()}
    return config.served({"data": texts}, {"data": encoded})
