"""The agent's background tasks: none may end by an error without the whole agent knowing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from dbproxy.logs import Log

log = Log(__name__)


class Tasks:
    """Starts tasks, and tells when one of them crashed, which is by definition a bug."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._crashed = asyncio.Event()
        self._crash: BaseException | None = None

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def crashed(self) -> BaseException:
        """Wait for the first crash."""
        await self._crashed.wait()
        if self._crash is None:
            raise AssertionError("a crash without its error")
        return self._crash

    async def close(self) -> None:
        """Cancel what still runs, and wait until it has ended."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not self._crashed.is_set():
            self._crash = error
            self._crashed.set()
