"""What configures the pods: Secret, ConfigMap and certificates, from what was resolved.

`intent` asks for it, with the settings as they should be.
"""

from dataclasses import dataclass

from dbproxy_operator.decide import certificate, skew
from dbproxy_operator.decide.listeners import Listeners
from dbproxy_operator.decide.resolve import Resolved
from dbproxy_operator.decide.skew import Said
from dbproxy_operator.desired import config, formats
from dbproxy_operator.desired.certificates import Material
from dbproxy_operator.desired.config import Monitor, Served
from dbproxy_operator.desired.deployment import PodDefaults
from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.world import Object, Observed


@dataclass(frozen=True)
class Defaults:
    """What comes from outside of the world that is observed."""

    pods: PodDefaults
    material: Material
    fleet_secret: bytes
    cluster_domain: str


@dataclass(frozen=True)
class Configuration:
    """What configures the pods; no revision while there is nothing to serve. `problem`: why all of
    it stays as it is served, and no object is written."""

    objects: tuple[Object, ...] = ()
    revision: int = 0
    secret_revision: int = 0
    wake_at: float | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class Wanted:
    """The settings in the newest format, the ports that they name, and what the pods say."""

    settings: Object
    ports: Listeners
    said: Said


def configure(
    observed: Observed,
    resolved: Resolved,
    before: Served,
    wanted: Wanted,
    defaults: Defaults,
    now: float,
) -> Configuration:
    """Certificates, Secret and ConfigMap, in the order in which they are written.

    Nothing as long as there is no user to serve, or no certificate: pods would have nothing to do.
    """
    version = skew.common_format(formats.FORMATS, config.former_format(before), wanted.said)
    if version is None:
        revisions = config.former_revisions(before)
        return Configuration((), *revisions, problem=skew.too_old(formats.FORMATS, wanted.said))
    key, proxy, spec = observed.key, resolved.proxy, resolved.spec
    if proxy is None or spec is None or not resolved.logins:
        return Configuration()
    hosts = certificate.hosts(observed, spec, wanted.ports.all, defaults.cluster_domain)
    pair, renewal, objects = certificate.presented(
        observed, resolved.certificate, before, defaults.material, hosts, now
    )
    if pair is None:
        return Configuration()
    files = {"tls.crt": pair.certificate, "tls.key": pair.key}
    if resolved.group is not None and resolved.group.ca:
        files["ca.crt"] = resolved.group.ca
    content = config.credentials(
        spec, resolved.logins, _monitor(resolved), before, defaults.fleet_secret, now
    )
    secret, revision = config.secret_object(
        key, proxy, formats.written(version, content), files, before, now
    )
    config_map, settings_revision = config.config_map_object(
        key, proxy, formats.written(version, wanted.settings), revision, before, now
    )
    wake_at = soonest(config.next_expiry(content), renewal)
    return Configuration((*objects, secret, config_map), settings_revision, revision, wake_at)


def soonest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _monitor(resolved: Resolved) -> Monitor:
    if resolved.group is not None and resolved.group.monitor is not None:
        return resolved.group.monitor
    first = resolved.logins[0]
    return Monitor(first.user, first.password, None)
