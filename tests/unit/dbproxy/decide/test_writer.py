"""Who the writer is: each rule of product.md, by facts in and the state of the machine out."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.agent_made import answered, elected, failed

from dbproxy.decide.writer import DRAIN_LIMIT, Writer
from dbproxy.facts import Drained, Election, Probe
from dbproxy.probe.views import View
from dbproxy.settings import WriterFloor


@dataclass
class World:
    """A machine with its facts; time passes by one second with each of them."""

    elected: bool = True
    floor: WriterFloor | None = None
    election: Election | None = None
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
        self.writer.drained(Drained(target, epoch, unconfirmed))
        return self.pass_by(1)

    def pass_by(self, seconds: float) -> World:
        self.now += seconds
        self.writer.observe(self.election, self.floor, self.views, self.now, elected=self.elected)
        return self

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
        known = self.writer.acknowledged
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
    assert set(world.writer.draining) == {"db-0"}
    assert world.acknowledged == (7, False)


def test_an_epoch_is_acknowledged_when_the_old_writer_is_drained() -> None:
    world = settled().says(elected("db-1", 8)).drains("db-0", 8)
    assert world.acknowledged == (8, False)
    assert not world.writer.draining


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
    assert set(world.writer.draining) == {"db-1"}
    assert world.drains("db-1", 9).acknowledged == (9, False)


def test_a_fallen_epoch_leaves_the_last_writer_open_while_sql_confirms_it() -> None:
    world = settled().says(elected("db-1", 6))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "EpochFell"
    assert world.loses("db-0").state == ("db-0", 7, False)


def test_another_writer_under_the_same_epoch_is_refused() -> None:
    world = settled().says(elected("db-1", 7))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "ElectionInvalid"


def test_a_missing_election_leaves_the_last_writer_open() -> None:
    world = settled().says(Election("NOT_FOUND", message="there is no ConfigMap"))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "ElectionNotFound"


def test_a_malformed_election_leaves_the_last_writer_open() -> None:
    world = settled().says(Election("INVALID", "cm", message="epoch is 'x'"))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "ElectionInvalid"


def test_an_unknown_writer_leaves_the_last_one_open() -> None:
    world = settled().says(elected("db-9", 8))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "UnknownWriter"


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


def test_a_new_config_map_counts_once_sql_agrees_with_it() -> None:
    world = settled().says(elected("db-1", 1, uid="other"))
    assert world.state == ("db-0", 7, True)
    assert world.reason == "WriterDisagrees"
    world.writes("db-1")
    assert world.state == ("db-1", 1, False)
    assert world.writer.term is not None
    assert world.writer.term.serial == 8
    assert world.drains("db-0", 8).writes("db-1").state == ("db-1", 1, True)
    assert world.acknowledged == (1, False)


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
    assert not world.writer.draining
