"""Performs the actions of a plan, and reports what the API server made of each.

What doesn't depend on each other is written side by side, so that one object whose webhook hangs
holds up no other.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from dbproxy_operator.act.memory import Memory
from dbproxy_operator.act.plan import Action, Apply, Create, Plan, prune
from dbproxy_operator.kube import Kube, KubeError, NotFoundError
from dbproxy_operator.observe import names
from dbproxy_operator.observe.names import MANAGER
from dbproxy_operator.observe.recall import Recall
from dbproxy_operator.observe.world import Key, Object, Ref, name

_NOTHING: frozenset[Ref] = frozenset()
# No object has this version: an apply that names it creates, or is answered with a conflict. A
# plain create would leave an entry in managedFields that later applies could take nothing from.
NOT_THERE = "1"
# The API server itself hears a moment later of a Role that was just made, and makes no RoleBinding
# to one that it doesn't know: so many seconds between the tries.
HEARSAY = (0.05, 0.1, 0.2, 0.4)


@dataclass
class Outcome:
    """What is stored now, and where the API server answered with an error instead."""

    stored: dict[Ref, Object] = field(default_factory=dict)
    failed: dict[Ref, KubeError] = field(default_factory=dict)


@dataclass(frozen=True)
class Performer:
    kube: Kube
    memory: Memory
    recall: Recall

    async def __call__(
        self, key: Key, planned: Plan, needs: Mapping[Ref, frozenset[Ref]]
    ) -> Outcome:
        """An object that needs one whose write failed is not touched; all others are written."""
        outcome = Outcome()
        left = {_ref(action): action for action in planned.actions}
        while left:
            ready = [ref for ref in left if not needs.get(ref, _NOTHING) & left.keys()]
            if not ready:
                raise ValueError(f"these need each other: {sorted(left)}")
            wave = {ref: left.pop(ref) for ref in ready}
            await asyncio.gather(
                *(
                    self._attempt(key, ref, action, outcome)
                    for ref, action in wave.items()
                    if not needs.get(ref, _NOTHING) & outcome.failed.keys()
                )
            )
        return outcome

    async def _attempt(self, key: Key, ref: Ref, action: Action, outcome: Outcome) -> None:
        try:
            if isinstance(action, Create):
                write = self._create(key, ref, action)
            elif self.memory.is_applied(key, ref, action.obj, action.live):
                outcome.stored[ref] = action.live
                return
            else:
                write = self._apply(key, ref, action)
            if ref in names.outputs(key.name):
                kind, child = ref
                write = self.recall.through((kind, key.namespace, child), write)
            outcome.stored[ref] = await write
        except KubeError as error:
            outcome.failed[ref] = error

    async def _create(self, key: Key, ref: Ref, action: Create) -> Object:
        wanted = action.obj
        metadata = {**wanted["metadata"], "resourceVersion": NOT_THERE}
        stored = await self._patiently({**wanted, "metadata": metadata})
        applied = {**wanted, "metadata": {**wanted["metadata"], "uid": stored["metadata"]["uid"]}}
        self.memory.learn(key, ref, applied, stored)
        return stored

    async def _patiently(self, obj: Object) -> Object:
        for pause in HEARSAY:
            try:
                return await self.kube.apply(obj, MANAGER, force=False)
            except NotFoundError:
                await asyncio.sleep(pause)
        return await self.kube.apply(obj, MANAGER, force=False)

    async def _apply(self, key: Key, ref: Ref, action: Apply) -> Object:
        stored = await self.kube.apply(action.obj, MANAGER, force=True)
        operations = prune(action.obj, stored)
        if operations:
            metadata = stored["metadata"]
            stored = await self.kube.json_patch(
                action.obj["kind"], metadata["namespace"], metadata["name"], operations
            )
        self.memory.learn(key, ref, action.obj, stored)
        return stored


def _ref(action: Action) -> Ref:
    return str(action.obj["kind"]), name(action.obj)
