"""An engine that only remembers what it was told, for tests of the agent without the data plane."""

from __future__ import annotations

import json
import os
from typing import Any


class FakeEngine:
    """Implements `dbproxy.dataplane.Engine`; `refuse` and `busy` make the next calls fail."""

    def __init__(self, *, drains_at_once: bool = True) -> None:
        self.snapshots: list[dict[str, Any]] = []
        self.refuse = ""
        self.busy = ""
        self.connected = 0
        self.holds: dict[str, int] = {}
        self.peers: list[dict[str, Any]] = []
        self.drained = False
        self.closed = False
        self.age_ms = 0
        self._drains_at_once = drains_at_once
        self._events: list[dict[str, Any]] = []
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    @property
    def now(self) -> dict[str, Any]:
        """The snapshot in force."""
        return self.snapshots[-1]

    @property
    def writers(self) -> list[tuple[str, int, bool] | None]:
        """Each different writer of the snapshots, in order."""
        seen: list[tuple[str, int, bool] | None] = []
        for snapshot in self.snapshots:
            writer = snapshot["writer"]
            told = writer and (writer["target"], writer["epoch"], writer["open"])
            if not seen or seen[-1] != told:
                seen.append(told)
        return seen

    def emit(self, **event: Any) -> None:
        self._events.append(event)
        os.eventfd_write(self._fd, 1)

    def apply(self, snapshot: bytes) -> None:
        if self.refuse:
            raise ValueError(self.refuse)
        if self.busy:
            raise OSError(self.busy)
        before = self.snapshots[-1]["writer"] if self.snapshots else None
        document = json.loads(snapshot)
        self.snapshots.append(document)
        after = document["writer"]
        if self._drains_at_once and after != before:
            self._confirm(before or {}, after or {})

    def _confirm(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """As the engine does after each change of the writer or of its epoch."""
        left = before.get("target", "") if before.get("target") != after.get("target") else ""
        epoch = after.get("epoch", before.get("epoch", 0))
        if left or epoch != before.get("epoch"):
            self.emit(event="writer_drained", target=left, epoch=epoch, unconfirmed=False)

    def stats(self) -> bytes:
        samples = [
            {
                "labels": {"endpoint": "orders"},
                "buckets": [[0.1, 1], [1, 2]],
                "sum": 0.6,
                "count": 3,
            }
        ]
        metrics = [
            {
                "name": "clients",
                "type": "gauge",
                "help": "Clients.",
                "samples": [{"labels": {}, "value": self.connected}],
            },
            {
                "name": "borrow_seconds",
                "type": "histogram",
                "help": "Waits.",
                "samples": samples,
            },
        ]
        return json.dumps({"metrics": metrics}).encode()

    def meet(self, peers: bytes) -> None:
        self.peers.append(json.loads(peers))

    def events(self) -> bytes:
        os.eventfd_read(self._fd)
        events, self._events = self._events, []
        return json.dumps(events).encode()

    def events_fd(self) -> int:
        return self._fd

    def drain(self) -> None:
        self.drained = True

    def clients(self) -> int:
        return self.connected

    def held(self) -> bytes:
        return json.dumps(self.holds).encode()

    def alive(self) -> bytes:
        return json.dumps({"front": self.age_ms, "workers": [0, 0]}).encode()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._fd)
