"""Whose an object is: this owner's, an orphan that it may take up again, or somebody else's.

An orphan is what the operator made for an owner of the same kind and name that is gone: its
controller has another UID, or it has none any more (`kubectl delete --cascade=orphan`, a restore).
Labels and the name of a field manager are easily written by anybody, and a Secret that somebody
laid out could bring a CA whose key he knows. So what belongs to a DBProxy is taken up only together
with its Deployment: whoever can make that, runs pods in the namespace and needs no such trick. The
Deployment is written last, and once it is the proxy's, nothing more is taken up. The Service of an
endpoint holds nothing and needs no company.
"""

from dbproxy_operator.observe.names import MANAGER, child_labels
from dbproxy_operator.observe.world import (
    Key,
    Object,
    Observed,
    controller,
    is_leaving,
    labels,
    name,
    uid,
)


def own_child(observed: Observed, kind: str, child: str) -> Object | None:
    """That child of the DBProxy, if it is there and is this one's, or will be."""
    live = observed.child(kind, child)
    if live is None or observed.proxy is None:
        return None
    return live if is_ours(live, observed.proxy, observed) else None


def is_ours(live: Object, owner: Object, observed: Observed) -> bool:
    """Whether it may be written as `owner`'s child."""
    controlling = controller(live)
    if controlling is not None and controlling.get("uid") == uid(owner):
        return True
    return _is_orphan(live, owner, observed.key) and (
        owner["kind"] != "DBProxy" or _takes_up(observed)
    )


def _takes_up(observed: Observed) -> bool:
    deployment = observed.child("Deployment", observed.key.name)
    if deployment is None or observed.proxy is None:
        return False
    return _is_orphan(deployment, observed.proxy, observed.key)


def _is_orphan(live: Object, owner: Object, key: Key) -> bool:
    managers = live["metadata"].get("managedFields") or ()
    made = any((m.get("manager"), m.get("operation")) == (MANAGER, "Apply") for m in managers)
    if not made or is_leaving(live) or not child_labels(key.name).items() <= labels(live).items():
        return False
    former = controller(live)
    if former is None:
        return True
    namesake = (former.get("kind"), former.get("name")) == (owner["kind"], name(owner))
    return namesake and former.get("uid") != uid(owner)
