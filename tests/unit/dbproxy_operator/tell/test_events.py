"""What goes to and fro is told a few times, then now and then."""

from dbproxy_operator.tell.events import BURST, EVERY, Limit


def told(limit: Limit, times: int, now: float, reason: str = "NoWriter") -> int:
    return sum(limit.allows("u", reason, now + second) for second in range(times))


def test_a_flapping_condition_is_told_a_few_times_then_now_and_then() -> None:
    limit = Limit()
    assert told(limit, 60, 1000.0) == BURST
    assert told(limit, 3600, 2000.0) <= 3600 / EVERY + BURST


def test_another_reason_and_another_object_are_told() -> None:
    limit = Limit()
    told(limit, 60, 1000.0)
    assert limit.allows("u", "Ready", 1060.0)
    assert limit.allows("v", "NoWriter", 1060.0)


def test_what_has_not_been_told_for_long_is_forgotten() -> None:
    limit = Limit()
    for number in range(10_000):
        limit.allows(f"u{number}", "Ready", 1000.0 + number)
    assert len(limit.left) < 5_000
