"""The demo's figure for the pause in writes is the longest gap in pgbench's log."""

import pytest
from examples.pause import Pause, longest_pause


def line(seconds: float, latency: str = "1200") -> str:
    whole = int(seconds)
    return f"0 1 {latency} 0 {whole} {round((seconds - whole) * 1e6)}"


def test_finds_the_longest_gap_over_all_clients() -> None:
    log = "\n".join(line(moment) for moment in (10.0, 14.5, 10.5, 11.0, 15.0))
    assert longest_pause(log, since=10.0) == Pause(11.0, 14.5)


def test_counts_from_the_beginning_of_the_failover() -> None:
    log = "\n".join(line(moment) for moment in (1.0, 9.0, 12.0, 12.5))
    assert longest_pause(log, since=10.0) == Pause(10.0, 12.0)


def test_a_failed_transaction_ends_no_pause() -> None:
    log = "\n".join([line(10.5), line(11.0, "serialization"), line(12.5)])
    assert longest_pause(log, since=10.0) == Pause(10.5, 12.5)


def test_refuses_a_log_without_a_transaction_after_the_failover() -> None:
    with pytest.raises(ValueError, match="no transaction"):
        longest_pause(line(3.0), since=10.0)
