"""A pod's part of the connections: asked for before it is used, given back before it is told."""

from __future__ import annotations

from fractions import Fraction

from dbproxy.decide.claim import PATIENCE, Claim

THIRD = Fraction(1, 3)


def served(goal: int = 3, others: Fraction = THIRD) -> Claim:
    """A pod that has its part, beside another one."""
    claim = Claim(alone=False)
    claim.wants(goal)
    claim.answered(goal, others)
    assert claim.in_force == goal
    return claim


def test_a_pod_without_others_takes_its_part_at_once() -> None:
    claim = Claim(alone=True)
    claim.wants(1)
    assert (claim.in_force, claim.wishes) == (1, False)


def test_a_pod_has_nothing_before_its_request_is_answered() -> None:
    claim = Claim(alone=False)
    claim.wants(3)
    assert (claim.in_force, claim.said(None), claim.wishes) == (None, 3, True)
    claim.answered(3, 2 * THIRD)
    assert (claim.in_force, claim.said(None), claim.wishes) == (3, 3, False)


def test_a_pod_for_which_there_is_no_room_takes_its_request_back_and_waits() -> None:
    claim = Claim(alone=False)
    claim.wants(3)
    claim.answered(3, Fraction(1))
    assert (claim.in_force, claim.said(None), claim.wishes) == (None, 0, True)
    claim.answered(0, 2 * THIRD)
    assert claim.in_force is None, "room that was seen is not room that was asked for"
    assert claim.said(None) == 3
    claim.answered(3, 2 * THIRD)
    assert claim.in_force == 3


def test_a_pod_begins_with_what_there_is_but_not_with_a_trifle() -> None:
    claim = Claim(alone=False)
    claim.wants(3)
    claim.answered(3, 2 * THIRD + Fraction(1, 20))
    assert claim.said(None) == 4
    claim.answered(4, 2 * THIRD + Fraction(1, 20))
    assert claim.in_force == 4
    other = Claim(alone=False)
    other.wants(3)
    other.answered(3, Fraction(6, 7))
    assert other.said(None) == 0


def test_a_smaller_part_is_obeyed_at_once_and_told_when_the_rest_is_given_back() -> None:
    claim = served()
    claim.wants(11)
    assert claim.in_force == 11
    assert [claim.said(held) for held in (3, 7, 11, 40, None)] == [3, 7, 11, 11, 11]


def test_more_is_held_than_the_whole_budget_counts_as_the_whole() -> None:
    assert served().said(0) == 1


def test_a_larger_part_is_asked_for_before_it_is_used() -> None:
    claim = served(11, Fraction(10, 11))
    claim.wants(3)
    assert (claim.in_force, claim.said(11), claim.wishes) == (11, 11, True)
    claim.answered(11, Fraction(5, 6))
    assert claim.said(11) == 6
    claim.answered(6, Fraction(5, 6))
    assert claim.in_force == 6
    claim.answered(6, THIRD)
    assert claim.said(6) == 3
    claim.answered(3, THIRD)
    assert (claim.in_force, claim.wishes) == (3, False)


def test_an_answer_that_is_too_late_allows_nothing() -> None:
    claim = served(11, Fraction(1, 11))
    claim.wants(3)
    assert claim.said(11) == 3
    claim.wants(20)
    claim.answered(3, Fraction(1, 11))
    assert (claim.in_force, claim.said(20)) == (20, 20)


def test_of_two_that_want_the_last_room_the_second_gets_none() -> None:
    first, second = Claim(alone=False), Claim(alone=False)
    for claim in (first, second):
        claim.wants(3)
    first.answered(3, 2 * THIRD)
    second.answered(3, 3 * THIRD)
    assert (first.in_force, second.in_force) == (3, None)


def test_parts_are_not_raised_in_trifling_steps() -> None:
    claim = served(11, Fraction(10, 11))
    claim.wants(3)
    claim.answered(11, Fraction(9, 10))
    assert claim.said(11) == 11


def test_a_part_that_is_worth_no_connection_is_not_asked_for_again() -> None:
    claim = served(5, THIRD)
    claim.most = 2
    claim.gives_up()
    assert (claim.in_force, claim.said(None)) == (None, 0)
    assert "less than one connection" in claim.waiting
    claim.wants(2)
    assert claim.said(None) == 2


def test_a_leaving_pod_needs_less_and_less_and_never_takes_more() -> None:
    claim = served()
    claim.leaves(9)
    assert (claim.in_force, claim.said(4), claim.said(9)) == (9, 4, 9)
    claim.leaves(5)
    claim.wants(2)
    claim.answered(9, Fraction(0))
    assert (claim.in_force, claim.said(None), claim.wishes) == (9, 9, False)


def test_a_pod_that_never_gets_an_answer_takes_its_part_unasked_after_a_while() -> None:
    claim = Claim(alone=False)
    claim.wants(3)
    claim.unanswered(100.0)
    claim.unanswered(100.0 + PATIENCE - 1)
    assert claim.in_force is None
    claim.unanswered(100.0 + PATIENCE)
    assert claim.in_force == 3


def test_a_pod_that_knows_of_others_waits_as_long_as_they_may_be_there() -> None:
    claim = Claim(alone=False)
    claim.wants(3)
    claim.answered(3, Fraction(1))
    claim.unanswered(100.0)
    claim.unanswered(100.0 + 10 * PATIENCE)
    assert claim.in_force is None
