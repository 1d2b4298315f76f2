"""What the operator must be allowed to do, checked at start: it ends naming what it lacks."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbproxy_operator.errors import StartupError
from dbproxy_operator.kube import KINDS, Kube
from dbproxy_operator.run import lease

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


def needed(namespaces: Sequence[str], own_namespace: str) -> Iterator[Right]:
    for namespace in namespaces or ("",):
        for (kind, subresource), verbs in NEEDED.items():
            for verb in verbs:
                yield Right(kind, subresource, verb, namespace)
    yield Right("Lease", "", "create", own_namespace)
    for verb in ("get", "update"):
        yield Right("Lease", "", verb, own_namespace, lease.NAME)


async def check(kube: Kube, namespaces: Sequence[str], own_namespace: str) -> None:
    rights = list(needed(namespaces, own_namespace))
    # Few at a time: a hundred questions at once would be taken for an attack.
    gate = asyncio.Semaphore(8)

    async def asked(right: Right) -> bool:
        async with gate:
            return await _allowed(kube, right)

    answers = await asyncio.gather(*(asked(right) for right in rights))
    missing = [right for right, allowed in zip(rights, answers, strict=True) if not allowed]
    if missing:
        raise StartupError(f"the operator's ServiceAccount may not {told(missing)}")


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
