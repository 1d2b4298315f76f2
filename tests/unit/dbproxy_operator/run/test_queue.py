"""Keys are coalesced, never run twice at a time, and rest after a failure."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from dbproxy_operator.kube import ConflictError
from dbproxy_operator.observe.world import Key
from dbproxy_operator.run import worker
from dbproxy_operator.run.health import Health
from dbproxy_operator.run.metrics import Metrics
from dbproxy_operator.run.queue import FIRST_RETRY, LONGEST_RETRY, SPACING, Queue, Schedule

A, B = Key("shop", "a"), Key("shop", "b")


def test_a_burst_is_one_run() -> None:
    schedule = Schedule()
    for _ in range(100):
        schedule.ask(A, 1.0)
    assert schedule.take(1.0) == A
    assert schedule.take(1.0) is None


def test_a_wake_during_the_run_is_another_run_after_it() -> None:
    schedule = Schedule()
    schedule.ask(A, 1.0)
    schedule.take(1.0)
    schedule.ask(A, 1.1)
    assert schedule.take(9.0) is None
    schedule.succeeded(A, 2.0, None)
    assert schedule.next_due() == 2.0 + SPACING
    assert schedule.take(2.0 + SPACING) == A


def test_a_failing_key_rests_twice_as_long_each_time_whatever_wakes_it() -> None:
    schedule, now, rests = Schedule(), 0.0, []
    schedule.ask(A, now)
    for _ in range(12):
        assert schedule.take(now) == A
        rests.append(schedule.failed(A, now))
        schedule.ask(A, now)
        assert schedule.next_due() == now + rests[-1]
        now += rests[-1]
    assert rests[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert rests[-1] == LONGEST_RETRY


def test_success_ends_the_rest() -> None:
    schedule = Schedule()
    schedule.ask(A, 0.0)
    schedule.take(0.0)
    schedule.failed(A, 0.0)
    schedule.take(FIRST_RETRY)
    schedule.succeeded(A, 1.0, None)
    schedule.ask(A, 5.0)
    schedule.take(5.0)
    assert schedule.failed(A, 5.0) == FIRST_RETRY


def test_a_failing_key_holds_up_no_other() -> None:
    schedule = Schedule()
    schedule.ask(A, 0.0)
    schedule.take(0.0)
    schedule.failed(A, 0.0)
    schedule.ask(B, 0.1)
    assert schedule.take(0.1) == B


def test_a_key_comes_again_when_it_asked_for_it() -> None:
    schedule = Schedule()
    schedule.ask(A, 0.0)
    schedule.take(0.0)
    schedule.succeeded(A, 1.0, 60.0)
    assert schedule.next_due() == 61.0
    schedule.ask(A, 5.0)
    assert schedule.take(5.0) == A


def test_the_age_is_that_of_the_oldest_key_that_is_due() -> None:
    schedule = Schedule()
    assert schedule.age(5.0) == 0.0
    schedule.ask(A, 2.0)
    schedule.ask(B, 9.0)
    assert schedule.age(5.0) == 3.0


STEPS = st.lists(st.tuples(st.sampled_from(["ask", "take", "done", "fail"]), st.booleans()))


@given(STEPS)
def test_no_wake_is_lost_and_no_key_runs_twice(steps: list[tuple[str, bool]]) -> None:
    schedule, now, running, owed = Schedule(), 0.0, set[Key](), set[Key]()
    for step, first in steps:
        key = A if first else B
        now += 0.1
        if step == "ask":
            schedule.ask(key, now)
            owed.add(key)
        elif step == "take":
            taken = schedule.take(now)
            if taken is not None:
                assert taken not in running
                running.add(taken)
                owed.discard(taken)
        elif key in running:
            running.discard(key)
            if step == "fail":
                schedule.failed(key, now)
                owed.add(key)
            else:
                schedule.succeeded(key, now, None)
    for key in running:
        schedule.succeeded(key, now, None)
    late = now + 10 * LONGEST_RETRY
    assert {taken for taken in (schedule.take(late), schedule.take(late)) if taken} == owed


async def test_a_waiting_worker_gets_the_key_that_comes() -> None:
    queue = Queue(asyncio.get_running_loop().time)
    waiting = asyncio.create_task(queue.next())
    await asyncio.sleep(0)
    queue.wake(A)
    async with asyncio.timeout(5):
        assert await waiting == A
    assert queue.depth == 1
    queue.succeeded(A, None)
    assert queue.depth == 0


def test_the_resync_never_asks_for_more_than_one_proxy_in_its_pace() -> None:
    assert worker.pace(10) == worker.RESYNC_EVERY / 10
    assert worker.pace(500) == worker.PACE
    assert worker.pace(0) == worker.RESYNC_EVERY


async def test_a_conflict_is_no_failure_and_comes_again_after_the_usual_spacing() -> None:
    now, ended = 100.0, asyncio.Event()
    queue = Queue(lambda: now)
    queue.wake(A)

    async def conflict(_key: Key) -> None:
        ended.set()
        raise ConflictError(409, "moved")

    metrics = Metrics(lambda: 0.0, lambda: 0)
    health = Health(lambda: now)
    for seconds in (0.0, *[SPACING] * 5):
        now += seconds
        ended.clear()
        working = asyncio.create_task(worker.work(queue, conflict, metrics, health))
        await asyncio.wait_for(ended.wait(), 5)
        working.cancel()
