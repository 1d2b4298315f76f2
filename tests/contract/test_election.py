"""Agent and operator read the same election, and know the same reasons for its troubles."""

from typing import get_args

import pytest
from tests.resources import group

from dbproxy.decide.writer import HoldReason
from dbproxy.settings import CONFIRMATION_TIMEOUT
from dbproxy.watch.election import parse_election
from dbproxy_operator import spec
from dbproxy_operator.decide import writer

ELECTED = spec.parse_target_group(
    group(writerElection={"configMapRef": {"name": "election"}}),
)
ELECTIONS = [
    {},
    {"writer": "db-0"},
    {"epoch": "7"},
    {"writer": "db-0", "epoch": "7"},
    {"writer": " db-0\n", "epoch": " 7\n"},
    {"writer": "", "epoch": "0"},
    {"writer": "x" * 63, "epoch": "007"},
    {"writer": "x" * 64, "epoch": "7"},
    {"writer": "db-0", "epoch": "9" * 15},
    {"writer": "db-0", "epoch": "1" + "0" * 15},
    {"writer": "db-0", "epoch": "0" * 16},
    *({"writer": "db-0", "epoch": epoch} for epoch in ("", "-1", "+1", "1.5", "1e3", "٣", "²")),
]


@pytest.mark.parametrize("data", ELECTIONS)
def test_both_read_the_same_of_an_election(data: dict[str, str]) -> None:
    agent = parse_election("uid", data)
    heard = writer.Heard((), {})
    election = {"metadata": {"uid": "uid"}, "data": data}
    found = writer.judge({}, ELECTED, heard, election, None, "")
    assert (found.reason == "ElectionInvalid") == (agent.state == "INVALID")
    if found.floor is not None:
        assert found.floor["target"] == agent.writer
        assert found.floor["epoch"] == agent.epoch
    else:
        assert agent.message in found.message


def test_the_operator_knows_every_reason_of_the_agent() -> None:
    assert set(get_args(HoldReason)) - {""} <= writer.REASONS.keys()


def test_a_confirmation_is_good_for_as_long_by_default_with_an_election_and_without() -> None:
    assert ELECTED.writer_election is not None
    assert ELECTED.writer_election.confirmation_timeout == CONFIRMATION_TIMEOUT
