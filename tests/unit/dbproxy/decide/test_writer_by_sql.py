"""What SQL's word does to the writer, with an election and without one."""

from __future__ import annotations

from tests.agent_made import elected, failed
from tests.writer_world import World, refused, settled

from dbproxy.decide.writer import Fencing
from dbproxy.settings import WriterFloor


def test_a_fallen_epoch_leaves_the_last_writer_open_while_sql_confirms_it() -> None:
    world = settled().says(elected("db-1", 6))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "EpochFell"
    assert world.loses("db-0").state == ("db-0", 7, False)


def test_one_missed_deadline_holds_nothing_but_three_in_a_row_do() -> None:
    world = settled().loses("db-0", decisive=False).loses("db-0", decisive=False)
    assert world.state == ("db-0", 7, True)
    assert world.loses("db-0", decisive=False).state == ("db-0", 7, False)


def test_a_monitor_that_may_not_log_in_does_not_close_an_open_writer() -> None:
    world = settled()
    world.sees(failed("db-0", world.now, reason="AUTH_FAILURE"))
    assert world.state == ("db-0", 7, True)


def test_a_last_writer_that_refuses_the_monitor_denies_nothing() -> None:
    world = World(floor=WriterFloor(target="db-1", uid="cm", epoch=8))
    world.says(elected("db-0", 1, uid="other")).writes("db-0")
    world.sees(failed("db-1", world.now, reason="AUTH_FAILURE")).writes("db-0")
    assert world.state == ("db-1", 8, False)


def test_without_election_the_only_writer_opens_once_all_were_asked() -> None:
    world = World(elected=False).writes("db-0")
    assert world.writer.term is None
    assert world.reads("db-1").state == ("db-0", 0, True)


def test_without_election_and_writer_it_holds() -> None:
    world = World(elected=False).reads("db-0").reads("db-1")
    assert not world.writer.is_open
    assert world.reason == "NoWriter"


def test_without_election_a_lost_writer_is_held_and_another_one_takes_over() -> None:
    world = World(elected=False).writes("db-0").reads("db-1").loses("db-0")
    assert world.state == ("db-0", 0, False)
    assert world.reason == "NoWriter"
    world.writes("db-1", timeline=2)
    assert world.state == ("db-1", 0, True)
    assert world.writer.term is not None
    assert world.writer.term.serial == 2


def test_without_election_several_writers_are_held() -> None:
    world = World(elected=False).writes("db-0").reads("db-1").writes("db-1")
    assert world.state == ("db-0", 0, False)
    assert world.reason == "MultipleWriters"


def test_without_election_the_higher_timeline_wins_after_three_probes_running() -> None:
    world = World(elected=False).writes("db-0").reads("db-1")
    for _ in range(2):
        world.writes("db-0", timeline=1).writes("db-1", timeline=2)
        assert not world.writer.is_open
    world.writes("db-0", timeline=1).writes("db-1", timeline=2)
    assert world.state == ("db-1", 0, True)


def chosen_by_timeline() -> World:
    world = World(elected=False).writes("db-0").reads("db-1")
    for _ in range(3):
        world.writes("db-0", timeline=1).writes("db-1", timeline=2)
    return world.drains("db-0", 2)


def test_without_election_a_choice_stands_while_its_timeline_is_higher() -> None:
    world = chosen_by_timeline()
    world.views["db-0"] = world.views["db-0"].forget()
    for _ in range(3):
        assert world.writes("db-0", timeline=1).state == ("db-1", 0, True)
    assert world.reason == ""


def test_without_election_one_missed_deadline_holds_nothing_back() -> None:
    world = chosen_by_timeline().writes("db-0", timeline=1)
    assert world.loses("db-0", decisive=False).state == ("db-1", 0, True)
    assert world.loses("db-1", decisive=False).state == ("db-1", 0, True)


def test_without_election_a_choice_falls_when_another_timeline_reaches_it() -> None:
    world = chosen_by_timeline().writes("db-0", timeline=2)
    assert not world.writer.is_open
    assert world.reason == "MultipleWriters"


def test_without_election_equal_timelines_never_win() -> None:
    world = World(elected=False)
    for _ in range(5):
        world.writes("db-0").writes("db-1")
    assert world.reason == "MultipleWriters"


def test_without_election_a_writer_that_moved_opens_anew_once_sql_confirms_it_there() -> None:
    world = World(elected=False).writes("db-0").reads("db-1").moves("db-0")
    assert world.state == ("db-0", 0, False)
    assert world.writes("db-0").state == ("db-0", 0, True)
    assert world.acknowledged is None
    assert world.drains("db-0", 2).acknowledged == (0, False)


def test_a_writer_that_sql_has_not_confirmed_for_the_timeout_is_told_and_served() -> None:
    world = refused(settled(), "db-0")
    assert world.reason == ""
    refused(world.pass_by(30), "db-0")
    assert world.state == ("db-0", 7, True)
    assert world.reason == "Unconfirmed"
    assert "for 30 s: connection refused" in world.writer.verdict.message
    assert world.writes("db-0").reason == ""


def test_strict_fencing_holds_a_writer_until_sql_confirms_it_again() -> None:
    world = settled()
    world.fencing = Fencing(30.0, strict=True)
    world.pass_by(30)
    assert world.state == ("db-0", 7, False)
    assert world.reason == "Unconfirmed"
    assert world.writer.fenced
    assert world.writes("db-0").state == ("db-0", 7, True)
    assert not world.writer.fenced


def test_strict_fencing_holds_while_the_election_cannot_be_read() -> None:
    world = settled()
    world.fencing = Fencing(30.0, strict=True)
    world.read_at = world.now - 29
    assert world.writes("db-0").state == ("db-0", 7, False)
    assert world.reason == "Unconfirmed"
    world.read_at = world.now
    assert world.writes("db-0").state == ("db-0", 7, True)


def test_the_end_of_a_confirmation_is_a_deadline() -> None:
    world = settled()
    asked_at = world.views["db-0"].asked_at
    assert world.writer.next_deadline() == asked_at + 30
    world.fencing, world.read_at = Fencing(30.0, strict=True), asked_at - 1
    assert world.pass_by(0).writer.next_deadline() == asked_at + 29


def test_a_new_writer_that_refuses_the_monitor_is_held_for_that_reason() -> None:
    world = settled()
    refused(refused(world, "db-1").says(elected("db-1", 8)), "db-1")
    assert world.state == ("db-1", 8, False)
    assert world.reason == "MonitorRefused"


def test_without_election_an_old_answer_is_told() -> None:
    world = World(elected=False).writes("db-0").reads("db-1").pass_by(30).reads("db-1")
    assert world.state == ("db-0", 0, True)
    assert world.reason == "Unconfirmed"


def test_without_election_an_old_answer_counts_for_nothing_beside_a_fresh_one() -> None:
    world = World(elected=False).writes("db-0").reads("db-1").pass_by(30)
    assert world.writes("db-1", timeline=2).state == ("db-1", 0, True)
    assert world.reason == ""
