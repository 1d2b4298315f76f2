"""Waiting for a condition with a deadline, in place of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

DEADLINE = 30.0


async def until(what: Callable[[], object], message: str = "") -> None:
    """Return once the condition holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE
    while not what():
        if loop.time() > end:
            pytest.fail(f"not within {DEADLINE:g} s: {message or what}")
        await asyncio.sleep(0.002)
