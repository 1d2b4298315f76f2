"""The election ConfigMap: who the writer is, by whose word; from the API server or a directory.

The watch is what makes a flip fast; a read every 5 s, and at once when SQL doubts the writer, is
what makes it sure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbproxy.errors import KubeError
from dbproxy.facts import Election
from dbproxy.logs import Log
from dbproxy.watch.files import follow

if TYPE_CHECKING:
    from dbproxy.kube import Kube

REREAD = 5.0
# However often SQL doubts the writer.
LEAST_GAP = 0.2
FILE_POLL = 0.02
WRITER, EPOCH = "writer", "epoch"
FILE_UID = "file"
# Whatever has so many digits fits the status's int64.
MAX_DIGITS = 18

log = Log(__name__)


def parse_election(uid: str, data: Mapping[str, str]) -> Election:
    """What the keys of an election say; never raises."""
    writer, epoch = data.get(WRITER), data.get(EPOCH)
    missing = [key for key, value in ((WRITER, writer), (EPOCH, epoch)) if value is None]
    if writer is None or epoch is None:
        return Election("INVALID", uid, message=f"the ConfigMap lacks {' and '.join(missing)}")
    text = epoch.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        told = f"epoch is {epoch[:40]!r}, not a whole number from 0 on"
        return Election("INVALID", uid, message=told)
    return Election("FOUND", uid, writer.strip(), int(text))


class ElectionWatch:
    """Emits an `Election` whenever what is known of it changes."""

    def __init__(self, on_election: Callable[[Election], None]) -> None:
        self._on_election = on_election
        self._last: Election | None = None
        self._version = (0, "")
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """SQL doubts the writer: read again at once."""
        self._doubted.set()

    async def follow_files(self, directory: Path) -> None:
        async for files in follow(directory, (WRITER, EPOCH), FILE_POLL):
            if not files:
                self._emit(Election("NOT_FOUND", message=f"{directory} has no election"))
                continue
            data = {name: text.decode(errors="replace") for name, text in files.items()}
            self._emit(parse_election(FILE_UID, data))

    async def follow_api(self, kube: Kube, namespace: str, name: str) -> None:
        """Watch and read again, side by side, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(kube, namespace, name))
            tasks.create_task(self._reread(kube, namespace, name))

    async def _watch(self, kube: Kube, namespace: str, name: str) -> None:
        from dbproxy.kube import Unreadable

        async for seen in kube.watch("configmaps", namespace, name):
            if isinstance(seen, Unreadable):
                self._unreadable(seen.message)
            else:
                self._learn(seen.value, name)

    async def _reread(self, kube: Kube, namespace: str, name: str) -> None:
        while True:
            self._doubted.clear()
            try:
                async with asyncio.timeout(REREAD):
                    await self._doubted.wait()
            except TimeoutError:
                pass
            try:
                self._learn(await kube.read("configmaps", namespace, name), name)
            except KubeError as error:
                self._unreadable(str(error))
            await asyncio.sleep(LEAST_GAP)

    def _unreadable(self, message: str) -> None:
        self._emit(Election("UNREACHABLE", message=message))

    def _learn(self, value: dict[str, Any] | None, name: str) -> None:
        if value is None:
            self._emit(Election("NOT_FOUND", message=f"there is no ConfigMap {name}"))
            return
        meta = value["metadata"]
        version = (int(meta["resourceVersion"]), str(meta["uid"]))
        # The read and the watch race: of one object, the older answer is not news.
        if version[1] == self._version[1] and version[0] < self._version[0]:
            return
        self._version = version
        self._emit(parse_election(version[1], value.get("data") or {}))

    def _emit(self, election: Election) -> None:
        if election == self._last:
            return
        self._last = election
        log.info("election_seen", state=election.state, writer=election.writer,
                 epoch=election.epoch, uid=election.uid, message=election.message)  # fmt: skip
        self._on_election(election)
