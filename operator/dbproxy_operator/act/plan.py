"""(desired, observed) -> actions: decides what is created, applied, and not ours.

What should be there is always planned, whatever the diff; `apply` leaves out what would change
nothing. A name that somebody else's object has is never taken: it is a problem, and so is what
depends on it. What could not be read is not touched: it may be there, ours or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.ownership import is_ours
from dbproxy_operator.observe.world import Object, Observed, Ref, controller, name, uid


@dataclass(frozen=True)
class Create:
    """Only if it is not there: whoever was quicker by a moment keeps the name."""

    obj: Object


@dataclass(frozen=True)
class Apply:
    """With force, since our own objects are ours; `obj` names the UID of `live`, as observed."""

    obj: Object
    live: Object


Action = Create | Apply


@dataclass(frozen=True)
class Plan:
    actions: tuple[Action, ...]
    taken: Mapping[Ref, Problem] = field(default_factory=dict)


def plan(
    desired: Sequence[Object],
    needs: Mapping[Ref, frozenset[Ref]],
    observed: Observed,
) -> Plan:
    """`needs`: what must be ours before an object may be."""
    actions: list[Action] = []
    taken: dict[Ref, Problem] = {}
    for obj in desired:
        ref = (str(obj["kind"]), name(obj))
        if ref in observed.unread or needs.get(ref, frozenset()) & taken.keys():
            continue
        live = observed.child(*ref)
        if live is None:
            actions.append(Create(obj))
        elif is_ours(live, _owner(obj), observed):
            metadata = {**obj["metadata"], "uid": uid(live)}
            actions.append(Apply({**obj, "metadata": metadata}, live))
        else:
            taken[ref] = _taken(live, obj)
    return Plan(tuple(actions), taken)


def prune(desired: Object, stored: Object) -> list[Object]:
    """A JSON patch that removes what is foreign where nothing foreign may be; empty if nothing is.

    Applying leaves the fields of other managers in place; in configuration, credentials and a
    Service's ports they would change what is served.
    """
    operations: list[Object] = []
    if desired["kind"] in ("ConfigMap", "Secret"):
        for section in ("data", "binaryData"):
            foreign = (stored.get(section) or {}).keys() - desired.get(section, {}).keys()
            operations += [
                {"op": "remove", "path": f"/{section}/{_escaped(key)}"} for key in sorted(foreign)
            ]
    if desired["kind"] == "Service":
        wanted = {(port["port"], port["protocol"]) for port in desired["spec"]["ports"]}
        found = list(enumerate(stored["spec"].get("ports") or ()))
        # From the end, so that the indices stay right.
        for index, port in reversed(found):
            if (port["port"], port.get("protocol", "TCP")) not in wanted:
                operations.append({"op": "remove", "path": f"/spec/ports/{index}"})
    if not operations:
        return []
    version = stored["metadata"]["resourceVersion"]
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *operations]


def _owner(obj: Object) -> Object:
    owner = obj["metadata"]["ownerReferences"][0]
    return {"kind": owner["kind"], "metadata": {"name": owner["name"], "uid": owner["uid"]}}


def _taken(live: Object, obj: Object) -> Problem:
    what = f"{obj['kind']} {name(obj)}"
    owner, ours = controller(live), obj["metadata"]["ownerReferences"][0]
    if owner and (owner.get("kind"), owner.get("name")) == (ours["kind"], ours["name"]):
        return Problem(
            "NameTaken",
            f"the {what} still belongs to a {ours['kind']} of the same name that was deleted: "
            "it is about to be collected",
            unwatched=True,
        )
    return Problem(
        "NameTaken",
        f"there is a {what} that is not this {ours['kind']}'s: delete or rename it, "
        f"or choose another name for the {ours['kind']}",
        contradiction=True,
        unwatched=True,
    )


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
