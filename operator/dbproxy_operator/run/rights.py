"""What the operator must be allowed to do, checked at start.

A namespace in which something is lacking (it was deleted, or has no RoleBinding yet) stops nobody
else: the others are served without it, until it can be served again. With none left, the operator
ends naming what it lacks.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dbproxy_operator.errors import StartupError
from dbproxy_operator.kube import KINDS, Kube, KubeError
from dbproxy_operator.run.lease import Place

log = logging.getLogger(__name__)
ASK_AGAIN = 60.0
_READ = ("get", "list", "watch")
_OWN = (*_READ, "create", "patch")
NEEDED: dict[tuple[str, str], tuple[str, ...]] = {
    ("DBProxy", ""): _READ,
    ("DBProxyTargetGroup", ""): _READ,
    ("DBProxyEndpoint", ""): _READ,
    ("DBProxy", "status"): ("patch",),
    ("DBProxyTargetGroup", "status"): ("patch",),
    ("DBProxyEndpoint", "status"): ("patch",),
    ("Secret", ""): _OWN,
    ("ConfigMap", ""): _OWN,
    ("Service", ""): _OWN,
    ("ServiceAccount", ""): _OWN,
    ("Deployment", ""): _OWN,
    ("PodDisruptionBudget", ""): _OWN,
    ("Role", ""): _OWN,
    ("RoleBinding", ""): _OWN,
    ("Pod", ""): _READ,
    ("Event", ""): ("create",),
}


@dataclass(frozen=True)
class Right:
    kind: str
    subresource: str
    verb: str
    namespace: str
    name: str = ""

    @property
    def where(self) -> str:
        kind = KINDS[self.kind]
        resource = f"{kind.plural}/{self.subresource}" if self.subresource else kind.plural
        group = f".{kind.group}" if kind.group else ""
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        named = f" named {self.name}" if self.name else ""
        return f"{resource}{group}{named} {where}"


def needed_in(namespace: str) -> Iterator[Right]:
    """To serve a namespace; "" means all of them."""
    for (kind, subresource), verbs in NEEDED.items():
        for verb in verbs:
            yield Right(kind, subresource, verb, namespace)


def needed_for(place: Place) -> Iterator[Right]:
    """To hold the Lease."""
    yield Right("Lease", "", "create", place.namespace)
    for verb in ("get", "update"):
        yield Right("Lease", "", verb, place.namespace, place.name)


async def check(kube: Kube, namespaces: Sequence[str], place: Place) -> dict[str, list[Right]]:
    """What is missing in those namespaces that can't be served; StartupError if none can be."""
    gone = await missing(kube, needed_for(place))
    wanted = namespaces or ("",)
    asked = {namespace: await missing(kube, needed_in(namespace)) for namespace in wanted}
    lacking = {namespace: rights for namespace, rights in asked.items() if rights}
    if gone or len(lacking) == len(wanted):
        rights = [right for found in lacking.values() for right in found] + gone
        raise StartupError(f"the operator's ServiceAccount may not {told(rights)}")
    return lacking


async def regained(kube: Kube, namespaces: Sequence[str]) -> str:
    """Returns the first of these that can be served, once there is one."""
    while True:
        await asyncio.sleep(ASK_AGAIN)
        for namespace in namespaces:
            try:
                if not await missing(kube, needed_in(namespace)):
                    return namespace
            except KubeError as error:
                log.warning("rights not asked for", extra={"reason": error.message})


async def missing(kube: Kube, rights: Iterable[Right]) -> list[Right]:
    """Those of the rights that the operator doesn't have."""
    asked = list(rights)
    # Few at a time: a hundred questions at once would be taken for an attack.
    gate = asyncio.Semaphore(8)

    async def ask(right: Right) -> bool:
        async with gate:
            return await _allowed(kube, right)

    answers = await asyncio.gather(*(ask(right) for right in asked))
    return [right for right, allowed in zip(asked, answers, strict=True) if not allowed]


def told(missing: Sequence[Right]) -> str:
    verbs: dict[str, list[str]] = {}
    for right in missing:
        verbs.setdefault(right.where, []).append(right.verb)
    return "; ".join(f"{', '.join(which)} {where}" for where, which in verbs.items())


async def _allowed(kube: Kube, right: Right) -> bool:
    kind = KINDS[right.kind]
    review = await kube.create(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {
                "resourceAttributes": {
                    "group": kind.group,
                    "resource": kind.plural,
                    "subresource": right.subresource,
                    "verb": right.verb,
                    "namespace": right.namespace,
                    "name": right.name,
                }
            },
        }
    )
    return bool((review.get("status") or {}).get("allowed"))
