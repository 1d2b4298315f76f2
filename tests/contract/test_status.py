"""What pods and operator write into status is what the custom resources have fields and room for.

The API server refuses an apply with a field that the schema lacks, so a slip here would leave the
status empty for good.
"""

import dataclasses
import json
from typing import Any, get_args

import pytest
from tests.composed import NOW, Composed, compose
from tests.fix_contract import Object

from dbproxy import settings
from dbproxy.decide.plan import HealthState, Plan, TargetHealth
from dbproxy.decide.planner import Planner
from dbproxy.envelope import FORMAT_VERSION
from dbproxy.facts import (
    Addresses,
    Election,
    HealthReason,
    Login,
    Probe,
    Problem,
    ProblemReason,
    ServerFacts,
)
from dbproxy.tell.report import Destination, least_entry, pod_entry
from dbproxy_operator import spec
from dbproxy_operator.decide import fold
from dbproxy_operator.decide import writer as writers
from dbproxy_operator.observe import reports
from dbproxy_operator.tell import verdicts

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}
ELECTION: Object = {"writerElection": {"configMapRef": {"name": "orders-election"}}}
LONG = "a very long message " * 500
NAMES = [f"orders-6c9f-{number:05}" for number in range(50)]
PINNED = {"listen": 2, "advisory_lock": 1}
PROBLEM = Problem("SettingsRefused", LONG)


def faults(schema: Object, value: Any, path: str = "status") -> list[str]:
    """What a structural schema has against a value; a field that it lacks is a fault."""
    if value is None:
        return [] if schema.get("nullable") else [f"{path}: null"]
    if not isinstance(value, TYPES[schema["type"]]):
        return [f"{path}: not {schema['type']}: {value!r}"]
    found = []
    if isinstance(value, dict):
        known = dict(schema.get("properties", {}))
        if len(value) > schema.get("maxProperties", len(value)):
            found.append(f"{path}: {len(value)} keys")
        if others := schema.get("additionalProperties"):
            known = dict.fromkeys(value, others) | known
        found += [f"{path}.{name}: no such field" for name in value.keys() - known.keys()]
        found += [
            f"{path}.{name}: missing" for name in schema.get("required", []) if name not in value
        ]
        for name in value.keys() & known.keys():
            found += faults(known[name], value[name], f"{path}.{name}")
    elif isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            found.append(f"{path}: {len(value)} items")
        for index, item in enumerate(value):
            found += faults(schema["items"], item, f"{path}[{index}]")
    elif isinstance(value, str):
        if len(value) > schema.get("maxLength", len(value)):
            found.append(f"{path}: {len(value)} characters")
        if value not in schema.get("enum", [value]):
            found.append(f"{path}: {value!r} is none of {schema['enum']}")
    return found


@pytest.fixture
def status(schemas: dict[str, Object]) -> Object:
    schema = schemas["DBProxyTargetGroup"]["properties"]["status"]
    assert isinstance(schema, dict)
    return schema


def planned(composed: Composed, *, up: bool) -> Plan:
    """A pod's plan when all is well, or when everything fails at length."""
    config = settings.Config(
        settings.parse_settings(composed.files["settings.json"]),
        settings.parse_credentials(composed.files),
    )
    planner = Planner(max_clients=100)
    planner.learn_config(config)
    planner.learn_addresses(Addresses("db-0", ("10.0.0.1:5432",)))
    if up:
        server = ServerFacts(in_recovery=False, max_connections=100, reserved_connections=3)
        planner.learn_election(Election("FOUND", "election-uid", "db-0", 7))
        planner.plan(now=1.0, wall=NOW)
        planner.learn_probe(Probe("db-0", "OK", asked_at=1.5, took=0.01, server=server))
    else:
        failed = Probe(
            *("db-0", "FAILED", 1.0, 0.01), reason="UNREACHABLE", decisive=True, message=LONG
        )
        planner.learn_probe(failed)
        planner.learn_election(Election("INVALID", message=LONG))
    planner.learn_logins(
        [Login("app", "db-0", up, "" if up else "AUTH_FAILURE", "" if up else LONG)]
    )
    plan = planner.plan(now=2.0, wall=NOW)
    assert plan is not None
    return plan


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("group_spec", [{}, ELECTION])
def test_the_report_of_a_pod_fits(status: Object, up: bool, group_spec: Object) -> None:
    plan = planned(compose(group_spec=group_spec), up=up)
    for applied in (plan.snapshot, None):
        least = least_entry("orders-6c9f-abcde", 3, [] if up else [PROBLEM])
        entry = pod_entry(least, plan, plan.config, applied, PINNED)
        body = Destination("shop", "orders-db", "group-uid", "orders-6c9f-abcde").body(entry)
        assert faults(status, body["status"]) == []


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("group_spec", [{}, ELECTION])
def test_the_operator_reads_all_that_a_pod_reports(up: bool, group_spec: Object) -> None:
    plan = planned(compose(group_spec=group_spec), up=up)
    entry = pod_entry(least_entry("a", 3, []), plan, plan.config, plan.snapshot, PINNED)
    report = reports.read({"status": {"proxies": [entry]}}, ["a"])["a"]
    assert report.format_version == FORMAT_VERSION
    assert report.revision == plan.config.settings.revision
    assert report.secret_revision == plan.config.credentials.revision
    assert report.generation == plan.config.settings.proxy.generation
    assert report.divisor == plan.config.settings.budget_divisor
    assert report.listeners == {15432, 15433}
    assert [(one.name, one.state) for one in report.targets] == [
        ("db-0", "AVAILABLE" if up else "UNAVAILABLE")
    ]
    assert report.writer is not None
    assert report.writer.open is up
    assert (report.acknowledged is not None) is up
    assert [(one.user, one.ok) for one in report.logins] == ([] if up else [("app", False)])
    assert report.good_logins == (1 if up else 0)
    assert report.pinned_sessions == PINNED


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("group_spec", [{}, ELECTION])
def test_the_folded_status_fits(status: Object, up: bool, group_spec: Object) -> None:
    composed = compose(group_spec=group_spec)
    assert composed.group is not None
    plan = planned(composed, up=up)
    entry = pod_entry(least_entry("a", 3, []), plan, plan.config, plan.snapshot, PINNED)
    group = composed.group | {"status": {"proxies": [entry]}}
    parsed = spec.parse_target_group(group)
    read = reports.read(group, ["a"])
    said = list(read.values())
    election = {"metadata": {"uid": "election-uid"}, "data": {"writer": "db-0", "epoch": "7"}}
    heard = writers.Heard(said, {**read, "silent": None} if not up else dict(read))
    writer = writers.judge(group, parsed, heard, election, None, "2025-11-21T09:47:30Z")
    folded: Object = {
        "targets": fold.targets(parsed, said, 1),
        "logins": fold.bad_logins(said),
        "goodLogins": fold.good_logins(said, 1, 0),
        "pinnedSessions": fold.pinned_sessions(said),
    }
    if writer.record is not None:
        folded["writer"] = writer.record
    assert faults(status, folded) == []
    assert writer.known is up
    if writer.record is not None:
        assert writer.record["acknowledged"] is up


def test_the_folded_status_fits_before_any_pod_reports(status: Object) -> None:
    composed = compose()
    assert composed.group is not None
    parsed = spec.parse_target_group(composed.group)
    for ready in (0, 2):
        assert faults(status, {"targets": fold.targets(parsed, [], ready), "logins": []}) == []


def test_fifty_pods_of_two_hundred_users_fit_into_one_object_when_everything_fails() -> None:
    users = [
        Login(f"user-{number:03}", "db-00", False, "AUTH_FAILURE", LONG) for number in range(200)
    ]
    view = TargetHealth("db-00", "READ_WRITE", "UNAVAILABLE", "UNREACHABLE", LONG, 100, 97)
    plan = planned(compose(), up=False)
    plan = dataclasses.replace(plan, logins=tuple(users), targets=(view,) * 16)
    least = [least_entry(name, 51, [PROBLEM]) for name in NAMES]
    entries = [pod_entry(one, plan, plan.config, plan.snapshot, PINNED) for one in least]
    folded = fold.bad_logins(list(reports.read({"status": {"proxies": entries}}, NAMES).values()))
    # Each pod's field manager notes what it owns in some 1,000 bytes.
    size = len(json.dumps([entries, folded])) + 50 * 1000
    assert size < 1_000_000


def test_a_target_has_the_states_and_reasons_that_pods_give_and_no_others(status: Object) -> None:
    health = status["properties"]["targets"]["items"]["properties"]["targetHealth"]["properties"]
    assert set(health["state"]["enum"]) == set(get_args(HealthState))
    assert set(health["reason"]["enum"]) == set(get_args(HealthReason))


def test_the_operator_knows_every_reason_that_a_pod_gives() -> None:
    assert get_args(ProblemReason) == verdicts.POD_PROBLEMS
