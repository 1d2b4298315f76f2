"""Observed -> Resolved: specs parsed, references followed, and what is wrong with whom.

One user's missing Secret must not stop the others: what can't be resolved keeps what was served
before (`served`), and the fault is told in a condition.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509

from dbproxy_operator.decide import certificate, served
from dbproxy_operator.decide.certificate import UserCertificate
from dbproxy_operator.decide.listeners import MOST_ENDPOINTS
from dbproxy_operator.desired.config import Login, Monitor, Served, decoded
from dbproxy_operator.errors import Problem, SpecError
from dbproxy_operator.observe.world import ALLOW_LABEL, Object, Observed, labels, name
from dbproxy_operator.spec import (
    DBProxyEndpointSpec,
    DBProxySpec,
    DBProxyTargetGroupSpec,
    parse_endpoint,
    parse_proxy,
    parse_target_group,
)
from dbproxy_operator.spec.families import Family
from dbproxy_operator.spec.fields import Model

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Endpoint:
    obj: Object
    spec: DBProxyEndpointSpec | None
    problem: Problem | None


@dataclass(frozen=True)
class Group:
    """The target group: `obj` as it is now, `source` and `spec` as the pods are to have it.

    `source` is None while nothing of it can be told to the pods, and nothing ever was.
    """

    obj: Object
    spec: DBProxyTargetGroupSpec | None
    problems: tuple[Problem, ...]
    source: Object | None = None
    monitor: Monitor | None = None
    ca: str | None = None

    @property
    def election(self) -> str | None:
        """The ConfigMap that the pods follow, or are to follow."""
        elected = self.spec.writer_election if self.spec else None
        return elected.config_map_ref.name if elected else None


@dataclass(frozen=True)
class Resolved:
    """`proxy` and `spec` are the DBProxy as it is served: the former one if it can't be read.

    `certificate` is the user's; None if one of the proxy's own CA is served.
    """

    spec: DBProxySpec | None
    problems: tuple[Problem, ...]
    proxy: Object | None = None
    logins: tuple[Login, ...] = ()
    certificate: UserCertificate | None = None
    group: Group | None = None
    other_groups: tuple[Object, ...] = ()
    endpoints: tuple[Endpoint, ...] = field(default=())


def resolve(observed: Observed, before: Served, now: float) -> Resolved:
    if observed.proxy is None:
        return Resolved(None, ())
    proxy, spec, problems = _proxy(observed.proxy, before)
    if spec is None:
        return Resolved(None, problems, proxy)
    logins, faults = _logins(spec, observed, before)
    problems += faults
    user_certificate, faults = certificate.of_user(spec, observed, before, now)
    problems += faults
    first = observed.groups[0] if observed.groups else None
    return Resolved(
        spec=spec,
        problems=problems,
        proxy=proxy,
        logins=logins,
        certificate=user_certificate,
        group=_group(first, spec.family, observed, before) if first else None,
        other_groups=observed.groups[1:],
        endpoints=tuple(_endpoints(observed.endpoints)),
    )


def second_group(first: Object) -> Problem:
    return Problem(
        "SecondTargetGroup",
        f"the proxy already has the target group {name(first)}, which is older: delete one of them",
        contradiction=True,
    )


def proxy_not_found(proxy: str) -> Problem:
    return Problem("ProxyNotFound", f"there is no DBProxy {proxy} in this namespace: create it")


def read_login(
    secret_name: str, where: str, family: Family, observed: Observed
) -> tuple[str, str] | Problem:
    """User and password from a Secret that may be used, or what to do about it."""
    secret = observed.secrets.get(secret_name)
    if secret is None:
        return served.unread(observed, ("Secret", secret_name)) or Problem(
            "SecretNotFound",
            f"the Secret {secret_name} ({where}) does not exist: "
            "create it with the keys username and password",
        )
    allowed = secret.get("type") == "kubernetes.io/basic-auth"
    if not allowed and labels(secret).get(ALLOW_LABEL) != "true":
        return Problem(
            "SecretNotAllowed",
            f"the Secret {secret_name} ({where}) is not of type kubernetes.io/basic-auth: "
            f'use that type, or label the Secret {ALLOW_LABEL}: "true"',
            contradiction=True,
        )
    texts = decoded(secret)
    for key in ("username", "password"):
        value = texts.get(key, "")
        if not value:
            return Problem(
                "SecretIncomplete",
                f"the Secret {secret_name} ({where}) has no readable value "
                f"for the key {key}: add it",
            )
        if "\0" in value:
            return Problem(
                "SecretInvalid",
                f"the Secret {secret_name} ({where}) has a zero byte in {key}: remove it",
                contradiction=True,
            )
    if not family.takes_user(texts["username"]):
        return Problem(
            "SecretInvalid",
            f"the username in the Secret {secret_name} ({where}) is longer than "
            f"{family.longest_user} {family.counts}, which {family.products} does not allow: "
            "shorten it",
            contradiction=True,
        )
    return texts["username"], texts["password"]


def _proxy(obj: Object, before: Served) -> tuple[Object, DBProxySpec | None, tuple[Problem, ...]]:
    found = _parsed(parse_proxy, obj)
    former = served.proxy(before)
    spec, problems = served.keep(found, former.spec if former else None)
    if former is None or not problems:
        return obj, spec, problems
    metadata = {**obj["metadata"], "generation": former.obj["metadata"]["generation"]}
    return {**obj, "metadata": metadata, "spec": former.obj["spec"]}, spec, problems


def _parsed(parse: Callable[[Object], M], obj: Object) -> M | Problem:
    try:
        return parse(obj)
    except SpecError as error:
        return Problem("InvalidSpec", str(error), contradiction=True)


def _logins(
    spec: DBProxySpec, observed: Observed, before: Served
) -> tuple[tuple[Login, ...], tuple[Problem, ...]]:
    former = served.logins(before, spec.family)
    found: dict[str, Login] = {}
    problems: list[Problem] = []
    replaced = False
    for index, item in enumerate(spec.auth):
        secret = item.secret_ref.name
        last = former.get(secret)
        read = read_login(secret, f"spec.auth[{index}].secretRef", spec.family, observed)
        login, faults = served.keep(read, (last.user, last.password) if last else None)
        problems += faults
        if login is None:
            replaced = True
            continue
        user, password = login
        if user in found:
            problems.append(_named_twice(user, found[user].secret, secret))
            continue
        auth_type = spec.family.auth_type(item.client_password_auth_type)
        found[user] = Login(user, password, auth_type, secret)
    if replaced:
        # Whom a Secret that never came stands for is unknown: it may be any of those left out.
        for login_before in former.values():
            found.setdefault(login_before.user, login_before)
    return tuple(found.values()), tuple(problems)


def _named_twice(user: str, first: str, second: str) -> Problem:
    return Problem(
        "DuplicateUser",
        f"the Secrets {first} and {second} both name the user {user}: "
        "keep one of them in spec.auth",
        contradiction=True,
    )


def _group(obj: Object, family: Family, observed: Observed, before: Served) -> Group:
    spec = _parsed(lambda one: parse_target_group(one, family), obj)
    if isinstance(spec, Problem):
        return _as_served(obj, None, (spec,), family, observed, before)
    problems: tuple[Problem, ...] = ()
    ca: str | None = None
    if spec.tls.ca_secret_ref is not None:
        secret = spec.tls.ca_secret_ref.name
        ca, problems = served.keep(_target_ca(secret, observed), served.ca(before, secret))
        if ca is None:
            return _as_served(obj, spec, problems, family, observed, before)
    monitor, faults = _monitor(spec, family, observed, before)
    return Group(obj, spec, (*problems, *faults), obj, monitor, ca)


def _as_served(
    obj: Object,
    wanted: DBProxyTargetGroupSpec | None,
    problems: tuple[Problem, ...],
    family: Family,
    observed: Observed,
    before: Served,
) -> Group:
    """A group that can't be told to the pods: all of it stays as they have it."""
    former = served.group(before, family)
    if former is None:
        return Group(obj, wanted, problems)
    # Where its own Secrets can still be read they count; what is wrong with them is not the point.
    monitor, _ = _monitor(former.spec, family, observed, before)
    return Group(obj, former.spec, problems, former.obj, monitor, before.files.get("ca.crt"))


def _monitor(
    spec: DBProxyTargetGroupSpec, family: Family, observed: Observed, before: Served
) -> tuple[Monitor | None, tuple[Problem, ...]]:
    if spec.monitor_secret_ref is None:
        return None, ()
    secret = spec.monitor_secret_ref.name
    found = read_login(secret, "spec.monitorSecretRef", family, observed)
    monitor = found if isinstance(found, Problem) else Monitor(*found, secret)
    return served.keep(monitor, served.monitor(before))


def _target_ca(secret_name: str, observed: Observed) -> str | Problem:
    where = f"the Secret {secret_name} (spec.tls.caSecretRef)"
    secret = observed.secrets.get(secret_name)
    if secret is None:
        return served.unread(observed, ("Secret", secret_name)) or Problem(
            "SecretNotFound", f"{where} does not exist: create it with the key ca.crt"
        )
    text = decoded(secret).get("ca.crt", "")
    if not text:
        return Problem("SecretIncomplete", f"{where} lacks the key ca.crt: add it")
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return Problem(
            "InvalidCertificate", f"{where}: ca.crt is not a PEM certificate", contradiction=True
        )
    return text


def _endpoints(endpoints: Iterable[Object]) -> Iterable[Endpoint]:
    for index, obj in enumerate(endpoints):
        spec = _parsed(parse_endpoint, obj)
        if isinstance(spec, Problem):
            yield Endpoint(obj, None, spec)
            continue
        problem = None
        if index >= MOST_ENDPOINTS:
            problem = Problem(
                "TooManyEndpoints",
                f"a proxy may have {MOST_ENDPOINTS} endpoints besides the default, "
                "and older ones use them up: delete one",
                contradiction=True,
            )
        yield Endpoint(obj, spec, problem)
