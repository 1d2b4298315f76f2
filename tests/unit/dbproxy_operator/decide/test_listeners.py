"""Ports: allocated once, never twice, given up only after the Service."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dbproxy_operator.decide import listeners
from dbproxy_operator.desired.config import Listener

NOW = 1000.0


def endpoint(name: str, port: Any = None) -> tuple[dict[str, Any], str]:
    status = {} if port is None else {"port": port}
    return {"metadata": {"name": name, "uid": name}, "status": status}, "READ_ONLY"


def test_the_default_endpoint_has_its_fixed_port_and_others_the_next() -> None:
    found = listeners.allocate("orders", [endpoint("a"), endpoint("b")], [], [], NOW)
    assert [(one.name, one.port) for one in found.all] == [
        ("orders", 15432),
        ("a", 15433),
        ("b", 15434),
    ]


def test_a_recorded_port_stays() -> None:
    found = listeners.allocate("orders", [endpoint("a"), endpoint("b", 15433)], [], [], NOW)
    assert found.ports == {"a": 15434, "b": 15433}


def test_of_two_that_claim_a_port_the_older_has_it() -> None:
    claims = [endpoint("a", 15440), endpoint("b", 15440), endpoint("c", 22)]
    found = listeners.allocate("orders", claims, [], [], NOW)
    assert found.ports == {"a": 15440, "b": 15433, "c": 15434}


def test_a_lost_status_is_made_good_from_the_settings() -> None:
    former = [Listener("a", 15450, "READ_ONLY")]
    assert listeners.allocate("orders", [endpoint("a")], former, [], NOW).ports == {"a": 15450}


def test_a_listener_outlives_its_endpoint_until_its_service_is_gone() -> None:
    former = [Listener("a", 15433, "READ_ONLY")]
    first = listeners.allocate("orders", [], former, ["a"], NOW)
    assert first.all[1] == Listener("a", 15433, "READ_ONLY", retiring_since=1000)
    late = NOW + listeners.LINGER_SECONDS
    still = listeners.allocate("orders", [], first.all, ["a"], late)
    assert still.all == first.all
    # A finalizer may hold the Service for hours; its deletion is an event.
    assert still.wake_at is None
    gone = listeners.allocate("orders", [], first.all, [], late)
    assert [one.name for one in gone.all] == ["orders"]


def test_a_listener_lingers_after_its_service_too() -> None:
    former = [Listener("a", 15433, "READ_ONLY")]
    found = listeners.allocate("orders", [], former, [], NOW)
    assert [one.name for one in found.all] == ["orders", "a"]
    assert found.wake_at == NOW + listeners.LINGER_SECONDS


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(15430, 15535)), max_size=20))
def test_no_port_is_given_twice(claims: list[tuple[int, int]]) -> None:
    named = {f"e{number}": endpoint(f"e{number}", port) for number, port in claims}
    former = [Listener("old", 15433, "READ_ONLY"), Listener("e1", 15434, "READ_ONLY")]
    found = listeners.allocate("orders", list(named.values()), former, ["old"], NOW)
    ports = [one.port for one in found.all]
    assert len(ports) == len(set(ports))
    assert found.ports.keys() == named.keys()
