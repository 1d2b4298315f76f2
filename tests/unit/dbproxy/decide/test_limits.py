"""What of the settings limits clients and connections reaches the engine as it is meant."""

from dataclasses import asdict

import pytest
from tests.agent_made import group_document, settings_of

from dbproxy.decide.limits import limits, rules

USUAL_TCP = {
    "keepalive_idle_ms": 60_000,
    "keepalive_interval_ms": 10_000,
    "keepalive_count": 9,
    "user_timeout_ms": 120_000,
}


def test_what_nobody_limits_is_not_limited() -> None:
    assert asdict(limits(settings_of(targetGroup=None), 100, 1)) == {
        "max_clients": 100,
        "max_clients_of_user": None,
        "connection_rate": None,
        "login_rate": None,
        "max_connections_of_user": None,
        "max_connections_of_database": None,
        "borrow_timeout_ms": 120_000,
        "idle_client_timeout_ms": 1_800_000,
        "idle_in_transaction_timeout_ms": None,
        "client_lifetime_ms": None,
        "backend_lifetime_ms": None,
        "client_tcp": USUAL_TCP,
        "backend_tcp": USUAL_TCP,
    }


def test_seconds_become_milliseconds() -> None:
    group = group_document(connectionPoolConfig={"maxConnectionLifetime": 7})
    changes = {"idleInTransactionTimeout": 5, "maxClientLifetime": 6, "targetGroup": group}
    made = limits(settings_of(**changes), 100, 1)
    assert made.idle_in_transaction_timeout_ms == 5_000
    assert made.client_lifetime_ms == 6_000
    assert made.backend_lifetime_ms == 7_000


def test_clients_and_targets_that_vanish_are_noticed_each_in_their_way() -> None:
    of_targets = {"keepaliveIdle": 5, "keepaliveInterval": 2, "keepaliveCount": 3, "userTimeout": 0}
    changes = {"tcp": {"userTimeout": 30}, "targetGroup": group_document(tcp=of_targets)}
    made = asdict(limits(settings_of(**changes), 100, 1))
    assert made["client_tcp"] == USUAL_TCP | {"user_timeout_ms": 30_000}
    assert made["backend_tcp"] == {
        "keepalive_idle_ms": 5_000,
        "keepalive_interval_ms": 2_000,
        "keepalive_count": 3,
        "user_timeout_ms": None,
    }


def test_a_pod_takes_no_more_clients_than_it_has_room_for() -> None:
    assert limits(settings_of(maxClientConnections=7), 100, 1).max_clients == 7
    assert limits(settings_of(maxClientConnections=700), 100, 1).max_clients == 100


def test_numbers_and_rates_of_clients_arrive() -> None:
    changes = {"maxClientConnectionsPerUser": 3, "maxConnectionRate": 4, "maxLoginRatePerUser": 5}
    made = limits(settings_of(**changes), 100, 1)
    assert (made.max_clients_of_user, made.connection_rate, made.login_rate) == (3, 4, 5)


@pytest.mark.parametrize(("divisor", "of_user", "of_database"), [(1, 7, 20), (3, 2, 6), (8, 1, 2)])
def test_a_pod_has_its_part_of_what_a_user_and_a_database_may_have_and_one_at_least(
    divisor: int, of_user: int, of_database: int
) -> None:
    pool = {"maxConnectionsPerUser": 7, "maxConnectionsPerDatabase": 20}
    settings = settings_of(targetGroup=group_document(connectionPoolConfig=pool))
    made = limits(settings, 100, divisor)
    assert (made.max_connections_of_user, made.max_connections_of_database) == (
        of_user,
        of_database,
    )


def test_sessions_are_bound_by_the_rules_that_were_chosen() -> None:
    chosen = {"sessionPinningFilters": ["EXCLUDE_VARIABLE_SETS"], "maxStatementLength": 16_384}
    group = group_document(connectionPoolConfig=chosen)
    made = [
        rules(settings_of(targetGroup=None)),
        rules(settings_of(targetGroup=group)),
    ]
    assert [asdict(one) for one in made] == [
        {"longest_statement": None, "excludes_settings": False},
        {"longest_statement": 16_384, "excludes_settings": True},
    ]
