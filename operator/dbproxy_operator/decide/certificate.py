"""Which certificate clients are shown: the user's, one of the proxy's own CA, or what was served.

`resolve` asks it what `spec.tls` leads to, `intent` for the pair and the objects that go with it.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from dbproxy_operator.decide import served
from dbproxy_operator.desired import certificates, subjects
from dbproxy_operator.desired.certificates import Material, Pair
from dbproxy_operator.desired.config import Listener, Served, decoded
from dbproxy_operator.errors import Problem
from dbproxy_operator.observe import names
from dbproxy_operator.observe.ownership import is_ours, own_child
from dbproxy_operator.observe.world import Object, Observed, name, status
from dbproxy_operator.spec import DBProxySpec

# Of one Service; a cloud's load balancer has one or two.
MOST_INGRESSES = 8


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
    if spec.tls is None or spec.tls.secret_name is None:
        return None, ()
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    secret_name = spec.tls.secret_name
    pair, problems = served.keep(_read(secret_name, observed, moment), served.certificate(before))
    stored = own_child(observed, "Secret", names.ca_key_name(observed.key.name))
    if problems and pair is not None and certificates.is_own(pair, stored):
        return None, problems
    named = decoded(observed.secrets.get(secret_name) or {}).get("tls.crt", "")
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
    hosts: Iterable[str],
    now: float,
) -> tuple[Pair | None, float | None, list[Object]]:
    """The pair, when to look at it again, and the CA's own objects where it is of that CA.

    What clients verify against stays where it is when the user brings a certificate: they may well
    go on mounting it. A CA that can't be read signs nothing, and none is made in its place.
    """
    if user is not None:
        return user.pair, user.wake_at, []
    key, proxy = observed.key, observed.proxy
    if proxy is None:
        return None, None, []
    moment, former = dt.datetime.fromtimestamp(now, dt.UTC), served.certificate(before)
    own = ("Secret", names.ca_key_name(key.name)), ("ConfigMap", names.ca_name(key.name))
    if any(ref in observed.unread for ref in own):
        return former, None, []
    authority = certificates.authority(
        own_child(observed, "Secret", names.ca_key_name(key.name)),
        own_child(observed, "ConfigMap", names.ca_name(key.name)),
        former,
        key.name,
        material,
        moment,
    )
    hosts = list(hosts)
    pair = certificates.leaf(former, authority, hosts, material, moment)
    objects = [
        certificates.ca_secret(key, proxy, authority),
        certificates.ca_config_map(key, proxy, authority),
    ]
    return pair, certificates.due(pair, authority, hosts).timestamp(), objects


def hosts(
    observed: Observed, spec: DBProxySpec, listeners: Iterable[Listener], cluster_domain: str
) -> list[str]:
    """Where clients find the proxy: its Services, what leads to these from outside the cluster, and
    what the user knows besides."""
    found: list[str] = []
    for listener in listeners:
        if listener.retiring_since is None:
            found += names.service_hosts(observed.key.namespace, listener.name, cluster_domain)
            found += _from_outside(observed, listener.name)
    if spec.tls is not None:
        found += [*spec.tls.dns_names, *spec.tls.ip_addresses]
    return list(dict.fromkeys(subjects.normal(host) for host in found))


def _from_outside(observed: Observed, service: str) -> list[str]:
    """What a load balancer is reached by, as its controller says, if the Service is ours."""
    live = observed.child("Service", service)
    owners = (one for one in observed.endpoints if name(one) == service)
    owner = observed.proxy if service == observed.key.name else next(owners, None)
    if live is None or owner is None or not is_ours(live, owner, observed):
        return []
    ingresses = (status(live).get("loadBalancer") or {}).get("ingress") or []
    said = [one.get(key) for one in ingresses[:MOST_INGRESSES] for key in ("hostname", "ip")]
    return [host for host in said if host]


def _read(secret_name: str, observed: Observed, now: dt.datetime) -> Pair | Problem:
    where = f"the Secret {secret_name} (spec.tls.secretName)"
    secret = observed.secrets.get(secret_name)
    if secret is None:
        return served.unread(observed, ("Secret", secret_name)) or Problem(
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
