"""What follows from a change of writer: what drains, what is acknowledged, what moved."""

from __future__ import annotations

from tests.agent_made import elected
from tests.writer_world import settled

from dbproxy.decide.terms import DRAIN_LIMIT
from dbproxy.facts import Election
from dbproxy.settings import WriterFloor


def test_a_risen_epoch_holds_at_once_and_drains_the_old_writer() -> None:
    world = settled().says(elected("db-1", 8))
    assert world.state == ("db-1", 8, False)
    assert set(world.writer.terms.draining) == {"db-0"}
    assert world.acknowledged == (7, False)


def test_an_epoch_is_acknowledged_when_the_old_writer_is_drained() -> None:
    world = settled().says(elected("db-1", 8)).drains("db-0", 8)
    assert world.acknowledged == (8, False)
    assert not world.writer.terms.draining


def test_an_old_word_of_the_engine_acknowledges_nothing() -> None:
    world = settled().says(elected("db-1", 8)).drains("db-0", 7)
    assert world.acknowledged == (7, False)


def test_a_drain_that_the_engine_could_not_confirm_is_said_to_be_so() -> None:
    world = settled().says(elected("db-1", 8)).drains("db-0", 8, unconfirmed=True)
    assert world.acknowledged == (8, True)
    assert world.says(elected("db-0", 9)).drains("db-1", 9).acknowledged == (9, False)


def test_a_drain_of_which_nothing_is_heard_is_given_up_as_unconfirmed() -> None:
    world = settled().says(elected("db-1", 8))
    assert world.writer.next_deadline() == world.now + DRAIN_LIMIT
    assert world.pass_by(DRAIN_LIMIT).acknowledged == (8, True)


def test_a_writer_that_returns_before_it_was_drained_is_not_waited_for() -> None:
    world = settled().says(elected("db-1", 8)).says(elected("db-0", 9))
    assert world.writer.terms.suspended == {"db-1"}
    assert world.drains("db-1", 9).acknowledged == (9, False)


def test_a_writer_that_the_engine_never_had_is_not_waited_for() -> None:
    """The engine was told db-0 and db-0 again: its word names nobody."""
    world = settled().says(elected("db-1", 8)).says(elected("db-0", 9)).drains("", 9)
    assert world.acknowledged == (9, False)
    assert not world.writer.terms.draining


def test_the_word_on_the_beginning_of_a_term_does_not_acknowledge_its_end() -> None:
    world = settled().says(elected("", 8)).drains("", 7)
    assert world.acknowledged == (7, False)
    assert world.drains("db-0", 7).acknowledged == (8, False)


def test_words_of_the_engine_that_were_lost_leave_a_drain_unconfirmed() -> None:
    world = settled().says(elected("db-1", 8))
    world.writer.terms.words_lost()
    assert world.drains("db-0", 8).acknowledged == (8, True)


def test_the_floor_of_other_pods_moves_a_pod_that_missed_the_election() -> None:
    world = settled()
    world.floor = WriterFloor(target="db-1", uid="cm", epoch=8)
    world.says(Election("UNREACHABLE", message="no route"))
    assert world.state == ("db-1", 8, False)


def test_a_writer_that_moved_is_left_and_opens_anew_once_sql_confirms_it_there() -> None:
    world = settled()
    assert world.moves("db-0").state == ("db-0", 7, False)
    assert world.writer.term is not None
    assert world.writer.term.serial == 8
    assert world.writer.terms.suspended == frozenset()
    assert world.acknowledged is None
    assert world.writes("db-0").state == ("db-0", 7, True)
    assert world.drains("db-0", 8).acknowledged == (7, False)


def test_a_replica_that_moved_changes_nothing_for_the_writer() -> None:
    assert settled().moves("db-1").state == ("db-0", 7, True)


def test_a_place_that_the_engine_could_not_make_sure_to_have_left_is_said_to_be_so() -> None:
    """A moved writer without addresses is none to the engine: its word has the number of before."""
    world = settled().moves("db-0").drains("db-0", 7, unconfirmed=True)
    assert world.acknowledged is None
    assert world.drains("", 8).acknowledged == (7, True)


def test_nor_is_a_writer_forgotten_that_was_fenced_before_its_term_ended() -> None:
    world = settled().drains("db-0", 7, unconfirmed=True).says(elected("db-1", 8))
    assert world.drains("", 8).acknowledged == (8, True)
    assert world.says(elected("db-0", 9)).drains("db-1", 9).acknowledged == (9, False)
