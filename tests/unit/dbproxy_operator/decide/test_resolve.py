"""References followed, and what is wrong with whom, in words that say what to do."""

import base64
from typing import Any

import pytest
from tests.composed import KEY, NOW, certificate_files, stored
from tests.resources import Object, endpoint, group, named, proxy, targets

from dbproxy_operator.decide.resolve import Resolved, resolve
from dbproxy_operator.desired.config import Monitor, Served
from dbproxy_operator.observe.world import Observed

NOTHING = Served({}, {}, {})
BEFORE = Served(
    {
        "targetGroup": {
            "name": "orders-db",
            "uid": "g",
            "generation": 2,
            "spec": group(
                monitorSecretRef={"name": "watch"},
                tls={"mode": "VERIFY_CA", "caSecretRef": {"name": "ca"}},
            )["spec"],
        }
    },
    {
        "users": [{"name": "app", "password": "kept", "secret": "app"}],
        "monitor": {"name": "watcher", "password": "kept", "secret": "watch"},
    },
    {"tls.crt": "old", "tls.key": "old", "ca.crt": "old"},
)


def secret(kind: str = "kubernetes.io/basic-auth", **data: str) -> Object:
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"metadata": {"name": "s", "labels": {}}, "type": kind, "data": encoded}


GOOD = secret(username="app", password="p")


def look(
    secrets: dict[str, Object],
    before: Served = NOTHING,
    group_spec: dict[str, Any] | None = None,
    **spec: Any,
) -> Resolved:
    groups = () if group_spec is None else (stored(group(**group_spec), "g"),)
    observed = Observed(KEY, stored(proxy(**spec), "p"), groups=groups, secrets=secrets)
    return resolve(observed, before, NOW)


def test_a_good_secret_is_a_login() -> None:
    found = look({"app": GOOD})
    assert found.problems == ()
    (login,) = found.logins
    assert (login.user, login.password, login.auth_type) == ("app", "p", "POSTGRES_SCRAM_SHA_256")


def test_a_label_allows_what_the_type_does_not() -> None:
    opaque = secret("Opaque", username="app", password="p")
    assert [one.reason for one in look({"app": opaque}).problems] == ["SecretNotAllowed"]
    opaque["metadata"]["labels"] = {"dbproxy.dev/allow": "true"}
    assert look({"app": opaque}).problems == ()


@pytest.mark.parametrize(
    ("secrets", "reason", "contradiction"),
    [
        ({}, "SecretNotFound", False),
        ({"app": secret(username="app")}, "SecretIncomplete", False),
        ({"app": secret(username="", password="p")}, "SecretIncomplete", False),
        ({"app": secret("Opaque", username="app", password="p")}, "SecretNotAllowed", True),
        ({"app": secret(username="a\0b", password="p")}, "SecretInvalid", True),
        ({"app": secret(username="a" * 64, password="p")}, "SecretInvalid", True),
    ],
)
def test_what_is_wrong_with_a_secret_is_told(
    secrets: dict[str, Object], reason: str, contradiction: bool
) -> None:
    (problem,) = look(secrets).problems
    assert (problem.reason, problem.contradiction) == (reason, contradiction)
    assert "Secret app" in problem.message
    assert "spec.auth[0].secretRef" in problem.message


@pytest.mark.parametrize(
    ("family", "length", "told"),
    [
        ("POSTGRESQL", 64, "longer than 63 bytes, which PostgreSQL does not allow"),
        ("MYSQL", 129, "longer than 128 characters, which MySQL or MariaDB does not allow"),
    ],
)
def test_a_name_that_is_too_long_is_told_with_the_product(
    family: str, length: int, told: str
) -> None:
    secrets = {"app": GOOD, "long": secret(username="a" * length, password="p")}
    users = look(secrets, auth=[{"secretRef": {"name": "long"}}], engineFamily=family)
    assert told in users.problems[0].message
    watch = {"monitorSecretRef": {"name": "long"}}
    group = look(secrets, NOTHING, watch, engineFamily=family).group
    assert group is not None
    assert told in group.problems[0].message


@pytest.mark.parametrize(
    ("family", "kept"),
    [("POSTGRESQL", "POSTGRES_MD5"), ("MYSQL", "MYSQL_CACHING_SHA2_PASSWORD")],
)
def test_a_user_that_is_kept_logs_in_by_a_way_of_the_family(family: str, kept: str) -> None:
    """What is served may be what a deleted DBProxy of the name left, and that of another family."""
    users = [
        {"name": "app", "password": "p", "secret": "app", "clientPasswordAuthType": "POSTGRES_MD5"}
    ]
    before = Served({}, {"users": users}, {})
    auth = [{"secretRef": {"name": "gone"}}]
    (login,) = look({}, before, auth=auth, engineFamily=family).logins
    assert (login.user, login.auth_type) == ("app", kept)


def test_a_group_that_cannot_be_of_the_family_is_not_kept_either() -> None:
    wrong = {"connectionPoolConfig": {"maxConnectionsPerDatabase": 8}}
    noted = {"name": "orders-db", "uid": "g", "generation": 2, "spec": group(**wrong)["spec"]}
    before = Served({"targetGroup": noted}, {}, {})
    for family, kept in (("POSTGRESQL", True), ("MYSQL", False)):
        found = look({"app": GOOD}, before, {"targets": []}, engineFamily=family).group
        assert found is not None
        assert [one.reason for one in found.problems] == ["InvalidSpec"]
        assert (found.source is not None) is kept


def test_no_password_gets_into_a_message() -> None:
    twice = {"app": GOOD, "again": secret(username="app", password="hunter2")}
    auth = [{"secretRef": {"name": "app"}}, {"secretRef": {"name": "again"}}]
    (problem,) = look(twice, auth=auth).problems
    assert problem.reason == "DuplicateUser"
    assert "hunter2" not in problem.message


def test_the_first_of_two_that_name_a_user_counts() -> None:
    twice = {"app": GOOD, "again": secret(username="app", password="other")}
    auth = [{"secretRef": {"name": "app"}}, {"secretRef": {"name": "again"}}]
    (login,) = look(twice, auth=auth).logins
    assert login.password == "p"


def test_a_secret_that_vanished_keeps_what_was_served() -> None:
    found = look({}, BEFORE)
    assert [one.reason for one in found.problems] == ["SecretNotFound"]
    (login,) = found.logins
    assert (login.user, login.password) == ("app", "kept")


def test_one_missing_secret_does_not_stop_the_others() -> None:
    auth = [{"secretRef": {"name": "gone"}}, {"secretRef": {"name": "app"}}]
    found = look({"app": GOOD}, auth=auth)
    assert [login.user for login in found.logins] == ["app"]


def test_a_monitor_that_vanished_keeps_what_was_served() -> None:
    spec = {"monitorSecretRef": {"name": "watch"}}
    found = look({"app": GOOD}, BEFORE, spec).group
    assert found is not None
    assert [one.reason for one in found.problems] == ["SecretNotFound"]
    assert found.monitor == Monitor("watcher", "kept", "watch")


VERIFIED = {"tls": {"mode": "VERIFY_CA", "caSecretRef": {"name": "ca"}}}


def test_a_group_that_must_verify_is_not_served_without_its_ca() -> None:
    missing = look({"app": GOOD}, NOTHING, VERIFIED).group
    assert missing is not None
    assert missing.source is None
    good = {"app": GOOD, "ca": secret("Opaque", **{"ca.crt": certificate_files()["ca.crt"]})}
    found = look(good, NOTHING, VERIFIED).group
    assert found is not None
    assert (found.problems, found.source) == ((), found.obj)
    bad = look({"app": GOOD, "ca": secret("Opaque", **{"ca.crt": "x"})}, NOTHING, VERIFIED).group
    assert bad is not None
    assert [one.reason for one in bad.problems] == ["InvalidCertificate"]


def test_a_ca_that_vanished_is_kept_and_the_group_still_follows_its_spec() -> None:
    changed = VERIFIED | {"targets": targets(2)}
    found = look({"app": GOOD}, BEFORE, changed).group
    assert found is not None
    assert [one.reason for one in found.problems] == ["SecretNotFound"]
    assert (found.source, found.ca) == (found.obj, "old")


def test_the_ca_of_another_secret_is_no_substitute() -> None:
    """All of the group stays as it was served, since its new targets may need the new CA."""
    moved = {"tls": {"mode": "VERIFY_CA", "caSecretRef": {"name": "new"}}, "targets": targets(2)}
    found = look({"app": GOOD}, BEFORE, moved).group
    assert found is not None
    assert found.spec is not None
    assert (len(found.spec.targets), found.ca) == (1, "old")


def test_the_first_group_counts() -> None:
    groups = (stored(group(), "a"), stored(named(group(), "later"), "b"))
    observed = Observed(KEY, stored(proxy(), "p"), groups=groups, secrets={"app": GOOD})
    found = resolve(observed, NOTHING, NOW)
    assert found.group is not None
    assert found.group.obj == groups[0]
    assert found.other_groups == groups[1:]


def test_twenty_endpoints_are_the_most() -> None:
    endpoints = tuple(stored(named(endpoint(), f"e{number}"), "e") for number in range(21))
    observed = Observed(KEY, stored(proxy(), "p"), endpoints=endpoints, secrets={"app": GOOD})
    found = resolve(observed, NOTHING, NOW).endpoints
    assert [one.problem is None for one in found] == [True] * 20 + [False]


def test_a_spec_that_the_crd_should_have_refused_is_told() -> None:
    (problem,) = look({}, replicas=0).problems
    assert (problem.reason, problem.contradiction) == ("InvalidSpec", True)
    assert "spec.replicas" in problem.message
