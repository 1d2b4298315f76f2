"""What is kept of objects, and that no version is which the watch may have overtaken."""

import asyncio
from typing import Any

import pytest
from tests.resources import Object

from dbproxy_operator.kube.watch import Changed, Listed, Listing
from dbproxy_operator.observe import names
from dbproxy_operator.observe.recall import KEPT, WATCHED_WHOLE, Recall
from dbproxy_operator.run.informer import KINDS, Informer
from dbproxy_operator.run.users import Users

APP = ("Secret", "shop", "app")


def secret(version: str) -> Object:
    metadata = {"name": "app", "namespace": "shop", "resourceVersion": version}
    return {"kind": "Secret", "metadata": metadata}


class Reading:
    """Passes that read the Secret, an API server that may take its time, and an informer."""

    def __init__(self) -> None:
        self.now, self.version, self.calls = 0.0, "1", 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.recall = Recall(lambda: self.now)
        self.informer = Informer("Secret", Users(), self.recall, lambda _kind, _key: None)

    async def get(self) -> Object | None:
        self.calls += 1
        found = secret(self.version) if self.version else None
        await self.answers.wait()
        return found

    async def read(self) -> str:
        found: Any = await self.recall.read(APP, self.get)
        return str(found["metadata"]["resourceVersion"]) if found else ""

    def tell(self, *changes: Changed | Listing | Listed) -> None:
        for change in changes:
            self.informer.learn(change)


def changed(version: str | None) -> Changed:
    return Changed("shop", "app", version)


@pytest.fixture
def reading() -> Reading:
    return Reading()


async def test_it_is_read_once_while_nothing_changes(reading: Reading) -> None:
    assert [await reading.read(), await reading.read()] == ["1", "1"]
    reading.tell(changed("1"))
    assert await reading.read() == "1"
    assert reading.calls == 1


@pytest.mark.parametrize("told", ["2", None])
async def test_it_is_read_again_once_the_watch_tells_of_another_version(
    reading: Reading, told: str | None
) -> None:
    await reading.read()
    reading.tell(changed(told))
    reading.version = told or ""
    assert await reading.read() == (told or "")


async def test_it_is_read_again_after_a_while_whatever_the_watch_tells(reading: Reading) -> None:
    await reading.read()
    reading.now = KEPT
    reading.version = "2"
    assert await reading.read() == "2"


async def test_what_was_written_counts_as_read(reading: Reading) -> None:
    await reading.recall.through(APP, reading.get())
    assert await reading.read() == "1"
    assert reading.calls == 1


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ([changed("1")], True),
        ([changed("2")], False),
        ([changed("1"), changed("2")], False),
        ([changed(None)], False),
        ([Listing()], False),
        ([Listing(), changed("1"), Listed()], False),
    ],
)
async def test_what_is_on_its_way_is_kept_only_if_nothing_newer_was_told_meanwhile(
    reading: Reading, told: list[Changed | Listing | Listed], kept: bool
) -> None:
    reading.answers.clear()
    slow = asyncio.create_task(reading.read())
    await asyncio.sleep(0)
    reading.tell(*told)
    reading.answers.set()
    assert await slow == "1"
    reading.version = "2"
    assert await reading.read() == ("1" if kept else "2")


async def test_a_watch_that_was_cut_begins_with_nothing_kept(reading: Reading) -> None:
    await reading.read()
    reading.tell(Listing())
    reading.version = "2"
    assert await reading.read() == "2"


async def test_one_that_went_between_the_cut_and_the_list_is_not_kept(reading: Reading) -> None:
    reading.tell(Listing())
    await reading.read()
    reading.tell(Listed())
    reading.version = ""
    assert await reading.read() == ""


async def test_one_that_is_listed_stays_kept(reading: Reading) -> None:
    reading.tell(Listing())
    await reading.read()
    reading.tell(changed("1"), Listed())
    await reading.read()
    assert reading.calls == 1


async def test_a_call_that_fails_leaves_nothing_kept(reading: Reading) -> None:
    async def fails() -> Object:
        raise ConnectionError

    await reading.read()
    with pytest.raises(ConnectionError):
        await reading.recall.through(APP, fails())
    await reading.read()
    assert reading.calls == 2


async def test_what_is_too_old_is_not_even_held(reading: Reading) -> None:
    await reading.read()
    reading.now = KEPT
    other = ("Secret", "shop", "other")
    await reading.recall.read(other, reading.get)
    assert set(reading.recall._kept) == {other}


def test_whatever_may_be_kept_is_watched() -> None:
    kinds = {kind for kind, _ in names.outputs("orders")} | {"Secret"}
    assert kinds <= KINDS.keys()
    assert {kind for kind in kinds if "labelSelector" not in KINDS[kind]} == WATCHED_WHOLE
