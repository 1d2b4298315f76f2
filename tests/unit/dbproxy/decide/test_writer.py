"""Who the writer is by an election: facts in and the state of the machine out."""

from __future__ import annotations

from tests.agent_made import answered, elected
from tests.writer_world import World, settled

from dbproxy.facts import Election
from dbproxy.probe.views import View
from dbproxy.settings import WriterFloor


def test_nobody_is_writer_before_the_election_was_read() -> None:
    world = World().writes("db-0").reads("db-1")
    assert world.writer.term is None
    assert not world.writer.is_open


def test_the_named_writer_opens_only_after_sql_agrees() -> None:
    world = World().says(elected("db-0", 7))
    assert world.state == ("db-0", 7, False)
    assert world.writes("db-0").state == ("db-0", 7, True)
    assert world.reason == ""


def test_a_probe_from_before_the_term_does_not_open_it() -> None:
    world = settled()
    world.sees(answered("db-1", world.now, writes=True))
    world.says(elected("db-1", 8))
    assert world.state == ("db-1", 8, False)
    assert world.writes("db-1").state == ("db-1", 8, True)


def test_two_writers_under_one_epoch_are_a_contradiction_that_holds_both() -> None:
    world = settled().says(elected("db-1", 7))
    assert world.state == ("", 7, False)
    assert world.reason == "ElectionInvalid"
    assert "'db-0' before, now 'db-1'" in world.writer.verdict.message
    world.writes("db-1").writes("db-0")
    assert world.state == ("", 7, False)


def test_a_contradiction_cuts_the_writer_that_was_obeyed() -> None:
    world = settled().says(elected("db-1", 7))
    assert world.writer.terms.suspended == {"db-0"}
    assert world.acknowledged is None
    assert world.drains("db-0", 7).acknowledged == (7, False)


def test_a_contradicted_epoch_stays_so_whoever_it_names_again_until_it_rises() -> None:
    world = settled().says(elected("db-1", 7)).drains("db-0", 7)
    assert world.says(elected("db-0", 7)).writes("db-0").state == ("", 7, False)
    assert world.reason == "ElectionInvalid"
    world.says(elected("db-0", 8)).writes("db-0")
    assert world.state == ("db-0", 8, True)
    assert world.reason == ""


def test_a_floor_that_names_another_writer_for_the_epoch_is_a_contradiction() -> None:
    world = settled()
    world.floor = WriterFloor(target="db-1", uid="cm", epoch=7)
    world.pass_by(1)
    assert world.state == ("", 7, False)
    assert world.reason == "ElectionInvalid"


def test_a_pod_that_starts_with_a_floor_against_the_election_serves_nobody() -> None:
    world = World(floor=WriterFloor(target="db-0", uid="cm", epoch=8)).says(elected("db-1", 8))
    world.writes("db-0").writes("db-1")
    assert world.state == ("", 8, False)
    assert world.reason == "ElectionInvalid"
    assert world.acknowledged == (8, False)


def test_a_missing_election_leaves_the_last_writer_open() -> None:
    world = settled().says(Election("NOT_FOUND", message="there is no ConfigMap"))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "ElectionNotFound"


def test_a_malformed_election_leaves_the_last_writer_open() -> None:
    world = settled().says(Election("INVALID", "cm", message="epoch is 'x'"))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "ElectionInvalid"


def test_a_risen_epoch_that_names_an_unknown_target_deposes_the_last_writer() -> None:
    world = settled().says(elected("db-9", 8))
    assert world.state == ("db-9", 8, False)
    assert world.reason == "UnknownWriter"
    assert world.writer.terms.suspended == {"db-0"}
    assert world.drains("db-0", 7).acknowledged == (8, False)


def test_a_target_that_becomes_known_after_its_election_opens_once_sql_agrees() -> None:
    world = settled().says(elected("db-9", 8)).drains("db-0", 7)
    world.views["db-9"] = View("db-9", place=9)
    assert world.pass_by(1).state == ("db-9", 8, False)
    assert world.writes("db-9").state == ("db-9", 8, True)
    assert world.acknowledged == (8, False)


def test_the_floor_deposes_a_writer_although_it_names_no_target_known_here() -> None:
    world = settled()
    world.floor = WriterFloor(target="db-9", uid="cm", epoch=8)
    assert world.says(Election("UNREACHABLE", message="no route")).state == ("db-9", 8, False)


def test_an_empty_writer_holds() -> None:
    world = settled().says(elected("", 8))
    assert world.state == ("", 8, False)
    assert world.reason == "NoWriter"
    assert world.drains("db-0", 7).acknowledged == (8, False)


def test_a_raised_epoch_of_the_same_writer_interrupts_nothing() -> None:
    world = settled()
    serial = world.writer.term.serial if world.writer.term else 0
    world.says(elected("db-0", 8))
    assert world.state == ("db-0", 8, True)
    assert world.writer.term is not None
    assert world.writer.term.serial == serial
    assert world.acknowledged == (8, False)


def test_a_demoted_writer_is_held_until_it_writes_again() -> None:
    world = settled().reads("db-0")
    assert world.state == ("db-0", 7, False)
    assert world.reason == "WriterDisagrees"
    assert world.writes("db-0").state == ("db-0", 7, True)


def test_an_unreachable_api_server_leaves_the_floor_as_writer_after_a_restart() -> None:
    world = World(floor=WriterFloor(target="db-1", uid="cm", epoch=8))
    world.writes("db-1").says(Election("UNREACHABLE", message="no route"))
    assert world.state == ("db-1", 8, False)
    assert world.writes("db-1").state == ("db-1", 8, True)


def test_the_floor_counts_after_a_restart() -> None:
    world = World(floor=WriterFloor(target="db-1", uid="cm", epoch=8))
    world.says(elected("db-0", 7))
    assert world.state == ("db-1", 8, False)
    assert world.reason == "EpochFell"


def test_a_new_config_map_counts_once_the_one_it_names_writes_and_the_last_one_does_not() -> None:
    world = settled().says(elected("db-1", 1, uid="other"))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "WriterDisagrees"
    assert world.writes("db-1").state == ("db-0", 7, True)
    world.reads("db-0")
    assert world.state == ("db-1", 1, False)
    assert world.writer.term is not None
    assert world.writer.term.serial == 8
    assert world.drains("db-0", 8).writes("db-1").state == ("db-1", 1, True)
    assert world.acknowledged == (1, False)


def test_a_new_config_map_does_not_end_a_contradiction_while_two_targets_write() -> None:
    """Other pods may have seen only one side of it, and serve that one."""
    world = settled().writes("db-1").says(elected("db-1", 7)).drains("db-0", 7)
    world.says(elected("db-0", 1, uid="other")).writes("db-0").writes("db-1")
    assert world.state == ("", 7, False)
    assert world.reason == "WriterDisagrees"
    assert world.reads("db-1").writes("db-0").state == ("db-0", 1, True)


def test_a_new_config_map_that_names_the_last_writer_counts_without_a_cut() -> None:
    world = settled().says(elected("db-0", 1, uid="other")).writes("db-0")
    assert world.state == ("db-0", 1, True)
    assert not world.writer.terms.draining


def test_a_new_config_map_does_not_count_while_a_former_writer_is_left_and_not_asked() -> None:
    """Pods that have left it know that it writes: obeyed by some only, the two would part ways."""
    world = settled().says(elected("db-1", 8))
    world.views["db-0"] = world.views["db-0"].forget()
    world.writes("db-1").says(elected("db-1", 1, uid="other")).writes("db-1")
    assert world.state == ("db-1", 8, True)
    assert world.reason == "WriterDisagrees"
    world.drains("db-0", 8).reads("db-0").writes("db-1")
    assert world.state == ("db-1", 1, True)


def test_a_pod_that_starts_on_a_new_config_map_asks_the_last_writer_first() -> None:
    """A stale manifest, put back while the last writer lives: not asked yet is no denial."""
    world = World(floor=WriterFloor(target="db-1", uid="cm", epoch=8))
    world.says(elected("db-0", 1, uid="other")).writes("db-0")
    assert world.state == ("db-1", 8, False)
    assert world.writes("db-1").state == ("db-1", 8, True)


def test_a_new_config_map_without_a_writer_counts_once_the_last_writer_is_gone() -> None:
    world = settled().says(elected("", 1, uid="other"))
    assert world.state == ("db-0", 7, True)
    assert world.loses("db-0").state == ("", 1, False)


def test_a_writer_that_is_no_target_any_more_is_held() -> None:
    world = settled()
    del world.views["db-0"]
    world.pass_by(1)
    assert not world.writer.is_open
    assert world.reason == "UnknownWriter"


def test_an_election_that_is_configured_later_takes_over_the_writer_without_a_cut() -> None:
    world = World(elected=False).writes("db-0").reads("db-1")
    world.elected = True
    world.says(elected("db-0", 4))
    assert world.state == ("db-0", 4, True)
    assert not world.writer.terms.draining
