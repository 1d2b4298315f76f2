"""Performs the actions of a plan, and reports what the API server made of each.

What doesn't depend on each other is written side by side, so that one object whose webhook hangs
holds up no other.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dbproxy_operator.act.plan import Action, Apply, Create, prune
from dbproxy_operator.kube import Kube, KubeError
from dbproxy_operator.observe.names import MANAGER
from dbproxy_operator.observe.world import Object, Ref, name

_NOTHING: frozenset[Ref] = frozenset()


@dataclass
class Outcome:
    """What is stored now, and where the API server answered with an error instead."""

    stored: dict[Ref, Object] = field(default_factory=dict)
    failed: dict[Ref, KubeError] = field(default_factory=dict)


async def perform(
    kube: Kube, actions: Collection[Action], needs: Mapping[Ref, frozenset[Ref]]
) -> Outcome:
    """An object that needs one whose write failed is not touched; all others are written."""
    outcome = Outcome()
    left = {_ref(action): action for action in actions}
    while left:
        ready = [ref for ref in left if not needs.get(ref, _NOTHING) & left.keys()]
        if not ready:
            raise ValueError(f"these need each other: {sorted(left)}")
        wave = {ref: left.pop(ref) for ref in ready}
        await asyncio.gather(
            *(
                _attempt(kube, ref, action, outcome)
                for ref, action in wave.items()
                if not needs.get(ref, _NOTHING) & outcome.failed.keys()
            )
        )
    return outcome


async def _attempt(kube: Kube, ref: Ref, action: Action, outcome: Outcome) -> None:
    try:
        outcome.stored[ref] = await _write(kube, action)
    except KubeError as error:
        outcome.failed[ref] = error


async def _write(kube: Kube, action: Create | Apply) -> Object:
    stored = await kube.apply(action.obj, MANAGER, force=isinstance(action, Apply))
    operations = prune(action.obj, stored)
    if operations:
        metadata = stored["metadata"]
        stored = await kube.json_patch(
            action.obj["kind"], metadata["namespace"], metadata["name"], operations
        )
    return stored


def _ref(action: Action) -> Ref:
    return str(action.obj["kind"]), name(action.obj)
