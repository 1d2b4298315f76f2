"""What a build is made from, as a short hash: it is built again only when that changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

LEFT_OUT = {"target", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
BUILT = {".so", ".pyc"}


def files(sources: Iterable[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_file():
            yield source
            continue
        for path in sorted(source.rglob("*")):
            if path.is_file() and path.suffix not in BUILT and not LEFT_OUT & set(path.parts):
                yield path


def digest(sources: Iterable[Path], *words: str) -> str:
    known = hashlib.sha256("\0".join(words).encode())
    for path in files(sources):
        known.update(f"\0{path.name}\0".encode())
        known.update(hashlib.sha256(path.read_bytes()).digest())
    return known.hexdigest()[:12]
