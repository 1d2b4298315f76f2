"""One JSON object per line, with a stable event name."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from dbproxy import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    buffer = io.StringIO()
    logs.configure(stream=buffer)
    yield buffer
    logging.captureWarnings(capture=False)
    root.handlers = before
    root.setLevel(level)


def test_an_event_has_its_fields(stream: io.StringIO) -> None:
    logs.Log("dbproxy.x").warning("writer", target="db-0", epoch=7)
    line = json.loads(stream.getvalue())
    del line["ts"]
    assert line == {"level": "warning", "event": "writer", "target": "db-0", "epoch": 7}


def test_what_libraries_log_is_json_too(stream: io.StringIO) -> None:
    logging.getLogger("aiohttp").error("broken %s", "pipe")
    line = json.loads(stream.getvalue())
    assert line["event"] == "library_message"
    assert line["message"] == "broken pipe"
