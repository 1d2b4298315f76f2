"""Whom a pass tells something, and what: each story is judged for itself, so that a fault in one
keeps nobody else's from being told."""

from collections.abc import Callable
from dataclasses import dataclass

from dbproxy_operator.decide.resolve import Resolved, proxy_not_found, second_group
from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.world import Object, Observed, generation, name, status
from dbproxy_operator.spec import DBProxySpec
from dbproxy_operator.tell import verdicts
from dbproxy_operator.tell.status import Verdict
from dbproxy_operator.tell.verdicts import Facts


@dataclass(frozen=True)
class Story:
    """`judge`: how things stand with the object, and its status but for the conditions."""

    obj: Object
    judge: Callable[[], tuple[Verdict, Object]]


def served(facts: Facts, proxy: Object, spec: DBProxySpec) -> list[Story]:
    """Of a proxy that is made as its spec says."""
    resolved = facts.resolved
    stories = [
        Story(
            proxy,
            lambda: (
                verdicts.proxy_verdict(facts, proxy, spec),
                verdicts.proxy_status(facts, proxy, spec),
            ),
        )
    ]
    if (group := resolved.group) is not None:
        stories.append(
            Story(
                group.obj,
                lambda: (verdicts.group_verdict(facts, group), verdicts.group_status(facts, group)),
            )
        )
        stories += [_told(other, second_group(group.obj)) for other in resolved.other_groups]
    for endpoint in resolved.endpoints:
        stories.append(
            Story(
                endpoint.obj,
                lambda one=endpoint: (  # type: ignore[misc]
                    verdicts.endpoint_verdict(facts, one),
                    verdicts.endpoint_status(facts, one, spec),
                ),
            )
        )
    return stories


def faulty(observed: Observed, proxy: Object, resolved: Resolved) -> list[Story]:
    """Of a spec that can't be read and never could: there is nothing to make."""
    blocked = Problem("ProxyInvalid", f"the spec of the DBProxy {name(proxy)} is invalid")
    verdict = Verdict(problem=resolved.problems[0])
    return [
        Story(proxy, lambda: (verdict, unchanged(proxy))),
        *(_told(obj, blocked) for obj in (*observed.groups, *observed.endpoints)),
    ]


def orphans(observed: Observed) -> list[Story]:
    """Groups and endpoints are the user's: they outlive their proxy."""
    missing = proxy_not_found(observed.key.name)
    return [_told(obj, missing) for obj in (*observed.groups, *observed.endpoints)]


def unchanged(obj: Object) -> Object:
    """The status as it is, of a generation that was seen."""
    kept = {key: value for key, value in status(obj).items() if key not in _NOT_OURS}
    return {**kept, "observedGeneration": generation(obj)}


def _told(obj: Object, problem: Problem) -> Story:
    return Story(obj, lambda: (Verdict(problem=problem), _kept(obj)))


def _kept(obj: Object) -> Object:
    """What stays in the status of a group or an endpoint that is not served: the writer's floor
    and the port, which must not change when the proxy comes back."""
    before = status(obj)
    body: Object = {"observedGeneration": generation(obj)}
    for field in ("writer", "port", "targetRole"):
        if field in before:
            body[field] = before[field]
    return body


_NOT_OURS = ("conditions", "proxies")
