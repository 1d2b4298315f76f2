"""JSON lines on stdout; each has a stable `event`, never a password, never an object's content."""

import json
import logging
import sys
import time

_STANDARD = frozenset(
    {*logging.LogRecord("", 0, "", 0, "", (), None).__dict__, "message", "asctime", "taskName"}
)
_LEVELS = {"WARNING": "warn", "CRITICAL": "error"}


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        ours = record.name.startswith("dbproxy_operator")
        line: dict[str, object] = {
            "ts": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": _LEVELS.get(record.levelname, record.levelname.lower()),
            "event": record.getMessage() if ours else record.name.split(".")[0],
        }
        if not ours:
            line["message"] = record.getMessage()
        if ours:
            fields = record.__dict__.items()
            line.update({field: value for field, value in fields if field not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: str = "info") -> None:
    """`level`: debug, info, warning or error."""
    handler = logging.StreamHandler(sys.stdout)
    formatter = JsonFormatter()
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Kopf tells of each of its own steps.
    logging.getLogger("kopf").setLevel(logging.WARNING)
