"""Files of a mounted directory as they change; the watchers' source outside the API server.

Polled by time of change: inotify misses what network and overlay mounts do, and a projected volume
changes at most once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from dbproxy.settings import resolve_directory

POLL = 1.0


def _stamp(directory: Path, names: Iterable[str]) -> tuple[object, ...]:
    stamps: list[object] = []
    for name in names:
        try:
            status = (directory / name).stat()
        except OSError:
            stamps.append(None)
        else:
            stamps.append((status.st_mtime_ns, status.st_ino, status.st_size))
    return tuple(stamps)


def read_files(directory: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Those of the files that can be read now, all of one generation of a projected volume."""
    files = {}
    base = resolve_directory(directory)
    for name in names:
        try:
            files[name] = (base / name).read_bytes()
        except OSError:
            continue
    return files


async def follow(
    directory: Path, names: tuple[str, ...], every: float = POLL
) -> AsyncIterator[dict[str, bytes]]:
    """The files now, and again whenever one of them changes."""
    last: tuple[object, ...] | None = None
    while True:
        stamp = _stamp(directory, names)
        if stamp != last:
            last = stamp
            yield read_files(directory, names)
        await asyncio.sleep(every)
