"""Performs the actions of a plan, in order, and reports what the API server made of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dbproxy_operator.act.plan import Action, Apply, Create, Delete, prune
from dbproxy_operator.kube import Kube, RefusedError
from dbproxy_operator.observe.names import MANAGER
from dbproxy_operator.observe.world import Object, Ref, name


@dataclass
class Outcome:
    """What is stored now, and what the API server would not have, with its words."""

    stored: dict[Ref, Object] = field(default_factory=dict)
    refused: dict[Ref, str] = field(default_factory=dict)


async def perform(
    kube: Kube, actions: Collection[Action], needs: Mapping[Ref, frozenset[Ref]]
) -> Outcome:
    """An object that needs a refused one is not touched. Conflicts are raised: read again."""
    outcome = Outcome()
    for action in actions:
        if isinstance(action, Delete):
            await kube.delete(action.kind, action.namespace, action.name, action.uid)
            continue
        ref = (str(action.obj["kind"]), name(action.obj))
        if needs.get(ref, frozenset()) & outcome.refused.keys():
            continue
        try:
            outcome.stored[ref] = await _write(kube, action)
        except RefusedError as error:
            outcome.refused[ref] = error.message
    return outcome


async def _write(kube: Kube, action: Create | Apply) -> Object:
    stored = await kube.apply(action.obj, MANAGER, force=isinstance(action, Apply))
    operations = prune(action.obj, stored)
    if operations:
        metadata = stored["metadata"]
        stored = await kube.json_patch(
            action.obj["kind"], metadata["namespace"], metadata["name"], operations
        )
    return stored
