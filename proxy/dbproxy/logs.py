"""JSON lines on stdout, each with a stable `event` name; used by every room that has something to
tell.

Never a password or a statement: callers pass named fields, and no room passes either.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

FIELDS = "dbproxy_fields"


class JsonFormatter(logging.Formatter):
    """One JSON object per record; what libraries log becomes the event `library_message`."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "ts": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
        }
        fields: dict[str, object] | None = getattr(record, FIELDS, None)
        if fields is None:
            line |= {"event": "library_message", "logger": record.name}
            line["message"] = record.getMessage()
        else:
            line |= {"event": record.msg, **fields}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class Log:
    """A logger of events with named fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        self._logger.debug(event, extra={FIELDS: fields})

    def info(self, event: str, **fields: object) -> None:
        self._logger.info(event, extra={FIELDS: fields})

    def warning(self, event: str, **fields: object) -> None:
        self._logger.warning(event, extra={FIELDS: fields})

    def error(self, event: str, **fields: object) -> None:
        self._logger.error(event, extra={FIELDS: fields})

    def exception(self, event: str, **fields: object) -> None:
        self._logger.exception(event, extra={FIELDS: fields})


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every logger of the process through the JSON formatter."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
