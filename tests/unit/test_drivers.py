"""The harness of `make drivers`: what it makes of a program's words, and when a row is good."""

import sys
from collections import Counter

from tests.drivers.catalogue import MYSQL_DRIVERS, POSTGRESQL_DRIVERS, Driver
from tests.drivers.hello import CONNECT_WITH_DB, QUERY_ATTRIBUTES, HelloTap
from tests.drivers.runs import Outcome, faults, run_program
from tests.drivers.table import Row, tables
from tests.drivers.toolchains import TOOLCHAINS

DRIVER = Driver("some", "python", "some.py", pins=frozenset({"held_cursor"}))
GOOD = Outcome("some 1.0", ["0 big=1", "1 big=2"])


def program(text: str) -> Outcome:
    return run_program([sys.executable, "-c", text], {}, lambda outcome: None)


def test_a_driver_is_shared_when_the_same_came_of_it_and_nobody_pinned() -> None:
    again = Outcome("some 1.0", ["1 big=2", "0 big=1"])

    assert faults(DRIVER, GOOD, again) == []


def test_a_pin_that_the_docs_tell_of_is_no_fault_once_it_is_gone() -> None:
    ended = Outcome(results=GOOD.results, pins=Counter(held_cursor=8))
    still = Outcome(
        results=GOOD.results, pins=Counter(held_cursor=8), pinned=Counter(held_cursor=1)
    )

    assert faults(DRIVER, GOOD, ended) == []
    assert faults(DRIVER, GOOD, still) == ["pinned at the end"]


def test_another_pin_is_a_fault() -> None:
    pinned = Outcome(results=GOOD.results, pins=Counter(named_statement=3))

    assert faults(DRIVER, GOOD, pinned) == ["pins: named_statement"]


def test_other_results_are_a_fault() -> None:
    assert faults(DRIVER, GOOD, Outcome(results=["0 big=1"])) == ["other results"]


def test_a_program_that_does_nothing_directly_proves_nothing() -> None:
    assert faults(DRIVER, Outcome(), Outcome()) == ["fails directly"]


def test_what_a_program_prints_is_told_apart() -> None:
    outcome = program(
        "print('driver some 1.0'); print('0 big=1'); print('failed 1 no connection');"
        " print('done', flush=True); input()"
    )

    assert (outcome.driver, outcome.results) == ("some 1.0", ["0 big=1"])
    # It waits for its input to end, and input() takes that for an error.
    assert outcome.errors[0] == "1 no connection"
    assert "EOFError" in outcome.errors[1]


def test_connections_are_looked_at_while_the_program_still_has_them() -> None:
    seen: list[str] = []
    text = "import sys; print('0 n=1'); print('done', flush=True); sys.stdin.read(); print('1 n=2')"
    outcome = run_program([sys.executable, "-c", text], {}, lambda now: seen.extend(now.results))

    assert (seen, outcome.results) == (["0 n=1"], ["0 n=1", "1 n=2"])


def test_a_program_that_ends_early_is_an_error() -> None:
    outcome = program("import sys; sys.exit('no such driver')")

    assert outcome.errors == ["ended with 1: no such driver"]


def test_the_table_has_a_line_for_each_driver() -> None:
    table = tables([Row(DRIVER, GOOD, GOOD)])

    assert table.splitlines()[2].startswith("| some 1.0 | UTC ")
    assert "| shared " in table


def test_each_driver_has_a_toolchain_that_knows_its_program() -> None:
    for driver in (*POSTGRESQL_DRIVERS, *MYSQL_DRIVERS):
        sources = TOOLCHAINS[driver.language].sources
        name = driver.program.split()[0]
        assert any(path.stem == name or path.name == name for path in sources.rglob("*")), driver


def packet(number: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "little") + bytes([number]) + content


def log_in(flags: int) -> bytes:
    head = flags.to_bytes(4, "little") + bytes(4) + b"\x2d" + bytes(23)
    return packet(1, head + b"app\0" + b"\x02ab" + b"app\0" + b"some_plugin\0")


def test_what_a_driver_says_before_its_work_is_its_hello() -> None:
    tap = HelloTap(1)
    flags = CONNECT_WITH_DB | QUERY_ATTRIBUTES
    said = log_in(flags) + packet(3, b"proof") + packet(0, b"\x03\0\x01SET  a = 1")
    said += packet(0, b"\x0e") + packet(0, b"\x16SELECT ? AS asked")
    tap.said += [bytearray(log_in(flags)), bytearray(said)]
    tap.server_close()

    assert tap.hello is not None
    assert tap.hello.plugin == "some_plugin"
    assert tap.hello.collation == 45
    assert tap.hello.capabilities == "QUERY_ATTRIBUTES"
    assert tap.hello.commands == ("SET a = 1", "COM_PING")


def test_who_never_came_to_its_work_has_said_no_hello() -> None:
    tap = HelloTap(1)
    tap.said.append(bytearray(log_in(CONNECT_WITH_DB) + packet(0, b"\x0e")))
    tap.server_close()

    assert tap.hello is None
