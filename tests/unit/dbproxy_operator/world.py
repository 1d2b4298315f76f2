"""A cluster with one proxy, for whole reconciles: all but the operator's pass is played."""

import base64
import json
from typing import Any

from tests.composed import KEY, MATERIAL, NOW
from tests.resources import Object, endpoint, group, proxy, targets
from tests.unit.dbproxy_operator.fake_kube import FakeKube

from dbproxy_operator.act.apply import Performer
from dbproxy_operator.act.memory import Memory
from dbproxy_operator.decide.configuration import Defaults
from dbproxy_operator.desired.deployment import PodDefaults
from dbproxy_operator.kube.watch import version_of
from dbproxy_operator.observe.recall import Recall
from dbproxy_operator.reconcile import Reconciler
from dbproxy_operator.tell import status
from dbproxy_operator.tell.posting import Teller

SECRET: Object = {
    "kind": "Secret",
    "metadata": {"name": "app"},
    "type": "kubernetes.io/basic-auth",
    "data": {
        "username": base64.b64encode(b"app").decode(),
        "password": base64.b64encode(b"p").decode(),
    },
}


class World:
    """A cluster with one proxy, its group and endpoint, and pods that are played."""

    def __init__(self, operator_class: str = "") -> None:
        self.kube = FakeKube()
        self.now = NOW
        # What pods say: the usable connections of the target, and a divisor of their own.
        self.usable: int | None = None
        self.divisors: dict[str, int] = {}
        # The newest format that each reads, where that is not the first.
        self.formats: dict[str, int] = {}
        self.proxy = self.kube.put(proxy())
        self.kube.put(group(targets=targets(2)))
        self.kube.put(endpoint())
        self.kube.put(SECRET)
        defaults = Defaults(PodDefaults("proxy:1"), MATERIAL, b"f" * 32, "cluster.local")
        kube: Any = self.kube

        def clock() -> float:
            return self.now

        self.recall = Recall(clock)
        self.watched: dict[tuple[str, str, str], str] = {}

        self.reconciler = Reconciler(
            kube,
            lambda: defaults,
            clock,
            Performer(kube, Memory(clock), self.recall),
            Teller(kube, clock, "op-1"),
            operator_class,
        )

    async def reconcile(self) -> float | None:
        self.watch()
        return await self.reconciler(KEY)

    def watch(self) -> None:
        """What the informers tell: whatever is another than when they told of it last."""
        now = {place: json.dumps(obj) for place, obj in self.kube.objects.items()}
        for place in self.watched.keys() - now.keys():
            self.recall.told(place, None)
        for place, text in now.items():
            if text != self.watched.get(place):
                # What a test changed by hand has no version of its own.
                known = place not in self.watched
                self.recall.told(place, version_of(json.loads(text)["metadata"]) if known else "x")
        self.watched = now

    async def settle(self, passes: int = 10) -> None:
        """Until a pass changes nothing, although the pods have seen all there is."""
        self.play()
        for _ in range(passes):
            before = len(self.kube.stored)
            await self.reconcile()
            self.play()
            if len(self.kube.stored) == before:
                return
        raise AssertionError("it does not come to rest")

    def play(self) -> None:
        """What the Deployment controller and the pods would do."""
        deployment = self.kube.objects.get(("Deployment", "shop", "orders"))
        settings = self.kube.objects.get(("ConfigMap", "shop", "orders-config"))
        if deployment is None or settings is None:
            return
        wanted = deployment["spec"]["replicas"]
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "updatedReplicas": wanted,
            "replicas": wanted,
        }
        names = [f"orders-{number}" for number in range(wanted)]
        for key in [key for key in self.kube.objects if key[0] == "Pod" and key[2] not in names]:
            del self.kube.objects[key]
        for name in names:
            if ("Pod", "shop", name) not in self.kube.objects:
                self.kube.put(pod(name, deployment))
        group_now = self.kube.objects.get(("DBProxyTargetGroup", "shop", "orders-db"))
        said = json.loads(settings["data"]["settings.json"])
        if group_now is not None and said["reportTo"] is not None:
            others = [
                entry
                for entry in group_now.get("status", {}).get("proxies", [])
                if entry["pod"] not in names
            ]
            reports = [self.report(name, said) for name in names]
            group_now.setdefault("status", {})["proxies"] = others + reports

    def change(self, **spec: Any) -> None:
        """What the user does to the DBProxy."""
        proxy = self.kube.at("DBProxy", "orders")
        proxy["spec"] |= spec
        proxy["metadata"]["generation"] += 1

    def report(self, name: str, settings: Any) -> Object:
        made = report(name, settings)
        for target in made.get("targets", ()):
            target["usableConnections"] = self.usable
        made["formatVersion"] = self.formats.get(name, 1)
        return made | {"budgetDivisor": self.divisors.get(name, made["budgetDivisor"])}

    def conditions(self, kind: str, name: str) -> dict[str, tuple[str, str]]:
        found = status.conditions_of(self.kube.at(kind, name))
        return {one: (said["status"], said["reason"]) for one, said in found.items()}

    def settings(self) -> dict[str, Any]:
        text = self.kube.at("ConfigMap", "orders-config")["data"]["settings.json"]
        return dict(json.loads(text))

    def credentials(self) -> dict[str, Any]:
        text = self.kube.at("Secret", "orders-config")["data"]["credentials.json"]
        return dict(json.loads(base64.b64decode(text)))

    def events(self, reason: str) -> list[Object]:
        return [
            obj
            for (kind, _, _), obj in self.kube.objects.items()
            if kind == "Event" and obj["reason"] == reason
        ]


ROLES = ("READ_WRITE", "READ_ONLY")


def pod(name: str, deployment: Object) -> Object:
    template = deployment["spec"]["template"]
    owner = {"kind": "ReplicaSet", "name": "orders-5d", "uid": "rs", "controller": True}
    metadata = {
        "name": name,
        "labels": {**template["metadata"]["labels"], "pod-template-hash": "5d"},
        "ownerReferences": [owner],
    }
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": template["spec"],
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def report(name: str, settings: Any) -> Object:
    served = settings["targetGroup"]
    seen: Object = (
        {}
        if served is None
        else {
            "writer": {"target": "db-0", "uid": "", "epoch": 0}
            | (served["writerFloor"] or {})
            | {"state": "OPEN"},
            "targets": [
                {"name": target["name"], "role": role, "state": "AVAILABLE"}
                for target, role in zip(served["targets"], ROLES, strict=False)
            ],
        }
    )
    return {
        **seen,
        "pod": name,
        "revision": settings["revision"],
        "generation": settings["proxy"]["generation"],
        "groupGeneration": served["generation"] if served else 0,
        "budgetDivisor": settings["budgetDivisor"],
        "listeners": [listener["port"] for listener in settings["listeners"]],
    }
