"""What of the settings limits clients and connections reaches the engine as it is meant."""

from dataclasses import asdict

from tests.agent_made import settings_of

from dbproxy.decide.limits import limits


def test_what_nobody_limits_is_not_limited() -> None:
    assert asdict(limits(settings_of(targetGroup=None), 100)) == {
        "max_clients": 100,
        "borrow_timeout_ms": 120_000,
        "idle_client_timeout_ms": 1_800_000,
        "idle_in_transaction_timeout_ms": None,
    }


def test_seconds_become_milliseconds() -> None:
    made = limits(settings_of(idleInTransactionTimeout=5), 100)
    assert made.idle_in_transaction_timeout_ms == 5_000
