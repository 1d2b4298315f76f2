"""What is created, applied and deleted, what is not ours, and what is foreign in it."""

from typing import Any

from tests.composed import KEY, stored
from tests.resources import Object, proxy

from dbproxy_operator.act.plan import Apply, Create, plan, prune
from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import Observed

OWNER = stored(proxy(), "proxy-uid")


def config_map(name: str = "orders-config", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.child_metadata(KEY, OWNER, name),
        "data": data,
    }


def live(obj: Object, owner: dict[str, Any] | None) -> Object:
    metadata = {**obj["metadata"], "uid": "live", "resourceVersion": "5"}
    metadata["ownerReferences"] = [owner] if owner else []
    return {**obj, "metadata": metadata}


def observed(*children: Object) -> Observed:
    found = {(child["kind"], child["metadata"]["name"]): child for child in children}
    return Observed(KEY, OWNER, children=found)


OURS = {"kind": "DBProxy", "name": "orders", "uid": "proxy-uid", "controller": True}


def test_what_is_absent_is_created_and_what_is_ours_applied_to_that_very_object() -> None:
    wanted = config_map(a="1")
    assert plan([wanted], {}, observed()).actions == (Create(wanted),)
    (action,) = plan([wanted], {}, observed(live(wanted, OURS))).actions
    assert isinstance(action, Apply)
    assert action.obj["metadata"]["uid"] == "live"


def test_a_name_that_somebody_elses_object_has_is_not_taken() -> None:
    wanted = config_map()
    for owner in (None, {**OURS, "uid": "x", "name": "other"}, {**OURS, "controller": False}):
        found = plan([wanted], {}, observed(live(wanted, owner)))
        assert found.actions == ()
        problem = found.taken["ConfigMap", "orders-config"]
        assert (problem.reason, problem.contradiction) == ("NameTaken", True)


def test_what_a_deleted_namesake_left_is_waited_for() -> None:
    wanted = config_map()
    found = plan([wanted], {}, observed(live(wanted, {**OURS, "uid": "former"})))
    assert not found.taken["ConfigMap", "orders-config"].contradiction


def test_what_needs_a_taken_object_is_left_alone() -> None:
    first, second = config_map("first"), config_map("second")
    needs = {("ConfigMap", "second"): frozenset({("ConfigMap", "first")})}
    found = plan([first, second], needs, observed(live(first, None)))
    assert found.actions == ()


def test_foreign_keys_are_removed_from_what_the_pods_read() -> None:
    wanted = config_map(a="1")
    now = live(config_map(a="1", **{"b/c~d": "2"}), OURS) | {"binaryData": {"e": "Zg=="}}
    assert prune(wanted, now) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "5"},
        {"op": "remove", "path": "/data/b~1c~0d"},
        {"op": "remove", "path": "/binaryData/e"},
    ]
    assert prune(wanted, live(wanted, OURS)) == []


def test_foreign_ports_are_removed_from_the_end() -> None:
    def service(*ports: int) -> Object:
        listed = [{"port": port, "protocol": "TCP"} for port in ports]
        return config_map() | {"kind": "Service", "spec": {"ports": listed}}

    patch = prune(service(2), live(service(1, 2, 3), OURS))
    assert [operation["path"] for operation in patch[1:]] == ["/spec/ports/2", "/spec/ports/0"]


def test_what_others_add_elsewhere_stays() -> None:
    wanted = config_map() | {"kind": "Deployment", "spec": {}}
    assert prune(wanted, live(wanted, OURS) | {"spec": {"paused": True}}) == []
