"""The server's log on standard error: text lines for people, or one JSON object a line for programs.

Every line of a session carries its id. Audio and words are never logged.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

session_id: Final[ContextVar[str | None]] = ContextVar("emostream_session", default=None)
"""Of the session that the current task belongs to."""


class _AddSession(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.session = session_id.get()
        return True


class JsonFormatter(logging.Formatter):
    """time (UTC), level, logger, message; session, where there is one; `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (session := getattr(record, "session", None)) is not None:
            line["session"] = session
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s%(suffix)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        fields = dict(getattr(record, "fields", {}))
        if (session := getattr(record, "session", None)) is not None:
            fields["session"] = session
        record.suffix = "".join(f" {key}={value}" for key, value in fields.items())
        return super().format(record)


def configure_logging(form: LogFormat, level: LogLevel) -> None:
    """Log the project's own loggers from `level` on, other libraries from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(_AddSession())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("emostream").setLevel(level.upper())
