"""An API server in memory, as far as a reconcile needs one: no schema, no fields of managers."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

from dbproxy_operator.kube import ConflictError, KubeError, NotFoundError, RefusedError

Object = dict[str, Any]
Objects = list[Object]
Strings = list[str]
WRITES = ("create", "apply", "json_patch")


class Killed(BaseException):
    """The process ended before this call."""


class FakeKube:
    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.lists: Strings = []
        self.reads: list[tuple[str, str]] = []
        self.selects_fields = True
        self.stored: list[tuple[str, str, str]] = []
        self.refuse: Callable[[Object], str | None] = lambda _obj: None
        self.fail: Callable[[str, str, str], KubeError | None] = lambda _verb, _kind, _name: None
        self.calls_left: int | None = None
        self._uids = itertools.count(1)
        self._versions = itertools.count(1)

    def put(self, obj: Object, namespace: str = "shop") -> Object:
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        metadata.setdefault("namespace", namespace)
        metadata.setdefault("uid", f"uid-{next(self._uids)}")
        metadata.setdefault("generation", 1)
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        metadata["resourceVersion"] = str(next(self._versions))
        self.objects[obj["kind"], metadata["namespace"], metadata["name"]] = obj
        return obj

    def at(self, kind: str, name: str, namespace: str = "shop") -> Object:
        return self.objects[kind, namespace, name]

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        self._break("get", kind, name)
        self.reads.append((kind, name))
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    async def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Objects:
        self._break("list", kind, "")
        self.lists.append(kind)
        if field_selector and not self.selects_fields:
            raise RefusedError(400, "field label not supported: spec.proxyRef.name")
        label, _, value = (label_selector or "").partition("=")
        proxy = (field_selector or "").removeprefix("spec.proxyRef.name=")
        return [
            copy.deepcopy(obj)
            for (its_kind, its_namespace, _), obj in sorted(self.objects.items())
            if its_kind == kind
            and namespace in (None, its_namespace)
            and (not label or obj["metadata"].get("labels", {}).get(label) == value)
            and (not proxy or obj["spec"]["proxyRef"]["name"] == proxy)
        ]

    async def create(self, obj: Object) -> Object:
        self._call("create", obj)
        key = (obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"])
        if key in self.objects:
            raise ConflictError(409, "exists")
        self.stored.append(("create", obj["kind"], obj["metadata"]["name"]))
        return copy.deepcopy(self.put(obj))

    async def apply(
        self, obj: Object, manager: str, *, force: bool, status: bool = False
    ) -> Object:
        self._call("status" if status else "apply", obj)
        words = self.refuse(obj)
        if words is not None and not status:
            raise RefusedError(422, words)
        key = (obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"])
        live = self.objects.get(key)
        if live is None and status:
            raise NotFoundError(404, "gone")
        version = obj["metadata"].get("resourceVersion")
        if live is not None and version not in (None, live["metadata"]["resourceVersion"]):
            raise ConflictError(409, "the object has been modified")
        if live is None:
            self.stored.append(("apply", obj["kind"], obj["metadata"]["name"]))
            made = [{"manager": manager, "operation": "Apply"}]
            return copy.deepcopy(
                self.put({**obj, "metadata": obj["metadata"] | {"managedFields": made}})
            )
        if obj["metadata"].get("uid", live["metadata"]["uid"]) != live["metadata"]["uid"]:
            raise ConflictError(409, "another object")
        merged = _status_of(live, obj, manager) if status else _merged(live, obj)
        if merged != live:
            verb = "status" if status else "apply"
            self.stored.append((verb, obj["kind"], obj["metadata"]["name"]))
            self.put(merged)
        return copy.deepcopy(self.objects[key])

    async def json_patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        operations: Objects,
        *,
        status: bool = False,
    ) -> Object:
        live = self.objects[kind, namespace, name]
        self._call("json_patch", live)
        for operation in operations:
            *path, last = operation["path"].lstrip("/").split("/")
            where: Any = live
            for step in path:
                where = where[int(step) if isinstance(where, list) else step]
            index: Any = int(last) if isinstance(where, list) else last
            if operation["op"] == "test" and where[index] != operation["value"]:
                raise ConflictError(409, "test failed")
            if operation["op"] == "remove":
                del where[index]
        self.stored.append(("json_patch", kind, name))
        return copy.deepcopy(self.put(live))

    def _call(self, verb: str, obj: Object) -> None:
        if self.calls_left is not None:
            if self.calls_left == 0:
                raise Killed
            self.calls_left -= 1
        self._break(verb, obj["kind"], obj["metadata"]["name"])
        self.calls.append((verb, obj["kind"], obj["metadata"]["name"]))

    def _break(self, verb: str, kind: str, name: str) -> None:
        error = self.fail(verb, kind, name)
        if error is not None:
            raise error


def _merged(live: Object, obj: Object) -> Object:
    metadata = {**live["metadata"], **obj["metadata"]}
    rest = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    if "data" in rest:
        rest["data"] = {**live.get("data", {}), **rest["data"]}
    return {**live, **copy.deepcopy(rest), "metadata": metadata}


def _status_of(live: Object, obj: Object, manager: str) -> Object:
    before = live.get("status", {})
    said = list(before.get("proxies", []))
    if manager.startswith("dbproxy/"):
        said = [entry for entry in said if f"dbproxy/{entry['pod']}" != manager]
        said += copy.deepcopy(obj.get("status", {}).get("proxies", []))
        now = {**before, "proxies": said}
    else:
        now = {**copy.deepcopy(obj["status"]), **({"proxies": said} if said else {})}
    return {**live, "status": now}
