"""Writes what is told: the status where it says anything new, and an Event for each change."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from dbproxy_operator.kube import ConflictError, Kube, KubeError, NotFoundError
from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import Object, name, uid
from dbproxy_operator.tell import events, status
from dbproxy_operator.tell.events import Limit
from dbproxy_operator.tell.status import Verdict

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Teller:
    kube: Kube
    clock: Callable[[], float]
    instance: str
    limit: Limit = field(default_factory=Limit)

    async def tell(self, obj: Object, verdict: Verdict, body: Object) -> float | None:
        """Returns the moment at which time alone will change what is told."""
        now = self.clock()
        judged = status.judge(obj, verdict, now)
        desired = {**body, "conditions": list(judged.conditions)}
        if not status.same(desired, obj):
            for condition in status.announced(obj, judged.conditions):
                if self.limit.allows(uid(obj), condition["reason"], now):
                    await self._post(events.event(obj, condition, self.instance, now))
            await self._write(obj, desired)
        return judged.wake_at

    async def _write(self, obj: Object, body: Object) -> None:
        applied = {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "metadata": names.identity(obj),
            "status": body,
        }
        try:
            await self.kube.apply(applied, names.MANAGER, force=True, status=True)
        except NotFoundError:
            return

    async def _post(self, event: Object) -> None:
        """Its name is that of the change: one that exists was told before a crash."""
        try:
            await self.kube.create(event)
        except ConflictError:
            return
        except KubeError as error:
            # Nothing depends on Events; a namespace that is being deleted takes none.
            if "being terminated" not in error.message:
                log.warning(
                    "event not posted", extra={"object": name(event), "reason": error.message}
                )
