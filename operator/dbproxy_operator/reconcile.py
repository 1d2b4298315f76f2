"""What is done whenever anything wakes a proxy: observe, parse, plan, apply, status.

It remembers nothing: every decision comes from one live reading, and whatever interrupts it, the
next pass starts over and ends at the same place.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from dbproxy_operator.act import apply
from dbproxy_operator.act.plan import plan
from dbproxy_operator.decide.intent import Defaults, fleet, intend, soonest
from dbproxy_operator.decide.resolve import Resolved, proxy_not_found, resolve, second_group
from dbproxy_operator.desired.config import served
from dbproxy_operator.errors import Problem
from dbproxy_operator.kube import ConflictError, Kube, NotFoundError, RefusedError
from dbproxy_operator.observe import names, reports
from dbproxy_operator.observe.reading import observe
from dbproxy_operator.observe.world import Key, Object, Observed, Ref, generation, name, uid
from dbproxy_operator.observe.world import status as status_of
from dbproxy_operator.tell import events, status, verdicts
from dbproxy_operator.tell.status import Verdict
from dbproxy_operator.tell.verdicts import Facts

log = logging.getLogger(__name__)
LOOK_AGAIN = 15.0
_LONGEST_MANAGER = 128


@dataclass(frozen=True)
class Reconciler:
    kube: Kube
    defaults: Callable[[], Defaults]
    clock: Callable[[], float]
    instance: str

    async def __call__(self, key: Key) -> float | None:
        """Brings the proxy where it should be; returns in how many seconds to look again."""
        observed = await self._begin(await observe(self.kube, key))
        now = self.clock()
        if observed.proxy is None:
            wake_at = await self._orphans(observed, now)
        else:
            wake_at = await self._proxy(observed, observed.proxy, now)
        for group in observed.groups:
            await self._forget_absent_pods(group, key)
        return None if wake_at is None else max(0.0, wake_at - self.clock())

    async def _proxy(self, observed: Observed, proxy: Object, now: float) -> float | None:
        config = names.config_name(observed.key.name)
        before = served(
            observed.own_child("ConfigMap", config), observed.own_child("Secret", config)
        )
        resolved = resolve(observed, before, now)
        if resolved.spec is None:
            return await self._faulty(observed, proxy, resolved, now)
        pods = fleet(observed)
        intent = intend(observed, resolved, pods, before, self.defaults(), now)
        planned = plan(intent.desired, intent.unwanted, intent.needs, observed)
        outcome = await apply.perform(self.kube, planned.actions, intent.needs)
        faults: dict[Ref, Problem] = {**planned.taken, **verdicts.refusals(outcome.refused)}
        facts = Facts(observed.key, resolved, pods, intent, outcome.stored, faults)
        # What frees a taken name, or makes the API server relent, is nothing that is watched.
        wakes = [intent.wake_at, now + LOOK_AGAIN if faults else None]
        verdict = verdicts.proxy_verdict(facts, proxy, resolved.spec)
        body = verdicts.proxy_status(facts, proxy, resolved.spec)
        wakes.append(await self._tell(proxy, verdict, body, now))
        if resolved.group is not None:
            verdict = verdicts.group_verdict(facts, resolved.group)
            body = verdicts.group_status(facts, resolved.group)
            wakes.append(await self._tell(resolved.group.obj, verdict, body, now))
        wakes.append(await self._second_groups(resolved, now))
        for endpoint in resolved.endpoints:
            verdict = verdicts.endpoint_verdict(facts, endpoint)
            body = verdicts.endpoint_status(facts, endpoint, resolved.spec)
            wakes.append(await self._tell(endpoint.obj, verdict, body, now))
        return soonest(*wakes)

    async def _second_groups(self, resolved: Resolved, now: float) -> float | None:
        wakes: list[float | None] = []
        for other in resolved.other_groups:
            first = resolved.group.obj if resolved.group else other
            verdict = Verdict(problem=second_group(first))
            wakes.append(await self._tell(other, verdict, _kept(other), now))
        return soonest(*wakes)

    async def _faulty(
        self, observed: Observed, proxy: Object, resolved: Resolved, now: float
    ) -> float | None:
        """A spec that can't be read and never could: there is nothing to make."""
        verdict = Verdict(problem=resolved.problems[0])
        kept = {key: value for key, value in status_of(proxy).items() if key != "conditions"}
        body = {**kept, "observedGeneration": generation(proxy)}
        wakes = [await self._tell(proxy, verdict, body, now)]
        for obj in (*observed.groups, *observed.endpoints):
            blocked = Problem("ProxyInvalid", f"the spec of the DBProxy {name(proxy)} is invalid")
            wakes.append(await self._tell(obj, Verdict(problem=blocked), _kept(obj), now))
        return soonest(*wakes)

    async def _orphans(self, observed: Observed, now: float) -> float | None:
        """Groups and endpoints are the user's: they outlive their proxy."""
        wakes = [
            await self._tell(
                obj, Verdict(problem=proxy_not_found(observed.key.name)), _kept(obj), now
            )
            for obj in (*observed.groups, *observed.endpoints)
        ]
        return soonest(*wakes)

    async def _begin(self, observed: Observed) -> Observed:
        """Says at once that a new generation was seen, before any work that may take long."""
        proxy = observed.proxy
        if proxy is not None:
            proxy = await self._see(proxy)
        groups = [await self._see(group) for group in observed.groups]
        endpoints = [await self._see(endpoint) for endpoint in observed.endpoints]
        return replace(observed, proxy=proxy, groups=tuple(groups), endpoints=tuple(endpoints))

    async def _see(self, obj: Object) -> Object:
        if status_of(obj).get("observedGeneration") == generation(obj):
            return obj
        body = {
            **{key: value for key, value in status_of(obj).items() if key != "proxies"},
            "observedGeneration": generation(obj),
            "conditions": status.begun(obj, self.clock()),
        }
        return await self._write_status(obj, body) or obj

    async def _tell(self, obj: Object, verdict: Verdict, body: Object, now: float) -> float | None:
        """Writes the status if it says anything new, and an Event for each condition that does."""
        judged = status.judge(obj, verdict, now)
        desired = {**body, "conditions": list(judged.conditions)}
        if not status.same(desired, obj):
            for condition in status.announced(obj, judged.conditions):
                await self._post(events.event(obj, condition, self.instance, now))
            await self._write_status(obj, desired)
        return judged.wake_at

    async def _write_status(self, obj: Object, body: Object) -> Object | None:
        applied = {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "metadata": _identity(obj),
            "status": body,
        }
        try:
            return await self.kube.apply(applied, names.MANAGER, force=True, status=True)
        except NotFoundError:
            return None

    async def _post(self, event: Object) -> None:
        """Its name is that of the change: one that exists was told before a crash."""
        try:
            await self.kube.create(event)
        except ConflictError:
            return
        except RefusedError as error:
            # Nothing depends on Events; a namespace that is being deleted takes none.
            if "being terminated" not in error.message:
                log.warning("event refused", extra={"object": name(event), "reason": error.message})

    async def _forget_absent_pods(self, group: Object, key: Key) -> None:
        """Takes the word from pods that are gone: under their own name, since they own it."""
        said = reports.pods_named(group)
        if not said:
            return
        # Listed after the group was read, so that no new pod is taken for an absent one.
        pods = await self.kube.list("Pod", key.namespace, f"dbproxy.dev/proxy={key.name}")
        alive = {name(pod) for pod in pods}
        for pod in said:
            if pod not in alive:
                group = await self._forget(group, pod) or group

    async def _forget(self, group: Object, pod: str) -> Object | None:
        manager = names.pod_manager(pod)
        body = {
            "apiVersion": group["apiVersion"],
            "kind": group["kind"],
            "metadata": _identity(group),
        }
        left = group
        try:
            if len(manager) <= _LONGEST_MANAGER:
                left = await self.kube.apply(body, manager, force=True, status=True)
            if pod in reports.pods_named(left):
                # Somebody else wrote in that pod's name.
                index = reports.pods_named(left).index(pod)
                path = f"/status/proxies/{index}"
                operations = [
                    {"op": "test", "path": f"{path}/pod", "value": pod},
                    {"op": "remove", "path": path},
                ]
                left = await self.kube.json_patch(
                    group["kind"],
                    group["metadata"]["namespace"],
                    name(group),
                    operations,
                    status=True,
                )
        except NotFoundError:
            return None
        return left


def _identity(obj: Object) -> Object:
    metadata = obj["metadata"]
    return {"name": metadata["name"], "namespace": metadata["namespace"], "uid": uid(obj)}


def _kept(obj: Object) -> Object:
    """What stays in the status of a group or an endpoint that is not served: the writer's floor
    and the port, which must not change when the proxy comes back."""
    before = status_of(obj)
    body: Object = {"observedGeneration": generation(obj)}
    for field in ("writer", "port", "targetRole"):
        if field in before:
            body[field] = before[field]
    return body
