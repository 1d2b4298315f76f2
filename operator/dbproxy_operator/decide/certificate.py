"""Which certificate clients are shown: the user's, one of the proxy's own CA, or what was served.

`resolve` asks it what `spec.tls` leads to, `intent` for the pair and the objects that go with it.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from dbproxy_operator.decide import served
from dbproxy_operator.desired import certificates
from dbproxy_operator.desired.certificates import Material, Pair
from dbproxy_operator.desired.config import Listener, Served, decoded
from dbproxy_operator.errors import Problem
from dbproxy_operator.observe import names
from dbproxy_operator.observe.ownership import own_child
from dbproxy_operator.observe.world import Object, Observed
from dbproxy_operator.spec import DBProxySpec


@dataclass(frozen=True)
class UserCertificate:
    """What `spec.tls` leads to. `expiry`: what to tell of the end of the pair that is served."""

    pair: Pair | None
    wake_at: float | None = None
    expiry: str | None = None


def of_user(
    spec: DBProxySpec, observed: Observed, before: Served, now: float
) -> tuple[UserCertificate | None, tuple[Problem, ...]]:
    """The user's certificate, or what is served in its place; None for one of the own CA.

    While the Secret that is named can't be used, a certificate of the own CA goes on as such: it is
    renewed, and its CA stays published.
    """
    if spec.tls is None:
        return None, ()
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    pair, problems = served.keep(
        _read(spec.tls.secret_name, observed, moment), served.certificate(before)
    )
    stored = own_child(observed, "Secret", names.ca_key_name(observed.key.name))
    if problems and pair is not None and certificates.is_own(pair, stored):
        return None, problems
    named = decoded(observed.secrets.get(spec.tls.secret_name) or {}).get("tls.crt", "")
    texts = {named, pair.certificate if pair else ""}
    ahead = [one.timestamp() for text in texts for one in certificates.moments(text)]
    wake_at = min((at for at in ahead if at > now), default=None)
    expiry = certificates.expiry_warning(pair.certificate, moment) if pair else None
    return UserCertificate(pair, wake_at, expiry), problems


def presented(
    observed: Observed,
    user: UserCertificate | None,
    before: Served,
    material: Material,
    listeners: Iterable[Listener],
    now: float,
) -> tuple[Pair | None, float | None, list[Object]]:
    """The pair, when to look at it again, and the CA's own objects where it is of that CA.

    What clients verify against stays where it is when the user brings a certificate: they may well
    go on mounting it.
    """
    if user is not None:
        return user.pair, user.wake_at, []
    key, proxy = observed.key, observed.proxy
    if proxy is None:
        return None, None, []
    moment, former = dt.datetime.fromtimestamp(now, dt.UTC), served.certificate(before)
    authority = certificates.authority(
        own_child(observed, "Secret", names.ca_key_name(key.name)),
        own_child(observed, "ConfigMap", names.ca_name(key.name)),
        former,
        key.name,
        material,
        moment,
    )
    hosts = [
        host
        for listener in listeners
        if listener.retiring_since is None
        for host in names.service_hosts(key.namespace, listener.name)
    ]
    pair = certificates.leaf(former, authority, hosts, material, moment)
    objects = [
        certificates.ca_secret(key, proxy, authority),
        certificates.ca_config_map(key, proxy, authority),
    ]
    return pair, certificates.due(pair, authority, hosts).timestamp(), objects


def _read(secret_name: str, observed: Observed, now: dt.datetime) -> Pair | Problem:
    where = f"the Secret {secret_name} (spec.tls.secretName)"
    secret = observed.secrets.get(secret_name)
    if secret is None:
        return Problem(
            "SecretNotFound",
            f"{where} does not exist: create it "
            "with type kubernetes.io/tls and the keys tls.crt and tls.key",
        )
    texts = decoded(secret)
    missing = [key for key in ("tls.crt", "tls.key") if not texts.get(key)]
    if missing:
        return Problem("SecretIncomplete", f"{where} lacks {' and '.join(missing)}")
    pair = Pair(texts["tls.crt"], texts["tls.key"])
    fault = certificates.pair_problem(pair, now)
    if fault is None:
        return pair
    comes = any(moment > now for moment in certificates.moments(pair.certificate)[:1])
    return Problem("InvalidCertificate", f"{where}: {fault}", contradiction=not comes)
