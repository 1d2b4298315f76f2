"""The election ConfigMap: who the writer is, by whose word; from the API server or a directory.

The watch is what makes a flip fast, and its bookmarks say about every minute that it lives; a read
every so often besides, and at once when SQL doubts the writer, is what makes it sure.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbproxy.errors import KubeError
from dbproxy.facts import Election
from dbproxy.logs import Log
from dbproxy.settings import TargetGroup
from dbproxy.watch.files import follow

if TYPE_CHECKING:
    from dbproxy.kube import Kube

# A thousand pods that read every 45 s are 22 reads a second for the API server.
REREAD = 45.0
# However often SQL doubts the writer.
LEAST_GAP = 0.2
FILE_POLL = 0.02
WRITER, EPOCH = "writer", "epoch"
FILE_UID = "file"
# Exact in every number format on the way of an epoch; the operator has the same limit.
MAX_DIGITS = 15
# Of a target.
LONGEST_NAME = 63

log = Log(__name__)


def parse_election(uid: str, data: Mapping[str, str]) -> Election:
    """What the keys of an election say; never raises."""
    writer, epoch = data.get(WRITER), data.get(EPOCH)
    missing = [key for key, value in ((WRITER, writer), (EPOCH, epoch)) if value is None]
    if writer is None or epoch is None:
        return Election("INVALID", uid, message=f"the ConfigMap lacks {' and '.join(missing)}")
    text = epoch.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        told = f"epoch is {epoch[:40]!r}, not a whole number from 0 to {'9' * MAX_DIGITS}"
        return Election("INVALID", uid, message=told)
    if len(writer.strip()) > LONGEST_NAME:
        return Election("INVALID", uid, message=f"writer is longer than {LONGEST_NAME} characters")
    return Election("FOUND", uid, writer.strip(), int(text))


def reread_every(group: TargetGroup | None) -> float:
    """How often the election is read besides its watch: strict fencing needs proofs in its time."""
    election = group.writer_election if group is not None else None
    if election is None or not election.strict_fencing:
        return REREAD
    return min(REREAD, election.confirmation_timeout / 3)


class ElectionWatch:
    """Emits an `Election` whenever what is known of it changes.

    `read_at` is when it was last known to be as it was told (monotonic), and `on_read` says that
    this moved.
    """

    def __init__(
        self,
        on_election: Callable[[Election], None],
        on_read: Callable[[], None],
    ) -> None:
        self.read_at = float("-inf")
        self.reread = REREAD
        self._on_election = on_election
        self._on_read = on_read
        self._last: Election | None = None
        # Of the newest object seen, and how often anything was learnt.
        self._version = 0
        self.learnt = 0
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """SQL doubts the writer: read again at once."""
        self._doubted.set()

    async def follow_files(self, directory: Path) -> None:
        # A local directory can always be read.
        self.read_at = float("inf")
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
        from dbproxy.kube import Seen, Unreadable

        async for seen in kube.watch("configmaps", namespace, name):
            if isinstance(seen, Unreadable):
                self._unreadable(seen.message)
                continue
            if isinstance(seen, Seen):
                self.learn(seen.value, name)
            self._read(asyncio.get_running_loop().time())

    async def _reread(self, kube: Kube, namespace: str, name: str) -> None:
        while True:
            self._doubted.clear()
            try:
                async with asyncio.timeout(self.reread * random.uniform(0.7, 1.3)):
                    await self._doubted.wait()
            except TimeoutError:
                pass
            begun, begun_at = self.learnt, asyncio.get_running_loop().time()
            try:
                value = await kube.read("configmaps", namespace, name)
            except KubeError as error:
                self._unreadable(str(error))
            else:
                self.learn(value, name, begun)
                self._read(begun_at)
            await asyncio.sleep(LEAST_GAP)

    def _unreadable(self, message: str) -> None:
        self._emit(Election("UNREACHABLE", message=message))

    def _read(self, at: float) -> None:
        self.read_at = max(self.read_at, at)
        self._on_read()

    def learn(self, value: dict[str, Any] | None, name: str, begun: int | None = None) -> None:
        """What the watch found, or a read that began when so much was learnt.

        The two race, so an older object is no news; but a read asks the whole of the API server:
        if nothing was learnt meanwhile, it is the truth, whatever its version.
        """
        late = begun is not None and begun != self.learnt
        if value is None:
            if not late:
                self.learnt += 1
                self._emit(Election("NOT_FOUND", message=f"there is no ConfigMap {name}"))
            return
        meta = value["metadata"]
        version = int(meta["resourceVersion"])
        if version < self._version and (late or begun is None):
            return
        self._version = version
        self.learnt += 1
        self._emit(parse_election(str(meta["uid"]), value.get("data") or {}))

    def _emit(self, election: Election) -> None:
        if election == self._last:
            return
        self._last = election
        log.info("election_seen", state=election.state, writer=election.writer,
                 epoch=election.epoch, uid=election.uid, message=election.message)  # fmt: skip
        self._on_election(election)
