"""Who the writer is: each rule of product.md, by facts in and the state of the machine out."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.agent_made import answered, elected, failed

from dbproxy.decide.terms import DRAIN_LIMIT
from dbproxy.decide.writer import Ballot, Fencing, Writer
from dbproxy.facts import Drained, Election, Probe
from dbproxy.probe.views import View
from dbproxy.settings import WriterFloor


@dataclass
class World:
    """A machine with its facts; time passes by one second with each of them."""

    elected: bool = True
    floor: WriterFloor | None = None
    election: Election | None = None
    fencing: Fencing = field(default_factory=lambda: Fencing(30.0))
    read_at: float = float("inf")
    now: float = 100.0
    writer: Writer = field(default_factory=Writer)
    views: dict[str, View] = field(
        default_factory=lambda: {name: View(name) for name in ("db-0", "db-1")}
    )

    def says(self, election: Election) -> World:
        self.election = election
        return self.pass_by(1)

    def sees(self, *probes: Probe) -> World:
        for probe in probes:
            self.views[probe.target] = self.views[probe.target].fold(probe)
        return self.pass_by(1)

    def reads(self, target: str) -> World:
        return self.sees(answered(target, self.now, writes=False))

    def writes(self, target: str, timeline: int = 1) -> World:
        return self.sees(answered(target, self.now, writes=True, timeline=timeline))

    def loses(self, target: str, *, decisive: bool = True) -> World:
        return self.sees(failed(target, self.now, decisive=decisive))

    def drains(self, target: str, epoch: int, *, unconfirmed: bool = False) -> World:
        self.writer.terms.drained(Drained(target, epoch, unconfirmed))
        return self.pass_by(1)

    def pass_by(self, seconds: float) -> World:
        self.now += seconds
        ballot = Ballot(self.election, self.floor, self.read_at) if self.elected else None
        self.writer.observe(ballot, self.fencing, self.views, self.now)
        return self

    def moves(self, target: str) -> World:
        """The target's name stands for another server from now on."""
        self.views[target] = View(target, place=self.views[target].place + 10)
        return self.pass_by(1)

    @property
    def state(self) -> tuple[str, int, bool]:
        term = self.writer.term
        assert term is not None
        return term.target, term.epoch, self.writer.is_open

    @property
    def reason(self) -> str:
        return self.writer.verdict.reason

    @property
    def acknowledged(self) -> tuple[int, bool] | None:
        known = self.writer.terms.acknowledged
        return None if known is None else (known.epoch, known.unconfirmed)


def settled(target: str = "db-0", epoch: int = 7) -> World:
    """A world in which the writer is known and open."""
    other = "db-1" if target == "db-0" else "db-0"
    return World().says(elected(target, epoch)).writes(target).reads(other)


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


def test_a_fallen_epoch_leaves_the_last_writer_open_while_sql_confirms_it() -> None:
    world = settled().says(elected("db-1", 6))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "EpochFell"
    assert world.loses("db-0").state == ("db-0", 7, False)


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


def test_one_missed_deadline_holds_nothing_but_three_in_a_row_do() -> None:
    world = settled().loses("db-0", decisive=False).loses("db-0", decisive=False)
    assert world.state == ("db-0", 7, True)
    assert world.loses("db-0", decisive=False).state == ("db-0", 7, False)


def test_a_monitor_that_may_not_log_in_does_not_close_an_open_writer() -> None:
    world = settled()
    world.sees(failed("db-0", world.now, reason="AUTH_FAILURE"))
    assert world.state == ("db-0", 7, True)


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


def test_the_floor_of_other_pods_moves_a_pod_that_missed_the_election() -> None:
    world = settled()
    world.floor = WriterFloor(target="db-1", uid="cm", epoch=8)
    world.says(Election("UNREACHABLE", message="no route"))
    assert world.state == ("db-1", 8, False)


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


def test_a_new_config_map_that_names_the_last_writer_counts_without_a_cut() -> None:
    world = settled().says(elected("db-0", 1, uid="other")).writes("db-0")
    assert world.state == ("db-0", 1, True)
    assert not world.writer.terms.draining


def test_a_pod_that_starts_on_a_new_config_map_asks_the_last_writer_first() -> None:
    """A stale manifest, put back while the last writer lives: not asked yet is no denial."""
    world = World(floor=WriterFloor(target="db-1", uid="cm", epoch=8))
    world.says(elected("db-0", 1, uid="other")).writes("db-0")
    assert world.state == ("db-1", 8, False)
    assert world.writes("db-1").state == ("db-1", 8, True)


def test_a_last_writer_that_refuses_the_monitor_denies_nothing() -> None:
    world = World(floor=WriterFloor(target="db-1", uid="cm", epoch=8))
    world.says(elected("db-0", 1, uid="other")).writes("db-0")
    world.sees(failed("db-1", world.now, reason="AUTH_FAILURE")).writes("db-0")
    assert world.state == ("db-1", 8, False)


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


def test_an_election_that_is_configured_later_takes_over_the_writer_without_a_cut() -> None:
    world = World(elected=False).writes("db-0").reads("db-1")
    world.elected = True
    world.says(elected("db-0", 4))
    assert world.state == ("db-0", 4, True)
    assert not world.writer.terms.draining


def test_a_writer_that_moved_is_left_and_opens_anew_once_sql_confirms_it_there() -> None:
    world = settled()
    assert world.moves("db-0").state == ("db-0", 7, False)
    assert world.writer.term is not None
    assert world.writer.term.serial == 8
    assert world.writer.terms.suspended == frozenset()
    assert world.acknowledged is None
    assert world.writes("db-0").state == ("db-0", 7, True)
    assert world.drains("db-0", 8).acknowledged == (7, False)


def test_without_election_a_writer_that_moved_opens_anew_once_sql_confirms_it_there() -> None:
    world = World(elected=False).writes("db-0").reads("db-1").moves("db-0")
    assert world.state == ("db-0", 0, False)
    assert world.writes("db-0").state == ("db-0", 0, True)
    assert world.acknowledged is None
    assert world.drains("db-0", 2).acknowledged == (0, False)


def test_a_replica_that_moved_changes_nothing_for_the_writer() -> None:
    assert settled().moves("db-1").state == ("db-0", 7, True)


def refused(world: World, target: str) -> World:
    """The monitor is refused by that target."""
    return world.sees(failed(target, world.now, reason="AUTH_FAILURE"))


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


def test_a_place_that_the_engine_could_not_make_sure_to_have_left_is_said_to_be_so() -> None:
    """A moved writer without addresses is none to the engine: its word has the number of before."""
    world = settled().moves("db-0").drains("db-0", 7, unconfirmed=True)
    assert world.acknowledged is None
    assert world.drains("", 8).acknowledged == (7, True)


def test_nor_is_a_writer_forgotten_that_was_fenced_before_its_term_ended() -> None:
    world = settled().drains("db-0", 7, unconfirmed=True).says(elected("db-1", 8))
    assert world.drains("", 8).acknowledged == (8, True)
    assert world.says(elected("db-0", 9)).drains("db-1", 9).acknowledged == (9, False)
