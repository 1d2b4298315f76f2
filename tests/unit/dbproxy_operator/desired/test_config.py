"""The composed ConfigMap and Secret: revisions, passwords in grace, what is remembered."""

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.composed import KEY, NOW, stored
from tests.resources import group, proxy

from dbproxy_operator import spec
from dbproxy_operator.desired import config
from dbproxy_operator.desired.config import Login, Served

OWNER = stored(proxy(), "proxy-uid")
EMPTY = config.served(None, None)
FRESH = b"f" * config.FLEET_SECRET_BYTES


def parsed(grace: int = 300) -> spec.DBProxySpec:
    return spec.parse_proxy(stored(proxy(credentialRotationGracePeriod=grace), "proxy-uid"))


def compose(
    password: str, before: Served, now: float = NOW, grace: int = 300
) -> tuple[Served, dict[str, Any], int]:
    login = Login("app", password, "POSTGRES_SCRAM_SHA_256", "app")
    content = config.credentials(parsed(grace), [login], None, before, FRESH, now)
    secret, revision = config.secret_object(KEY, OWNER, content, {"tls.crt": "c"}, before, now)
    return config.served(None, secret), content["users"][0], revision


def test_a_changed_password_leaves_the_former_one_in_grace() -> None:
    first, _, _ = compose("one", EMPTY)
    _, user, _ = compose("two", first)
    assert user["password"] == "two"
    assert user["previous"] == [{"password": "one", "validUntil": int(NOW) + 300}]


def test_no_grace_leaves_no_former_password() -> None:
    first, _, _ = compose("one", EMPTY)
    _, user, _ = compose("two", first, grace=0)
    assert user["previous"] == []


def test_a_former_password_goes_when_its_grace_is_over() -> None:
    first, _, _ = compose("one", EMPTY)
    second, _, rotated = compose("two", first)
    _, user, pruned = compose("two", second, now=NOW + 301)
    assert user["previous"] == []
    assert pruned > rotated


def test_a_shortened_grace_shortens_what_is_running() -> None:
    first, _, _ = compose("one", EMPTY)
    second, _, _ = compose("two", first)
    _, user, _ = compose("two", second, grace=10)
    assert user["previous"] == [{"password": "one", "validUntil": int(NOW) + 10}]


def test_a_password_that_returns_is_no_former_one_any_more() -> None:
    first, _, _ = compose("one", EMPTY)
    second, _, _ = compose("two", first)
    _, user, _ = compose("one", second)
    assert [old["password"] for old in user["previous"]] == ["two"]


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=12))
def test_the_revision_rises_with_every_change_and_only_then(passwords: list[str]) -> None:
    before, revision, last = EMPTY, 0, None
    for password in passwords:
        after, user, now_at = compose(password, before)
        if (password, user["previous"]) == last:
            assert now_at == revision
        else:
            assert now_at > revision
        before, revision, last = after, now_at, (password, user["previous"])
    assert before.credentials["fleetSecret"] == base64.b64encode(FRESH).decode()


def test_the_revision_rises_also_when_the_clock_falls() -> None:
    first, _, revision = compose("one", EMPTY)
    _, _, later = compose("two", first, now=NOW - 1000)
    assert later == revision + 1


def test_a_lost_secret_does_not_fall_below_what_the_settings_need() -> None:
    before = Served({"secretRevision": int(NOW * 1000) + 5000}, {}, {})
    _, _, revision = compose("one", before)
    assert revision == int(NOW * 1000) + 5001


def test_the_fleet_secret_is_made_once() -> None:
    first, _, _ = compose("one", EMPTY)
    login = Login("app", "one", "POSTGRES_MD5", "app")
    content = config.credentials(parsed(), [login], None, first, b"other" * 7, NOW)
    assert content["fleetSecret"] == first.credentials["fleetSecret"]


def test_settings_do_not_name_a_newer_secret_unless_they_change() -> None:
    content = config.settings(
        OWNER, parsed(), [], None, report_to=None, budget_divisor=3, drain_timeout=60
    )
    first, revision = config.config_map_object(KEY, OWNER, content, 10, EMPTY, NOW)
    before = config.served(first, None)
    again, same = config.config_map_object(KEY, OWNER, content, 20, before, NOW + 9)
    assert (again, same) == (first, revision)
    content = config.settings(
        OWNER, parsed(), [], None, report_to=None, budget_divisor=4, drain_timeout=60
    )
    changed, higher = config.config_map_object(KEY, OWNER, content, 20, before, NOW + 9)
    assert higher > revision
    assert json.loads(changed["data"]["settings.json"])["secretRevision"] == 20


def test_what_cannot_be_read_counts_as_absent() -> None:
    secret = {"data": {"credentials.json": "!", "tls.crt": "/w=="}}
    for settings in ("{", "[" * 100_000):
        broken = config.served({"data": {"settings.json": settings}}, secret)
        assert broken == Served({}, {}, {})


def test_idle_connections_are_half_of_all_unless_said() -> None:
    parsed_group = spec.parse_target_group(group(connectionPoolConfig={"maxConnectionsPercent": 9}))
    rendered = config.target_group(stored(group(), "g"), parsed_group, None)
    assert rendered["connectionPoolConfig"]["maxIdleConnectionsPercent"] == 4


def test_the_first_expiry_is_known() -> None:
    first, _, _ = compose("one", EMPTY)
    login = Login("app", "two", "POSTGRES_MD5", "app")
    content = config.credentials(parsed(), [login], None, first, FRESH, NOW)
    assert config.next_expiry(content) == int(NOW) + 300
