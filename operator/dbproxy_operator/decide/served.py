"""Keep what was served: the one rule for whatever can't be resolved or read.

`resolve` asks it for users, monitor, CA, certificate, the whole target group and the DBProxy's own
spec. A reference that leads nowhere, a Secret that is broken, a spec that can't be read: the pods
go on with what they have, for as long as it takes, and the problem is told. Only the absence of the
object itself takes anything away. One that the API server doesn't show may be there or not
(`unread`): that is no absence.

What the pods have is what the composed ConfigMap and Secret say. Both specs are noted there as they
were read last, so that what was served can be rendered again with all that must go on changing
(passwords, renewed certificates, the writer's floor), and with its former generation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dbproxy_operator.desired.certificates import Pair
from dbproxy_operator.desired.config import SPEC_NOTE, Login, Monitor, Served, former_users
from dbproxy_operator.errors import Problem, SpecError
from dbproxy_operator.observe.world import Object, Observed, Ref
from dbproxy_operator.spec import (
    DBProxySpec,
    DBProxyTargetGroupSpec,
    parse_proxy,
    parse_target_group,
)
from dbproxy_operator.spec.families import Family
from dbproxy_operator.spec.fields import Model

UNREAD = "ApiError"
_WORDS = 1000
T = TypeVar("T")
M = TypeVar("M", bound=Model)


def keep(found: T | Problem, former: T | None) -> tuple[T | None, tuple[Problem, ...]]:
    """What to serve, and what to tell: the former one where there is a problem with the new."""
    if isinstance(found, Problem):
        return former, (found,)
    return found, ()


def unread(observed: Observed, ref: Ref) -> Problem | None:
    """Why it is not known what there is of that object, if so."""
    found = observed.unread.get(ref)
    if found is None:
        return None
    kind, called = ref
    what = f"the {kind} {called}" if called else f"any {kind}"
    code = f" ({found.status})" if found.status else ""
    told = f"the API server does not show {what} now{code}: it stays as it is served, and is"
    return Problem(UNREAD, f"{told} asked for again: {found.message[:_WORDS]}", unwatched=True)


@dataclass(frozen=True)
class Former(Generic[M]):
    """An object as its spec was served last: name, UID and generation are those of then."""

    obj: Object
    spec: M


def proxy(before: Served) -> Former[DBProxySpec] | None:
    return _former(before.settings.get("proxy"), parse_proxy)


def group(before: Served, family: Family | None) -> Former[DBProxyTargetGroupSpec] | None:
    """None also if it was another family's: a DBProxy of that name may have been one."""
    return _former(before.settings.get("targetGroup"), lambda obj: parse_target_group(obj, family))


def logins(before: Served, family: Family) -> dict[str, Login]:
    """The users that were served, by the Secret that named each."""
    return {
        entry["secret"]: Login(
            user,
            entry["password"],
            family.auth_type(entry.get("clientPasswordAuthType")),
            entry["secret"],
        )
        for user, entry in former_users(before).items()
        if isinstance(entry.get("secret"), str)
    }


def monitor(before: Served) -> Monitor | None:
    """A monitor of its own; None where the first user probed, since that one's password rotates."""
    entry = before.credentials.get("monitor")
    values = [entry.get(key) for key in ("name", "password", "secret")] if entry else []
    return Monitor(*values) if values and all(isinstance(value, str) for value in values) else None


def ca(before: Served, secret_name: str) -> str | None:
    """The targets' CA, if it came from that Secret: another one says nothing of the new."""
    former = group(before, None)
    if former is None or former.spec.tls.ca_secret_ref is None:
        return None
    same = former.spec.tls.ca_secret_ref.name == secret_name
    return before.files.get("ca.crt") if same else None


def certificate(before: Served) -> Pair | None:
    text, key = before.files.get("tls.crt"), before.files.get("tls.key")
    return Pair(text, key) if text and key else None


def _former(entry: Any, parse: Callable[[Object], M]) -> Former[M] | None:
    try:
        metadata = {name: entry[name] for name in ("name", "uid", "generation")}
        obj = {"metadata": metadata, "spec": entry[SPEC_NOTE]}
        return Former(obj, parse(obj))
    except (KeyError, TypeError, SpecError):
        # Nothing was served yet, or somebody edited it.
        return None
