"""Observed -> Resolved: specs parsed, references followed, and what is wrong with whom.

One user's missing Secret must not stop the others: what can't be resolved keeps what was served
before, as far as the composed Secret remembers it, and the fault is told in a condition.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from dbproxy_operator.decide.listeners import MOST_ENDPOINTS
from dbproxy_operator.desired import certificates
from dbproxy_operator.desired.certificates import Pair
from dbproxy_operator.desired.config import Login, Served, decoded, former_users
from dbproxy_operator.errors import Problem, SpecError
from dbproxy_operator.observe.world import ALLOW_LABEL, Object, Observed, labels, name
from dbproxy_operator.spec import (
    Auth,
    DBProxyEndpointSpec,
    DBProxySpec,
    DBProxyTargetGroupSpec,
    parse_endpoint,
    parse_proxy,
    parse_target_group,
)

USER_BYTES = 63


@dataclass(frozen=True)
class Endpoint:
    obj: Object
    spec: DBProxyEndpointSpec | None
    problem: Problem | None


@dataclass(frozen=True)
class Group:
    obj: Object
    spec: DBProxyTargetGroupSpec | None
    problems: tuple[Problem, ...]
    monitor: tuple[str, str] | None = None
    ca: str | None = None

    @property
    def servable(self) -> bool:
        """Whether it can be told to the pods."""
        return self.spec is not None and (self.spec.tls.ca_secret_ref is None or bool(self.ca))


@dataclass(frozen=True)
class Resolved:
    spec: DBProxySpec | None
    problems: tuple[Problem, ...]
    logins: tuple[Login, ...] = ()
    certificate: Pair | None = None
    group: Group | None = None
    other_groups: tuple[Object, ...] = ()
    endpoints: tuple[Endpoint, ...] = field(default=())


def resolve(observed: Observed, before: Served, now: float) -> Resolved:
    if observed.proxy is None:
        return Resolved(None, ())
    problems: list[Problem] = []
    spec: DBProxySpec | None = None
    logins: tuple[Login, ...] = ()
    certificate: Pair | None = None
    try:
        spec = parse_proxy(observed.proxy)
    except SpecError as error:
        problems.append(Problem("InvalidSpec", str(error), contradiction=True))
    else:
        logins, faults = _logins(spec.auth, observed, before)
        problems += faults
        if spec.tls is not None:
            certificate, fault = _certificate(spec.tls.secret_name, observed, before, now)
            problems += [fault] if fault else []
    first = observed.groups[0] if observed.groups else None
    return Resolved(
        spec=spec,
        problems=tuple(problems),
        logins=logins,
        certificate=certificate,
        group=_group(first, observed, before) if first else None,
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


def read_login(secret_name: str, where: str, observed: Observed) -> tuple[str, str] | Problem:
    """User and password from a Secret that may be used, or what to do about it."""
    secret = observed.secrets.get(secret_name)
    if secret is None:
        return Problem(
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
    if len(texts["username"].encode()) > USER_BYTES:
        return Problem(
            "SecretInvalid",
            f"the username in the Secret {secret_name} ({where}) is longer than "
            f"{USER_BYTES} bytes, which PostgreSQL does not allow: shorten it",
            contradiction=True,
        )
    return texts["username"], texts["password"]


def _logins(
    auth: Sequence[Auth], observed: Observed, before: Served
) -> tuple[tuple[Login, ...], list[Problem]]:
    remembered = {
        entry.get("secret"): (user, str(entry["password"]))
        for user, entry in former_users(before).items()
    }
    found: dict[str, Login] = {}
    problems: list[Problem] = []
    for index, item in enumerate(auth):
        secret = item.secret_ref.name
        where = f"spec.auth[{index}].secretRef"
        login = read_login(secret, where, observed)
        if isinstance(login, Problem):
            problems.append(login)
            if secret not in remembered:
                continue
            login = remembered[secret]
        user, password = login
        if user in found:
            problems.append(
                Problem(
                    "DuplicateUser",
                    f"the Secrets {found[user].secret} and {secret} both name the user {user}: "
                    "keep one of them in spec.auth",
                    contradiction=True,
                )
            )
            continue
        found[user] = Login(user, password, item.password_auth_type, secret)
    return tuple(found.values()), problems


def _certificate(
    secret_name: str, observed: Observed, before: Served, now: float
) -> tuple[Pair | None, Problem | None]:
    kept = _served_pair(before)
    secret = observed.secrets.get(secret_name)
    if secret is None:
        return kept, Problem(
            "SecretNotFound",
            f"the Secret {secret_name} (spec.tls.secretName) does not exist: create it "
            "with type kubernetes.io/tls and the keys tls.crt and tls.key",
        )
    texts = decoded(secret)
    missing = [key for key in ("tls.crt", "tls.key") if not texts.get(key)]
    if missing:
        return kept, Problem(
            "SecretIncomplete",
            f"the Secret {secret_name} (spec.tls.secretName) lacks {' and '.join(missing)}",
        )
    pair = Pair(texts["tls.crt"], texts["tls.key"])
    fault = certificates.pair_problem(pair, dt.datetime.fromtimestamp(now, dt.UTC))
    if fault is not None:
        return kept, Problem(
            "InvalidCertificate",
            f"the Secret {secret_name} (spec.tls.secretName): {fault}",
            contradiction=True,
        )
    return pair, None


def _served_pair(before: Served) -> Pair | None:
    certificate, key = before.files.get("tls.crt"), before.files.get("tls.key")
    return Pair(certificate, key) if certificate and key else None


def _group(obj: Object, observed: Observed, before: Served) -> Group:
    try:
        spec = parse_target_group(obj)
    except SpecError as error:
        return Group(obj, None, (Problem("InvalidSpec", str(error), contradiction=True),))
    problems: list[Problem] = []
    monitor: tuple[str, str] | None = None
    if spec.monitor_secret_ref is not None:
        login = read_login(spec.monitor_secret_ref.name, "spec.monitorSecretRef", observed)
        if isinstance(login, Problem):
            problems.append(login)
            monitor = _former_monitor(before)
        else:
            monitor = login
    ca: str | None = None
    if spec.tls.ca_secret_ref is not None:
        ca, fault = _target_ca(spec.tls.ca_secret_ref.name, observed)
        if fault is not None:
            problems.append(fault)
            ca = before.files.get("ca.crt")
    return Group(obj, spec, tuple(problems), monitor, ca)


def _former_monitor(before: Served) -> tuple[str, str] | None:
    former = before.credentials.get("monitor")
    if not isinstance(former, dict):
        return None
    user, password = former.get("name"), former.get("password")
    return (user, password) if isinstance(user, str) and isinstance(password, str) else None


def _target_ca(secret_name: str, observed: Observed) -> tuple[str | None, Problem | None]:
    where = f"the Secret {secret_name} (spec.tls.caSecretRef)"
    secret = observed.secrets.get(secret_name)
    if secret is None:
        return None, Problem(
            "SecretNotFound", f"{where} does not exist: create it with the key ca.crt"
        )
    text = decoded(secret).get("ca.crt", "")
    if not text:
        return None, Problem("SecretIncomplete", f"{where} lacks the key ca.crt: add it")
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return None, Problem(
            "InvalidCertificate", f"{where}: ca.crt is not a PEM certificate", contradiction=True
        )
    return text, None


def _endpoints(endpoints: Iterable[Object]) -> Iterable[Endpoint]:
    for index, obj in enumerate(endpoints):
        try:
            spec = parse_endpoint(obj)
        except SpecError as error:
            yield Endpoint(obj, None, Problem("InvalidSpec", str(error), contradiction=True))
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
